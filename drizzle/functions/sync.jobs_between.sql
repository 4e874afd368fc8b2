-- A job of at most an hour that overlaps the range ends before an hour after it. Of the others, jobs_long finds those that have ended, and
-- jobs_open those that have not.
create or replace function sync.jobs_between(since timestamptz, until timestamptz) returns table (
  organization_id uuid, cluster_id uuid, queue text, agent_id uuid,
  waits_from timestamptz, waits_to timestamptz, runs_from timestamptz, runs_to timestamptz
) language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
begin
  return query
  select build.organization_id, job.cluster_id, coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default'), job.agent_id,
    job.runnable_at,
    case when least(job.started_at, stop.at) - job.runnable_at <= interval '366 days' then greatest(least(job.started_at, stop.at), job.runnable_at) else job.runnable_at end,
    job.started_at,
    case when stop.at - job.started_at <= interval '366 days' then greatest(stop.at, job.started_at) else job.started_at end
  from (
    select * from buildkite.jobs where type = 'script' and finished_at > since and finished_at < until + interval '1 hour'
      and least(runnable_at, started_at) < until
    union all
    select * from buildkite.jobs where type = 'script' and finished_at is null and expired_at > since and expired_at < until + interval '1 hour'
      and least(runnable_at, started_at) < until
    union all
    select * from buildkite.jobs where type = 'script' and coalesce(finished_at, expired_at) >= until + interval '1 hour'
      and coalesce(finished_at, expired_at) - least(runnable_at, started_at) > interval '1 hour'
      and tstzrange(least(runnable_at, started_at), greatest(runnable_at, started_at, coalesce(finished_at, expired_at))) && tstzrange(since, until)
    union all
    select * from buildkite.jobs where type = 'script' and coalesce(finished_at, expired_at) is null and least(runnable_at, started_at) < until
      and state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
  ) as job
  cross join lateral (
    select builds.organization_id,
      builds.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and builds.blocked is not true and builds.deleted_at is null as is_open
    from buildkite.builds where builds.id = job.build_id offset 0
  ) as build
  left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
  left join sync.last_heard as heard on heard.organization_id = build.organization_id
  cross join lateral (
    select coalesce(job.finished_at, job.expired_at, case
      when build.is_open and job.deleted_at is null and job.state is not null
        and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) is null
      then heard.heard_at
    end) as at
  ) as stop
  where stop.at is not null;
end $$;

comment on function sync.jobs_between is 'The command jobs that waited or ran between two times, and perhaps more: when each waited for an agent, and when it ran. An interval with equal ends is empty, one with a null does not exist. Those of more than 366 days are empty: Buildkite keeps no build that long.';
