create or replace view analytics.agent_connections as
select
  connection.agent_id,
  agent.organization_id,
  agent.cluster_id,
  agent.queue,
  agent.agent_name,
  connection.connected_at,
  connection.ended_at,
  connection.ended_as,
  analytics.seconds(connection.connected_at, connection.ended_at) as connected_seconds,
  connection.changed_at
from buildkite.agent_connections as connection
left join analytics.agents as agent on agent.id = connection.agent_id;

comment on view analytics.agent_connections is 'Each known connection of an agent, also of agents that are gone.';
comment on column analytics.agent_connections.agent_id is 'agents.id.';
comment on column analytics.agent_connections.organization_id is 'organizations.id.';
comment on column analytics.agent_connections.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.agent_connections.queue is 'Queue that the agent serves.';
comment on column analytics.agent_connections.agent_name is 'Name of the agent.';
comment on column analytics.agent_connections.connected_at is 'When it connected.';
comment on column analytics.agent_connections.ended_at is 'When the connection ended; null while it lasts, or if its end is not known.';
comment on column analytics.agent_connections.ended_as is 'disconnected, lost or stopped, as Buildkite says; unlisted: a list of agents lacked the agent, and ended_at is when it was last seen.';
comment on column analytics.agent_connections.connected_seconds is 'Seconds from connected_at to ended_at.';
comment on column analytics.agent_connections.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
