-- Without enable_seqscan Postgres may read all jobs, because it plans the function once, maybe when there are few.
-- "offset 0" makes Postgres look up the build of a job by id. Without it, Postgres expects few rows and reads all builds.
create or replace function sync.tries_of_hours(since timestamptz, until timestamptz) returns setof sync.command_try language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  return query
  select
    build.organization_id, build.pipeline_id, build.branch, job.agent_id, job.agent_name, job.cluster_id,
    coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default'),
    analytics.job_name(job.name, job.label, job.step_key, job.command),
    analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason),
    coalesce(job.retried, false) or job.retried_in_job_id is not null,
    build.state = 'canceled',
    build.rebuilt,
    job.first_seen_via = 'rest' and job.first_seen_at > job.started_at + interval '10 seconds',
    job.started_at::timestamptz, job.finished_at::timestamptz, job.expired_at::timestamptz, coalesce(job.finished_at, job.expired_at)::timestamptz,
    round(1000 * analytics.seconds(job.started_at, job.finished_at))::bigint,
    round(1000 * analytics.seconds(job.runnable_at, job.started_at))::bigint,
    job.concurrency_wait_time_ms,
    job.build_id, nullif(job.group_key, ''), nullif(job.step_key, '')
  from buildkite.jobs as job
  cross join lateral (
    select organization_id, pipeline_id, branch, state,
      (select true from buildkite.builds as rebuild where rebuild.rebuilt_from_id = builds.id limit 1) is not null as rebuilt
    from buildkite.builds where id = job.build_id offset 0
  ) as build
  left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
  where job.type = 'script'
    and (job.started_at >= since and job.started_at < until or job.finished_at >= since and job.finished_at < until
      or job.expired_at >= since and job.expired_at < until);
end $$;

comment on function sync.tries_of_hours is 'The tries of command jobs of known builds that started, finished or expired in a range of time.';
