create or replace view analytics.job_costs_daily as
select
  spent.day, spent.organization_id, spent.pipeline_id, spent.group_key, spent.step_key, spent.job, spent.tries, spent.minutes, spent.minutes_wasted,
  spent.minutes * coalesce(own.per_minute, anywhere.per_minute) as cost,
  spent.minutes_wasted * coalesce(own.per_minute, anywhere.per_minute) as cost_wasted,
  coalesce(own.currency, anywhere.currency) as currency,
  spent.queue, spent.cluster_id, cluster.name as cluster
from (
  select (hour at time zone 'UTC')::date as day, organization_id, pipeline_id, group_key, step_key, job, queue, cluster_id,
    sum(tries)::bigint as tries, sum(minutes) as minutes, sum(minutes_wasted) as minutes_wasted
  from analytics.job_minutes_hourly
  group by 1, organization_id, pipeline_id, group_key, step_key, job, queue, cluster_id
) as spent
left join buildkite.clusters as cluster on cluster.id = spent.cluster_id
left join sync.cluster_rates as own on own.queue = spent.queue and own.cluster_id = spent.cluster_id
left join (
  select queue, per_minute::double precision as per_minute, currency from settings.queue_rates where cluster = '*'
) as anywhere on anywhere.queue = spent.queue;

comment on view analytics.job_costs_daily is 'As costs_daily, by group, step and job.';
comment on column analytics.job_costs_daily.day is 'Day in UTC.';
comment on column analytics.job_costs_daily.organization_id is 'organizations.id.';
comment on column analytics.job_costs_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.job_costs_daily.group_key is 'Key of the group step that it belongs to.';
comment on column analytics.job_costs_daily.step_key is 'Key of the step.';
comment on column analytics.job_costs_daily.job is 'Name of the job, as people read it.';
comment on column analytics.job_costs_daily.tries is 'How many tries ended, without skipped and broken ones.';
comment on column analytics.job_costs_daily.minutes is 'Agent minutes.';
comment on column analytics.job_costs_daily.minutes_wasted is 'Those wasted by lost agents, cancels, retries and rebuilds.';
comment on column analytics.job_costs_daily.cost is 'Minutes times the queue''s rate; null without a rate.';
comment on column analytics.job_costs_daily.cost_wasted is 'Minutes wasted times the queue''s rate.';
comment on column analytics.job_costs_daily.currency is 'Currency of the rate.';
comment on column analytics.job_costs_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.job_costs_daily.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.job_costs_daily.cluster is 'Name of the cluster, at present; null outside clusters.';
