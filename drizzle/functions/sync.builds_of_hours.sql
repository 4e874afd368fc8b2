-- array_agg takes a fraction of the memory and time of the aggregate analytics.histogram.
-- Without enable_seqscan Postgres may read all builds, because it plans the function once, maybe when there are few.
create or replace function sync.builds_of_hours(since timestamptz, until timestamptz) returns setof analytics.builds_hourly language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  return query
  select build.hour, build.organization_id, build.pipeline_id, build.branch,
    count(*) filter (where build.result = 'passed'), count(*) filter (where build.result = 'failed'),
    count(*) filter (where build.result = 'canceled'), count(*) filter (where build.result in ('skipped', 'not_run')),
    count(*) filter (where build.state = 'blocked'),
    count(*) filter (where build.ran and run.first_state = 'failed'),
    count(*) filter (where build.result = 'passed' and run.first_state = 'failed'),
    (sum(round(run.total * 1000)) filter (where build.ran))::bigint,
    analytics.histogram_of(array_agg(analytics.whole_seconds(run.total)) filter (where build.ran)),
    analytics.histogram_of(array_agg(analytics.whole_seconds(run.total)) filter (where build.result = 'passed')),
    analytics.histogram_of(array_agg(analytics.whole_seconds(run.first)) filter (where build.ran)),
    analytics.histogram_of(array_agg(analytics.whole_seconds(analytics.seconds(build.created_at, run.started_at))) filter (where build.ran)),
    coalesce(array_agg(distinct build.commit) filter (where build.ran and build.commit is not null), '{}'),
    coalesce(array_agg(distinct build.commit) filter (where build.result = 'failed' and build.commit is not null), '{}'),
    (array_agg(build.number order by build.number desc) filter (where build.ran))[1],
    (array_agg(build.result order by build.number desc) filter (where build.ran))[1]
  from (
    select ended.*, date_bin('1 hour', coalesce(ended.finished_at, ended.created_at), since) as hour,
      analytics.build_result(ended.state_at_buildkite, ended.blocked) as result,
      analytics.build_state(ended.state_at_buildkite, ended.blocked) as state,
      coalesce(analytics.build_result(ended.state_at_buildkite, ended.blocked) in ('passed', 'failed'), false) as ran
    from (
      select id, organization_id, pipeline_id, branch, commit, number, created_at, finished_at, first_seen_via, blocked, builds.state as state_at_buildkite
      from buildkite.builds where finished_at >= since and finished_at < until
      union all
      select id, organization_id, pipeline_id, branch, commit, number, created_at, finished_at, first_seen_via, blocked, builds.state
      from buildkite.builds where finished_at is null and created_at >= since and created_at < until
    ) as ended
  ) as build
  left join lateral (
    select case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) end as total,
      case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) filter (where attempt.is_first) end as first,
      (array_agg(attempt.state order by attempt.finished_at) filter (where analytics.build_result(attempt.state, attempt.blocked) is not null))[1] as first_state,
      least(min(attempt.started_at), case when build.first_seen_via = 'rest' then (
        select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job
      ) end) as started_at
    from analytics.attempt_runs as attempt where attempt.build_id = build.id
  ) as run on build.ran
  where build.result is not null or build.state = 'blocked'
  group by build.hour, build.organization_id, build.pipeline_id, build.branch;
end $$;

comment on function sync.builds_of_hours is 'The rows of analytics.builds_hourly for the hours of a range, from all present builds.';
