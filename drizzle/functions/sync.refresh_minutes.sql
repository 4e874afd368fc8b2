-- Both times are whole hours. "offset 0" makes Postgres look up the build of a job by id.
create or replace function sync.refresh_minutes(from_hour timestamptz, until_hour timestamptz) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
set work_mem = '32MB' as $$
begin
  delete from analytics.build_minutes_hourly where hour >= from_hour and hour < until_hour;
  delete from analytics.job_minutes_hourly where hour >= from_hour and hour < until_hour;
  with ended as materialized (
    select date_trunc('hour', coalesce(job.finished_at, job.expired_at), 'UTC') as hour,
      build.organization_id, build.pipeline_id, job.build_id, job.cluster_id,
      nullif(job.group_key, '') as group_key, nullif(job.step_key, '') as step_key,
      analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
      coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue,
      coalesce(analytics.seconds(job.started_at, job.finished_at), 0) / 60 as minutes,
      said.result in ('infra_lost', 'canceled') or coalesce(build.state = 'canceled', false)
        or coalesce(job.retried, false) or job.retried_in_job_id is not null or build.rebuilt as wasted
    from buildkite.jobs as job
    cross join lateral (
      select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result
    ) as said
    cross join lateral (
      select organization_id, pipeline_id, state,
        exists (select from buildkite.builds as rebuild where rebuild.rebuilt_from_id = builds.id) as rebuilt
      from buildkite.builds where id = job.build_id offset 0
    ) as build
    left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
    where job.type = 'script' and said.result not in ('skipped', 'broken')
      and ((job.finished_at >= from_hour and job.finished_at < until_hour)
        or (job.finished_at is null and job.expired_at >= from_hour and job.expired_at < until_hour))
  ), of_builds as (
    insert into analytics.build_minutes_hourly
    select hour, organization_id, pipeline_id, build_id, queue, cluster_id, count(*), sum(minutes), coalesce(sum(minutes) filter (where wasted), 0)
    from ended group by hour, organization_id, pipeline_id, build_id, queue, cluster_id
  )
  insert into analytics.job_minutes_hourly
  select hour, organization_id, pipeline_id, group_key, step_key, job, queue, cluster_id, count(*), sum(minutes),
    coalesce(sum(minutes) filter (where wasted), 0)
  from ended group by hour, organization_id, pipeline_id, group_key, step_key, job, queue, cluster_id;
end $$;

comment on function sync.refresh_minutes is 'Rebuilds build_minutes_hourly and job_minutes_hourly for the hours from one time to another.';
