create or replace view sync.trunk_health_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(ended.result) as builds,
  count(*) filter (where ended.result = 'failed') as red_builds,
  count(distinct build.commit) filter (where ended.result is not null) as commits,
  count(distinct build.commit) filter (where ended.result = 'failed') as red_commits,
  count(*) filter (where ended.result = 'passed')::double precision / nullif(count(ended.result), 0) as green_rate,
  (array_agg(ended.result order by build.number desc) filter (where ended.result is not null))[1] as last_result,
  count(*) filter (where ended.result is null) as blocked
from buildkite.builds as build
join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id and pipeline.default_branch = build.branch
cross join lateral (select analytics.build_result(build.state, build.blocked) as result) as ended
where ended.result in ('passed', 'failed') or analytics.build_state(build.state, build.blocked) = 'blocked'
group by 1, 2, 3;

comment on view sync.trunk_health_daily_now is 'The source of analytics.trunk_health_daily, computed from all present builds.';
comment on column sync.trunk_health_daily_now.day is 'Day in UTC.';
comment on column sync.trunk_health_daily_now.organization_id is 'organizations.id.';
comment on column sync.trunk_health_daily_now.pipeline_id is 'pipelines.id.';
comment on column sync.trunk_health_daily_now.builds is 'How many builds.';
comment on column sync.trunk_health_daily_now.red_builds is 'Builds that failed.';
comment on column sync.trunk_health_daily_now.commits is 'How many commits.';
comment on column sync.trunk_health_daily_now.red_commits is 'Commits with a failed build.';
comment on column sync.trunk_health_daily_now.green_rate is 'Passed builds divided by passed and failed ones, 0 to 1.';
comment on column sync.trunk_health_daily_now.last_result is 'Result of the day''s last build, by number.';
comment on column sync.trunk_health_daily_now.blocked is 'How many wait at a gate. They count as neither green nor red.';
