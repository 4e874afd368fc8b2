create or replace view analytics.jobs_by_period as
select merged.period, merged.starts_on, merged.organization_id, merged.pipeline_id, merged.job, merged.tries, merged.passed, merged.soft_failed,
  merged.failed, merged.infra_lost, merged.timed_out, merged.expired, merged.canceled, merged.retried,
  (merged.failed + merged.timed_out)::double precision / nullif(merged.tries - merged.canceled, 0) as hard_failure_rate,
  merged.run_seconds / nullif(analytics.histogram_count(merged.run), 0) as mean_seconds,
  analytics.percentile(merged.run, 0.5) as p50_seconds, analytics.percentile(merged.run, 0.75) as p75_seconds,
  analytics.percentile(merged.run, 0.9) as p90_seconds, analytics.percentile(merged.run, 0.95) as p95_seconds, merged.max_seconds,
  analytics.percentile(merged.passed_run, 0.5) as passed_p50_seconds, analytics.percentile(merged.passed_run, 0.9) as passed_p90_seconds,
  merged.run_seconds
from (
  select period.name as period, period.starts_on, daily.organization_id, daily.pipeline_id, daily.job, sum(daily.tries)::bigint as tries,
    sum(daily.passed)::bigint as passed, sum(daily.soft_failed)::bigint as soft_failed, sum(daily.failed)::bigint as failed,
    sum(daily.infra_lost)::bigint as infra_lost, sum(daily.timed_out)::bigint as timed_out, sum(daily.expired)::bigint as expired,
    sum(daily.canceled)::bigint as canceled, sum(daily.retried)::bigint as retried, sum(daily.run_seconds) as run_seconds,
    max(daily.max_seconds) as max_seconds, analytics.merge_histograms(daily.run_histogram) as run,
    analytics.merge_histograms(daily.passed_run_histogram) as passed_run
  from analytics.jobs_daily as daily
  cross join lateral (
    values ('week', date_trunc('week', daily.day::timestamp)::date), ('month', date_trunc('month', daily.day::timestamp)::date)
  ) as period (name, starts_on)
  group by 1, 2, 3, 4, 5
) as merged;

comment on view analytics.jobs_by_period is 'As jobs_daily, by week (from Monday) and by month (UTC). The percentiles are of all tries of the period, not means of days. Choose one period.';
comment on column analytics.jobs_by_period.period is 'week or month.';
comment on column analytics.jobs_by_period.starts_on is 'First day of the period.';
comment on column analytics.jobs_by_period.organization_id is 'organizations.id.';
comment on column analytics.jobs_by_period.pipeline_id is 'pipelines.id.';
comment on column analytics.jobs_by_period.job is 'Name of the job.';
comment on column analytics.jobs_by_period.tries is 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';
comment on column analytics.jobs_by_period.passed is 'How many passed.';
comment on column analytics.jobs_by_period.soft_failed is 'How many failed softly.';
comment on column analytics.jobs_by_period.failed is 'How many failed.';
comment on column analytics.jobs_by_period.infra_lost is 'How many failed because their agent or machine was lost.';
comment on column analytics.jobs_by_period.timed_out is 'How many timed out.';
comment on column analytics.jobs_by_period.expired is 'How many expired.';
comment on column analytics.jobs_by_period.canceled is 'How many were canceled.';
comment on column analytics.jobs_by_period.retried is 'How many were retried.';
comment on column analytics.jobs_by_period.hard_failure_rate is 'Failed and timed out, divided by tries that were not canceled, 0 to 1.';
comment on column analytics.jobs_by_period.mean_seconds is 'Mean running time, in seconds.';
comment on column analytics.jobs_by_period.p50_seconds is 'Median, in seconds.';
comment on column analytics.jobs_by_period.p75_seconds is '75th percentile, in seconds.';
comment on column analytics.jobs_by_period.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.jobs_by_period.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.jobs_by_period.max_seconds is 'Longest, in seconds.';
comment on column analytics.jobs_by_period.passed_p50_seconds is 'Median of those that passed, in seconds.';
comment on column analytics.jobs_by_period.passed_p90_seconds is '90th percentile of those that passed, in seconds.';
comment on column analytics.jobs_by_period.run_seconds is 'Seconds that they ran, in total.';
