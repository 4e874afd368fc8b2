create or replace view sync.first_results as
select build.id as build_id, ended.result, ended.finished_at, ended.passed_at
from buildkite.builds as build
cross join lateral (
  select (array_agg(state order by finished_at))[1] as result, min(finished_at) as finished_at,
    min(finished_at) filter (where state = 'passed') as passed_at
  from analytics.attempt_runs
  where build_id = build.id and analytics.build_result(state, blocked) is not null
) as ended;

comment on view sync.first_results is 'How each build first ended, and when it first passed. Used by analytics.first_trunk_recoveries.';
comment on column sync.first_results.build_id is 'builds.id.';
comment on column sync.first_results.result is 'passed, failed, canceled, skipped or not_run: the result of the first attempt that has one.';
comment on column sync.first_results.finished_at is 'When that attempt finished.';
comment on column sync.first_results.passed_at is 'When an attempt first passed.';
