-- Merging four weeks of every job would take seconds. The median of days together is at least the least median of a day, so only jobs for
-- which that is low enough can have become slower. "offset 0" keeps Postgres from computing a median again for each use.
create or replace view analytics.job_regressions as
select this.starts_on as week, this.organization_id, this.pipeline_id, this.job,
  coalesce(this.passed >= 20 and before.passed >= 20 and median.seconds >= 1.25 * merged.seconds and median.seconds >= merged.seconds + 10, false) as is_slower,
  before.fails_more, this.passed, before.passed as previous_passed, median.seconds as passed_p50_seconds, merged.seconds as previous_passed_p50_seconds,
  this.tries - this.canceled as not_canceled, before.not_canceled as previous_not_canceled,
  this.hard_failure_rate, before.hard_failed::double precision / before.not_canceled as previous_hard_failure_rate
from analytics.jobs_by_period as this
cross join lateral (select this.passed_p50_seconds as seconds offset 0) as median
cross join lateral (
  select total.*,
    -- Three standard errors of the difference of two rates, if both samples had the common rate.
    coalesce(this.tries - this.canceled >= 20 and total.not_canceled >= 20
      and this.hard_failure_rate - total.hard_failed::double precision / total.not_canceled > 3 * sqrt(total.common_rate * (1 - total.common_rate)
        * (1.0 / (this.tries - this.canceled) + 1.0 / total.not_canceled)), false) as fails_more
  from (
    select sum(daily.passed)::bigint as passed, nullif(sum(daily.tries - daily.canceled), 0)::bigint as not_canceled,
      sum(daily.failed + daily.timed_out)::bigint as hard_failed, min(daily.passed_p50_seconds) as least_median,
      (this.failed + this.timed_out + sum(daily.failed + daily.timed_out))::double precision
        / nullif(this.tries - this.canceled + sum(daily.tries - daily.canceled), 0)::double precision as common_rate
    from analytics.jobs_daily as daily
    where daily.pipeline_id = this.pipeline_id and daily.organization_id is not distinct from this.organization_id and daily.job = this.job
      and daily.day >= this.starts_on - 28 and daily.day < this.starts_on
    offset 0
  ) as total
  offset 0
) as before
cross join lateral (
  select analytics.percentile(analytics.merge_histograms(daily.passed_run_histogram), 0.5) as seconds
  from analytics.jobs_daily as daily
  where daily.pipeline_id = this.pipeline_id and daily.organization_id is not distinct from this.organization_id and daily.job = this.job
    and daily.day >= this.starts_on - 28 and daily.day < this.starts_on
  offset 0
) as merged
where this.period = 'week'
  and (before.fails_more or this.passed >= 20 and median.seconds >= 1.25 * before.least_median and median.seconds >= before.least_median + 10)
  and (before.fails_more or this.passed >= 20 and before.passed >= 20 and median.seconds >= 1.25 * merged.seconds and median.seconds >= merged.seconds + 10);

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
