create or replace view analytics.job_failures_daily as
select
  day, organization_id, pipeline_id,
  sum(tries)::bigint as tries,
  sum(failed + timed_out)::bigint as hard_failed,
  sum(soft_failed)::bigint as soft_failed,
  sum(infra_lost + expired)::bigint as infra_failed,
  sum(canceled)::bigint as canceled,
  sum(failed + timed_out)::double precision / nullif(sum(tries - canceled), 0) as hard_failure_rate,
  sum(soft_failed)::double precision / nullif(sum(tries - canceled), 0) as soft_failure_rate,
  sum(infra_lost + expired)::double precision / nullif(sum(tries - canceled), 0) as infra_failure_rate
from analytics.jobs_daily group by day, organization_id, pipeline_id;

comment on view analytics.job_failures_daily is 'Failure rates of command jobs, counting every try, by pipeline and the day (UTC) they finished: hard (failed, timed out), soft, and infrastructure (agent lost, expired). The rates exclude canceled tries. Practice disagrees on soft failures: add the rate to the hard one or do not.';
comment on column analytics.job_failures_daily.day is 'Day in UTC.';
comment on column analytics.job_failures_daily.organization_id is 'organizations.id.';
comment on column analytics.job_failures_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.job_failures_daily.tries is 'How many tries of jobs.';
comment on column analytics.job_failures_daily.hard_failed is 'Tries that failed or timed out.';
comment on column analytics.job_failures_daily.soft_failed is 'How many failed and were allowed to fail.';
comment on column analytics.job_failures_daily.infra_failed is 'Tries whose agent was lost, or that no agent took.';
comment on column analytics.job_failures_daily.canceled is 'How many were canceled.';
comment on column analytics.job_failures_daily.hard_failure_rate is 'hard_failed divided by the tries that were not canceled, 0 to 1.';
comment on column analytics.job_failures_daily.soft_failure_rate is 'soft_failed divided by the tries that were not canceled, 0 to 1.';
comment on column analytics.job_failures_daily.infra_failure_rate is 'infra_failed divided by the tries that were not canceled, 0 to 1.';
