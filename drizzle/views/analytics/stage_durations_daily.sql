create or replace view analytics.stage_durations_daily as
select
  (created_at at time zone 'UTC')::date as day,
  organization_id,
  pipeline_id,
  level,
  name,
  group_key,
  is_stage,
  count(*) as builds,
  avg(run_seconds) as mean_seconds,
  percentile_disc(0.5) within group (order by analytics.whole_seconds(run_seconds))::double precision as p50_seconds,
  percentile_disc(0.9) within group (order by analytics.whole_seconds(run_seconds))::double precision as p90_seconds,
  percentile_disc(0.95) within group (order by analytics.whole_seconds(run_seconds))::double precision as p95_seconds,
  max(run_seconds) as max_seconds,
  sum(job_seconds) as job_seconds
from analytics.build_stages
group by 1, organization_id, pipeline_id, level, name, group_key, is_stage;

comment on view analytics.stage_durations_daily is 'How long groups and steps run in a build, by the day (UTC) the build was created: build_stages by day.';
comment on column analytics.stage_durations_daily.day is 'Day in UTC.';
comment on column analytics.stage_durations_daily.organization_id is 'organizations.id.';
comment on column analytics.stage_durations_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.stage_durations_daily.level is 'group or step.';
comment on column analytics.stage_durations_daily.name is 'Key of the group; key of the step, otherwise its name.';
comment on column analytics.stage_durations_daily.group_key is 'Key of the group; of a step, of the group that it belongs to.';
comment on column analytics.stage_durations_daily.is_stage is 'Whether it is a group, or a step outside groups.';
comment on column analytics.stage_durations_daily.builds is 'Builds in which it ran.';
comment on column analytics.stage_durations_daily.mean_seconds is 'Mean of the seconds that it ran in a build.';
comment on column analytics.stage_durations_daily.p50_seconds is 'Median, in whole seconds.';
comment on column analytics.stage_durations_daily.p90_seconds is '90th percentile, in whole seconds.';
comment on column analytics.stage_durations_daily.p95_seconds is '95th percentile, in whole seconds.';
comment on column analytics.stage_durations_daily.max_seconds is 'The longest.';
comment on column analytics.stage_durations_daily.job_seconds is 'Seconds that its jobs ran, in total.';
