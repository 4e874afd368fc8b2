create or replace view analytics.agents as
select
  agent.id,
  agent.organization_id,
  agent.name as agent_name,
  coalesce(agent.queue, analytics.queue_of(agent.meta_data), 'default') as queue,
  agent.connection_state,
  agent.connection_state in ('connected', 'stopping') and agent.deleted_at is null as is_connected,
  agent.job_id is not null as is_busy,
  agent.version,
  agent.hostname,
  agent.os_id,
  agent.arch,
  agent.paused,
  agent.connected_at,
  agent.disconnected_at,
  agent.lost_at,
  agent.stopped_at,
  agent.last_job_finished_at,
  agent.meta_data,
  agent.changed_at,
  agent.created_at,
  agent.ip_address,
  organization.slug as organization,
  substring(coalesce(agent.cluster_url, agent.cluster_queue_url) from '/clusters/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})')::uuid as cluster_id,
  agent.deleted_at
from buildkite.agents as agent
left join buildkite.organizations as organization on organization.id = agent.organization_id;

comment on view analytics.agents is 'Agents as last seen, including those that are gone.';
comment on column analytics.agents.id is 'Buildkite''s UUID.';
comment on column analytics.agents.organization_id is 'organizations.id.';
comment on column analytics.agents.agent_name is 'Name of the agent.';
comment on column analytics.agents.queue is 'Queue that it serves.';
comment on column analytics.agents.connection_state is 'never_connected, connected, disconnected, stopping, stopped or lost.';
comment on column analytics.agents.is_connected is 'Whether it is connected or stopping, and the lists of agents show it.';
comment on column analytics.agents.is_busy is 'Whether it runs a job.';
comment on column analytics.agents.version is 'Version of the agent.';
comment on column analytics.agents.hostname is 'Name of its machine.';
comment on column analytics.agents.os_id is 'Operating system.';
comment on column analytics.agents.arch is 'Processor architecture.';
comment on column analytics.agents.paused is 'Whether it is paused.';
comment on column analytics.agents.connected_at is 'When it connected.';
comment on column analytics.agents.disconnected_at is 'When it disconnected.';
comment on column analytics.agents.lost_at is 'When it was found lost.';
comment on column analytics.agents.stopped_at is 'When it stopped.';
comment on column analytics.agents.last_job_finished_at is 'When its last job finished.';
comment on column analytics.agents.meta_data is 'Meta-data, as key=value.';
comment on column analytics.agents.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.agents.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.agents.deleted_at is 'When a list of agents lacked it, although it had not disconnected; null otherwise.';
comment on column analytics.agents.created_at is 'When it registered.';
comment on column analytics.agents.ip_address is 'Address it connects from.';
comment on column analytics.agents.organization is 'Slug of the organization, at present.';
