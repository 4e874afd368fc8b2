create or replace view analytics.queue_costs_daily as
select
  spent.day, spent.organization_id, spent.cluster_id, cluster.name as cluster, spent.queue, spent.minutes, spent.minutes_wasted,
  spent.minutes * coalesce(own.per_minute, anywhere.per_minute) as cost,
  spent.minutes_wasted * coalesce(own.per_minute, anywhere.per_minute) as cost_wasted,
  coalesce(own.currency, anywhere.currency) as currency
from (
  select day, organization_id, cluster_id, queue, sum(minutes) as minutes,
    sum(minutes_infra_lost + minutes_canceled + minutes_retried + minutes_rebuilt) as minutes_wasted
  from analytics.minutes_daily group by day, organization_id, cluster_id, queue
) as spent
left join buildkite.clusters as cluster on cluster.id = spent.cluster_id
left join sync.cluster_rates as own on own.queue = spent.queue and own.cluster_id = spent.cluster_id
left join (
  select queue, per_minute::double precision as per_minute, currency from settings.queue_rates where cluster = '*'
) as anywhere on anywhere.queue = spent.queue;

comment on view analytics.queue_costs_daily is 'As costs_daily, by queue only: priced after the minutes of all pipelines and branches were totalled, and so much faster.';
comment on column analytics.queue_costs_daily.day is 'Day in UTC.';
comment on column analytics.queue_costs_daily.organization_id is 'organizations.id.';
comment on column analytics.queue_costs_daily.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.queue_costs_daily.cluster is 'Name of the cluster, at present; null outside clusters.';
comment on column analytics.queue_costs_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.queue_costs_daily.minutes is 'Agent minutes.';
comment on column analytics.queue_costs_daily.minutes_wasted is 'Minutes wasted by lost agents, cancels, retries and rebuilds.';
comment on column analytics.queue_costs_daily.cost is 'minutes times the rate of the queue; null without a rate.';
comment on column analytics.queue_costs_daily.cost_wasted is 'minutes_wasted times the rate of the queue.';
comment on column analytics.queue_costs_daily.currency is 'Currency of the rate.';
