create or replace view analytics.job_regressions as
select compared.week, compared.organization_id, compared.pipeline_id, compared.job, compared.is_slower, compared.fails_more,
  compared.passed, compared.previous_passed, compared.passed_p50_seconds, compared.previous_passed_p50_seconds,
  compared.counted as not_canceled, compared.previous_counted as previous_not_canceled,
  compared.rate as hard_failure_rate, compared.previous_rate as previous_hard_failure_rate
from (
  select this.starts_on as week, this.organization_id, this.pipeline_id, this.job, this.passed, before.passed as previous_passed,
    this.passed_p50_seconds, before.passed_p50_seconds as previous_passed_p50_seconds,
    this.tries - this.canceled as counted, before.counted as previous_counted, this.hard_failure_rate as rate, before.rate as previous_rate,
    coalesce(this.passed >= 20 and before.passed >= 20 and this.passed_p50_seconds >= 1.25 * before.passed_p50_seconds
      and this.passed_p50_seconds >= before.passed_p50_seconds + 10, false) as is_slower,
    -- Three standard errors of the difference of two rates, if both samples had the common rate.
    coalesce(this.tries - this.canceled >= 20 and before.counted >= 20 and this.hard_failure_rate - before.rate > 3 * sqrt(
      (this.failed + this.timed_out + before.hard_failed)::double precision / (this.tries - this.canceled + before.counted)
      * (1 - (this.failed + this.timed_out + before.hard_failed)::double precision / (this.tries - this.canceled + before.counted))
      * (1.0 / nullif(this.tries - this.canceled, 0) + 1.0 / nullif(before.counted, 0))), false) as fails_more
  from analytics.jobs_by_period as this
  cross join lateral (
    select sum(daily.passed)::bigint as passed, sum(daily.tries - daily.canceled)::bigint as counted,
      sum(daily.failed + daily.timed_out)::bigint as hard_failed,
      sum(daily.failed + daily.timed_out)::double precision / nullif(sum(daily.tries - daily.canceled), 0) as rate,
      analytics.percentile(analytics.merge_histograms(daily.passed_run_histogram), 0.5) as passed_p50_seconds
    from analytics.jobs_daily as daily
    where daily.pipeline_id = this.pipeline_id and daily.organization_id is not distinct from this.organization_id and daily.job = this.job
      and daily.day >= this.starts_on - 28 and daily.day < this.starts_on
  ) as before
  where this.period = 'week'
) as compared
where compared.is_slower or compared.fails_more;

comment on view analytics.job_regressions is 'Jobs that became clearly slower, or fail clearly more often, in a week (from Monday, UTC) than in the four weeks before it. Both need at least 20 tries in both spans.';
comment on column analytics.job_regressions.week is 'Monday of the week.';
comment on column analytics.job_regressions.organization_id is 'organizations.id.';
comment on column analytics.job_regressions.pipeline_id is 'pipelines.id.';
comment on column analytics.job_regressions.job is 'Name of the job.';
comment on column analytics.job_regressions.is_slower is 'Whether the median of passed tries rose by a quarter and by 10 s at least.';
comment on column analytics.job_regressions.fails_more is 'Whether the hard failure rate rose by more than three standard errors.';
comment on column analytics.job_regressions.passed is 'How many tries passed in the week.';
comment on column analytics.job_regressions.previous_passed is 'How many passed in the four weeks before.';
comment on column analytics.job_regressions.passed_p50_seconds is 'Median running time of passed tries in the week, in seconds.';
comment on column analytics.job_regressions.previous_passed_p50_seconds is 'The same in the four weeks before.';
comment on column analytics.job_regressions.not_canceled is 'Tries of the week that were not canceled.';
comment on column analytics.job_regressions.previous_not_canceled is 'The same in the four weeks before.';
comment on column analytics.job_regressions.hard_failure_rate is 'Failed and timed out in the week, divided by tries that were not canceled.';
comment on column analytics.job_regressions.previous_hard_failure_rate is 'The same in the four weeks before.';
