create or replace view sync.build_results_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(*) filter (where ended.result in ('passed', 'failed')) as finished,
  count(*) filter (where ended.result = 'passed') as passed,
  count(*) filter (where ended.result = 'failed') as failed,
  count(*) filter (where ended.result = 'canceled') as canceled,
  count(*) filter (where ended.result in ('skipped', 'not_run')) as skipped,
  count(*) filter (where ended.result in ('passed', 'failed') and first.state = 'failed') as first_failed,
  count(*) filter (where ended.result = 'passed' and first.state = 'failed') as passed_on_retry,
  count(*) filter (where ended.result = 'failed')::double precision
    / nullif(count(*) filter (where ended.result in ('passed', 'failed')), 0) as failure_rate,
  count(*) filter (where ended.result in ('passed', 'failed') and first.state = 'failed')::double precision
    / nullif(count(*) filter (where ended.result in ('passed', 'failed')), 0) as first_failure_rate,
  count(*) filter (where ended.state = 'blocked') as blocked
from buildkite.builds as build
cross join lateral (
  select analytics.build_state(build.state, build.blocked) as state, analytics.build_result(build.state, build.blocked) as result
) as ended
left join lateral (
  select attempt.state from analytics.attempt_runs as attempt
  where attempt.build_id = build.id and analytics.build_result(attempt.state, attempt.blocked) is not null order by attempt.finished_at limit 1
) as first on true
where ended.result is not null or ended.state = 'blocked'
group by 1, 2, 3;

comment on view sync.build_results_daily_now is 'The source of analytics.build_results_daily, computed from all present builds.';
comment on column sync.build_results_daily_now.day is 'Day in UTC.';
comment on column sync.build_results_daily_now.organization_id is 'organizations.id.';
comment on column sync.build_results_daily_now.pipeline_id is 'pipelines.id.';
comment on column sync.build_results_daily_now.finished is 'How many passed or failed.';
comment on column sync.build_results_daily_now.passed is 'How many passed.';
comment on column sync.build_results_daily_now.failed is 'How many failed.';
comment on column sync.build_results_daily_now.canceled is 'How many were canceled.';
comment on column sync.build_results_daily_now.skipped is 'How many were skipped or not run.';
comment on column sync.build_results_daily_now.first_failed is 'How many failed at the first attempt.';
comment on column sync.build_results_daily_now.passed_on_retry is 'How many failed at the first attempt and passed in the end.';
comment on column sync.build_results_daily_now.failure_rate is 'Failed builds divided by passed and failed ones, 0 to 1.';
comment on column sync.build_results_daily_now.first_failure_rate is 'Builds that failed at the first attempt, divided by passed and failed ones, 0 to 1.';
comment on column sync.build_results_daily_now.blocked is 'How many wait at a gate, in neither rate.';
