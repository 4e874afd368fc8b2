create or replace view sync.cluster_rates as
-- A cluster that the token may not list can still be named by its id, which takes precedence over a name.
select distinct on (rate.queue, named.cluster_id)
  rate.queue, named.cluster_id, rate.per_minute::double precision as per_minute, rate.currency
from settings.queue_rates as rate
cross join lateral (
  select rate.cluster::uuid as cluster_id, 1 as place where rate.cluster ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  union all
  select known.id, 2 from buildkite.clusters as known where known.name = rate.cluster
) as named
order by rate.queue, named.cluster_id, named.place;

comment on view sync.cluster_rates is 'The rates of settings.queue_rates that name a cluster, by the cluster''s id.';
comment on column sync.cluster_rates.queue is 'Queue.';
comment on column sync.cluster_rates.cluster_id is 'clusters.id.';
comment on column sync.cluster_rates.per_minute is 'What a minute of an agent costs.';
comment on column sync.cluster_rates.currency is 'Currency.';
