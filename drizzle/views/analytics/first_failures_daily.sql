create or replace view analytics.first_failures_daily as
select
  (created_at at time zone 'UTC')::date as day,
  organization_id,
  pipeline_id,
  count(*) as builds,
  (percentile_disc(array[0.5, 0.9]) within group (order by analytics.whole_seconds(seconds_to_first_failure)))[1]::double precision as p50_seconds,
  (percentile_disc(array[0.5, 0.9]) within group (order by analytics.whole_seconds(seconds_to_first_failure)))[2]::double precision as p90_seconds
from analytics.first_failures
group by 1, 2, 3;

comment on view analytics.first_failures_daily is 'Time from a build''s creation to its first sign of failure, by pipeline and the day (UTC) the build was created.';
comment on column analytics.first_failures_daily.day is 'Day in UTC.';
comment on column analytics.first_failures_daily.organization_id is 'organizations.id.';
comment on column analytics.first_failures_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.first_failures_daily.builds is 'Builds with a sign of failure.';
comment on column analytics.first_failures_daily.p50_seconds is 'Median, in seconds.';
comment on column analytics.first_failures_daily.p90_seconds is '90th percentile, in seconds.';
