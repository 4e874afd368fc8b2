create or replace view sync.queue_gauges as
select
  case when named.id is null then 'other' else coalesce(organization.slug, '') end as organization,
  case when named.id is null then 'other' else coalesce(cluster.name, now_at.cluster_id::text, '') end as cluster,
  case when named.id is null then 'other' else now_at.queue end as queue,
  sum(now_at.waiting)::integer as waiting,
  coalesce(max(now_at.oldest_wait_seconds), 0) as oldest_wait_seconds,
  sum(now_at.running)::integer as running,
  sum(now_at.agents_busy)::integer as agents_busy,
  sum(now_at.agents_idle)::integer as agents_idle
from (
  select organization_id, cluster_id, queue, waiting, oldest_wait_seconds, running, agents_busy, agents_idle from analytics.queues_now
  union all
  select organization_id, cluster_id, queue, 0, null, 0, 0, 0 from sync.metric_queues where id > 0
) as now_at
left join sync.metric_queues as named
  on (named.organization_id, named.cluster_id, named.queue) is not distinct from (now_at.organization_id, now_at.cluster_id, now_at.queue)
left join buildkite.organizations as organization on organization.id = now_at.organization_id
left join buildkite.clusters as cluster on cluster.id = now_at.cluster_id
group by 1, 2, 3;

comment on view sync.queue_gauges is 'analytics.queues_now as Prometheus reads it: the queues of sync.metric_queues, and all others together as other.';
comment on column sync.queue_gauges.organization is 'Slug of the organization.';
comment on column sync.queue_gauges.cluster is 'Name of the cluster, otherwise its id; empty outside clusters.';
comment on column sync.queue_gauges.queue is 'Queue.';
comment on column sync.queue_gauges.waiting is 'Jobs that wait for an agent.';
comment on column sync.queue_gauges.oldest_wait_seconds is 'How long the one of them that waits longest has waited, in seconds; 0 if none waits.';
comment on column sync.queue_gauges.running is 'Jobs that run.';
comment on column sync.queue_gauges.agents_busy is 'Connected agents that run a job.';
comment on column sync.queue_gauges.agents_idle is 'Connected agents that run none.';
