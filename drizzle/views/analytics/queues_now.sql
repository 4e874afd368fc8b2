create or replace view analytics.queues_now as
select
  now_at.organization_id,
  organization.slug as organization,
  now_at.cluster_id,
  cluster.name as cluster,
  now_at.queue,
  count(*) filter (where now_at.is_job and now_at.started_at is null and now_at.runnable_at is not null)::integer as waiting,
  analytics.seconds(min(now_at.runnable_at) filter (where now_at.is_job and now_at.started_at is null), max(heard.heard_at)) as oldest_wait_seconds,
  count(*) filter (where now_at.is_job and now_at.started_at is not null)::integer as running,
  count(*) filter (where now_at.agent_id is not null and not now_at.is_job)::integer as agents,
  count(*) filter (where now_at.is_busy)::integer as agents_busy,
  count(*) filter (where now_at.agent_id is not null and not now_at.is_job and not now_at.is_busy)::integer as agents_idle,
  bool_or(now_at.dispatch_paused) as dispatch_paused,
  max(heard.heard_at)::timestamptz(3) as as_of
from (
  select build.organization_id, job.cluster_id, coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue,
    true as is_job, job.runnable_at, job.started_at, job.agent_id, false as is_busy, null::boolean as dispatch_paused
  from buildkite.jobs as job
  join buildkite.builds as build on build.id = job.build_id
  left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
  where job.type = 'script'
    and job.state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
    and coalesce(job.finished_at, job.expired_at) is null and job.deleted_at is null and coalesce(job.runnable_at, job.started_at) is not null
    and build.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and build.blocked is not true and build.deleted_at is null
  union all
  select agent.organization_id, agent.cluster_id, agent.queue, false, null, null, agent.id, exists (
    select from buildkite.jobs as job join buildkite.builds as build on build.id = job.build_id
    where job.agent_id = agent.id and job.started_at is not null and coalesce(job.finished_at, job.expired_at) is null and job.deleted_at is null
      and job.state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
      and build.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and build.blocked is not true and build.deleted_at is null
  ), null
  from analytics.agents as agent where agent.connection_state in ('connected', 'stopping') and agent.deleted_at is null
  union all
  select organization_id, cluster_id, key, false, null, null, null, false, dispatch_paused
  from buildkite.cluster_queues where deleted_at is null and key is not null
) as now_at
left join buildkite.organizations as organization on organization.id = now_at.organization_id
left join buildkite.clusters as cluster on cluster.id = now_at.cluster_id
left join sync.last_heard as heard on heard.organization_id = now_at.organization_id
group by now_at.organization_id, organization.slug, now_at.cluster_id, cluster.name, now_at.queue;

comment on view analytics.queues_now is 'What waits and runs in each queue at present, and the agents that serve it. Queues that are listed, have open jobs, or have connected agents.';
comment on column analytics.queues_now.organization_id is 'organizations.id.';
comment on column analytics.queues_now.organization is 'Slug of the organization, at present.';
comment on column analytics.queues_now.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.queues_now.cluster is 'Name of the cluster, at present; null outside clusters.';
comment on column analytics.queues_now.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.queues_now.waiting is 'Jobs that wait for an agent.';
comment on column analytics.queues_now.oldest_wait_seconds is 'How long the one of them that waits longest has waited at as_of, in seconds; null if none waits.';
comment on column analytics.queues_now.running is 'Jobs that run.';
comment on column analytics.queues_now.agents is 'Connected agents of the queue.';
comment on column analytics.queues_now.agents_busy is 'Those of them that run a job.';
comment on column analytics.queues_now.agents_idle is 'Those of them that run none, also paused ones.';
comment on column analytics.queues_now.dispatch_paused is 'Whether the queue gives no jobs to agents; null if no list shows the queue.';
comment on column analytics.queues_now.as_of is 'Until when the mirror has heard of the organization: its watermark, or the last delivery.';
