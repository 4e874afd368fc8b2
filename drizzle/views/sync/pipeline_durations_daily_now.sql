create or replace view sync.pipeline_durations_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(*) as builds,
  count(*) filter (where build.state = 'passed') as passed,
  avg(run.total) as mean_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[1] as p50_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[2] as p75_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[3] as p90_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[4] as p95_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.total) filter (where build.state = 'passed'))[1] as passed_p50_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.total) filter (where build.state = 'passed'))[2] as passed_p90_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.first))[1] as first_p50_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.first))[2] as first_p90_seconds,
  percentile_cont(0.5) within group (order by analytics.seconds(build.created_at, run.started_at)) as wait_p50_seconds
from buildkite.builds as build
cross join lateral (
  select case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) end as total, case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) filter (where attempt.is_first) end as first,
    least(min(attempt.started_at), case when build.first_seen_via = 'rest' then (select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job) end) as started_at
  from analytics.attempt_runs as attempt where attempt.build_id = build.id
) as run
where build.state in ('passed', 'failed') and not coalesce(build.blocked, false)
group by 1, 2, 3;

comment on view sync.pipeline_durations_daily_now is 'The source of analytics.pipeline_durations_daily, computed from all present builds.';
comment on column sync.pipeline_durations_daily_now.day is 'Day in UTC.';
comment on column sync.pipeline_durations_daily_now.organization_id is 'organizations.id.';
comment on column sync.pipeline_durations_daily_now.pipeline_id is 'pipelines.id.';
comment on column sync.pipeline_durations_daily_now.builds is 'How many builds.';
comment on column sync.pipeline_durations_daily_now.passed is 'How many passed.';
comment on column sync.pipeline_durations_daily_now.mean_seconds is 'Mean, in seconds.';
comment on column sync.pipeline_durations_daily_now.p50_seconds is 'Median, in seconds.';
comment on column sync.pipeline_durations_daily_now.p75_seconds is '75th percentile, in seconds.';
comment on column sync.pipeline_durations_daily_now.p90_seconds is '90th percentile, in seconds.';
comment on column sync.pipeline_durations_daily_now.p95_seconds is '95th percentile, in seconds.';
comment on column sync.pipeline_durations_daily_now.passed_p50_seconds is 'Median of those that passed, in seconds.';
comment on column sync.pipeline_durations_daily_now.passed_p90_seconds is '90th percentile of those that passed, in seconds.';
comment on column sync.pipeline_durations_daily_now.first_p50_seconds is 'Median of first attempts, in seconds.';
comment on column sync.pipeline_durations_daily_now.first_p90_seconds is '90th percentile of first attempts, in seconds.';
comment on column sync.pipeline_durations_daily_now.wait_p50_seconds is 'Median of the wait from created to first started, in seconds.';
