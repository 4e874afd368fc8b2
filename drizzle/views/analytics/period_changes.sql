create or replace view analytics.period_changes as
select this.period, this.starts_on, this.organization_id, this.pipeline_id, this.builds, before.builds as previous_builds,
  this.p50_seconds, before.p50_seconds as previous_p50_seconds, this.p90_seconds, before.p90_seconds as previous_p90_seconds,
  this.failure_rate, before.failure_rate as previous_failure_rate, this.wait_p50_seconds, before.wait_p50_seconds as previous_wait_p50_seconds
from analytics.pipeline_durations_by_period as this
left join lateral (
  select earlier.builds, earlier.p50_seconds, earlier.p90_seconds, earlier.failure_rate, earlier.wait_p50_seconds
  from analytics.pipeline_durations_by_period as earlier
  where earlier.period = this.period and earlier.pipeline_id = this.pipeline_id and earlier.organization_id is not distinct from this.organization_id
    and earlier.starts_on = (this.starts_on - case this.period when 'week' then interval '7 days' else interval '1 month' end)::date
) as before on true;

comment on view analytics.period_changes is 'Each week and month of a pipeline beside the one before it. The present period is not complete: fewer of its builds have finished. Choose one period.';
comment on column analytics.period_changes.period is 'week or month.';
comment on column analytics.period_changes.starts_on is 'First day of the period.';
comment on column analytics.period_changes.organization_id is 'organizations.id.';
comment on column analytics.period_changes.pipeline_id is 'pipelines.id.';
comment on column analytics.period_changes.builds is 'How many builds passed or failed.';
comment on column analytics.period_changes.previous_builds is 'The same in the period before; null if there were none.';
comment on column analytics.period_changes.p50_seconds is 'Median running time, in seconds.';
comment on column analytics.period_changes.previous_p50_seconds is 'The same in the period before.';
comment on column analytics.period_changes.p90_seconds is '90th percentile of the running time, in seconds.';
comment on column analytics.period_changes.previous_p90_seconds is 'The same in the period before.';
comment on column analytics.period_changes.failure_rate is 'Failed builds divided by builds, 0 to 1.';
comment on column analytics.period_changes.previous_failure_rate is 'The same in the period before.';
comment on column analytics.period_changes.wait_p50_seconds is 'Median wait before the first start, in seconds.';
comment on column analytics.period_changes.previous_wait_p50_seconds is 'The same in the period before.';
