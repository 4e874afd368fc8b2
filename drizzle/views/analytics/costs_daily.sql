create or replace view analytics.costs_daily as
select
  spent.day, spent.organization_id, spent.pipeline_id, spent.branch, spent.queue, spent.minutes,
  spent.minutes_infra_lost + spent.minutes_canceled + spent.minutes_retried + spent.minutes_rebuilt as minutes_wasted,
  spent.minutes * coalesce(own.per_minute, anywhere.per_minute) as cost,
  (spent.minutes_infra_lost + spent.minutes_canceled + spent.minutes_retried + spent.minutes_rebuilt)
    * coalesce(own.per_minute, anywhere.per_minute) as cost_wasted,
  coalesce(own.currency, anywhere.currency) as currency,
  spent.cluster_id,
  cluster.name as cluster
from analytics.minutes_daily as spent
left join buildkite.clusters as cluster on cluster.id = spent.cluster_id
left join sync.cluster_rates as own on own.queue = spent.queue and own.cluster_id = spent.cluster_id
left join (
  select queue, per_minute::double precision as per_minute, currency from settings.queue_rates where cluster = '*'
) as anywhere on anywhere.queue = spent.queue;

comment on view analytics.costs_daily is 'Agent minutes times the rates in settings.queue_rates: the rate for the cluster, otherwise the rate for every cluster. cost is null for a queue without a rate.';
comment on column analytics.costs_daily.day is 'Day in UTC.';
comment on column analytics.costs_daily.organization_id is 'organizations.id.';
comment on column analytics.costs_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.costs_daily.branch is 'Branch.';
comment on column analytics.costs_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.costs_daily.minutes is 'Agent minutes.';
comment on column analytics.costs_daily.minutes_wasted is 'Those wasted by lost agents, cancels, retries and rebuilds.';
comment on column analytics.costs_daily.cost is 'Minutes times the queue''s rate.';
comment on column analytics.costs_daily.cost_wasted is 'Minutes wasted times the queue''s rate.';
comment on column analytics.costs_daily.currency is 'Currency of the rate.';
comment on column analytics.costs_daily.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.costs_daily.cluster is 'Name of the cluster, at present; null outside clusters.';
