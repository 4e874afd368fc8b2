create or replace view analytics.pipeline_durations_by_period as
select merged.period, merged.starts_on, merged.organization_id, merged.pipeline_id, merged.builds, merged.passed,
  (merged.builds - merged.passed)::double precision / merged.builds as failure_rate,
  merged.run_seconds / nullif(analytics.histogram_count(merged.run), 0) as mean_seconds,
  analytics.percentile(merged.run, 0.5) as p50_seconds, analytics.percentile(merged.run, 0.75) as p75_seconds,
  analytics.percentile(merged.run, 0.9) as p90_seconds, analytics.percentile(merged.run, 0.95) as p95_seconds,
  analytics.percentile(merged.passed_run, 0.5) as passed_p50_seconds, analytics.percentile(merged.passed_run, 0.9) as passed_p90_seconds,
  analytics.percentile(merged.first_run, 0.5) as first_p50_seconds, analytics.percentile(merged.first_run, 0.9) as first_p90_seconds,
  analytics.percentile(merged.wait, 0.5) as wait_p50_seconds
from (
  select period.name as period, period.starts_on, daily.organization_id, daily.pipeline_id, sum(daily.builds)::bigint as builds,
    sum(daily.passed)::bigint as passed, coalesce(sum(daily.mean_seconds * analytics.histogram_count(daily.run_histogram)), 0) as run_seconds,
    analytics.merge_histograms(daily.run_histogram) as run, analytics.merge_histograms(daily.passed_run_histogram) as passed_run,
    analytics.merge_histograms(daily.first_run_histogram) as first_run, analytics.merge_histograms(daily.wait_histogram) as wait
  from analytics.pipeline_durations_daily as daily
  cross join lateral (
    values ('week', date_trunc('week', daily.day::timestamp)::date), ('month', date_trunc('month', daily.day::timestamp)::date)
  ) as period (name, starts_on)
  group by 1, 2, 3, 4
) as merged;

comment on view analytics.pipeline_durations_by_period is 'As pipeline_durations_daily, by week (from Monday) and by month (UTC). The percentiles are of all builds of the period, not means of days. Choose one period.';
comment on column analytics.pipeline_durations_by_period.period is 'week or month.';
comment on column analytics.pipeline_durations_by_period.starts_on is 'First day of the period.';
comment on column analytics.pipeline_durations_by_period.organization_id is 'organizations.id.';
comment on column analytics.pipeline_durations_by_period.pipeline_id is 'pipelines.id.';
comment on column analytics.pipeline_durations_by_period.builds is 'How many builds passed or failed.';
comment on column analytics.pipeline_durations_by_period.passed is 'How many passed.';
comment on column analytics.pipeline_durations_by_period.failure_rate is 'Failed builds divided by builds, 0 to 1.';
comment on column analytics.pipeline_durations_by_period.mean_seconds is 'Mean running time, in seconds.';
comment on column analytics.pipeline_durations_by_period.p50_seconds is 'Median, in seconds.';
comment on column analytics.pipeline_durations_by_period.p75_seconds is '75th percentile, in seconds.';
comment on column analytics.pipeline_durations_by_period.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.pipeline_durations_by_period.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.pipeline_durations_by_period.passed_p50_seconds is 'Median of those that passed, in seconds.';
comment on column analytics.pipeline_durations_by_period.passed_p90_seconds is '90th percentile of those that passed, in seconds.';
comment on column analytics.pipeline_durations_by_period.first_p50_seconds is 'Median of first attempts, in seconds.';
comment on column analytics.pipeline_durations_by_period.first_p90_seconds is '90th percentile of first attempts, in seconds.';
comment on column analytics.pipeline_durations_by_period.wait_p50_seconds is 'Median wait before the first start, in seconds.';
