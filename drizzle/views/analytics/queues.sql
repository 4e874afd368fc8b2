create or replace view analytics.queues as
select
  queue.id,
  queue.organization_id,
  organization.slug as organization,
  queue.cluster_id,
  cluster.name as cluster,
  queue.key as queue,
  queue.description,
  cluster.default_queue_id = queue.id as is_default,
  coalesce(queue.hosted, false) as is_hosted,
  queue.hosted_agents_instance_shape_name as instance_shape,
  queue.hosted_agents_instance_shape_machine_type as machine_type,
  queue.hosted_agents_instance_shape_architecture as architecture,
  queue.hosted_agents_instance_shape_cpu as cpu,
  queue.hosted_agents_instance_shape_memory as memory_gb,
  queue.hosted_agents_agent_image_ref as image,
  queue.retry_agent_affinity,
  queue.dispatch_paused,
  queue.dispatch_paused_at,
  queue.dispatch_paused_by_name,
  lower(queue.dispatch_paused_by_email) as dispatch_paused_by_email,
  queue.dispatch_paused_note,
  queue.created_at,
  queue.web_url,
  queue.changed_at,
  queue.deleted_at
from buildkite.cluster_queues as queue
left join buildkite.clusters as cluster on cluster.id = queue.cluster_id
left join buildkite.organizations as organization on organization.id = queue.organization_id;

comment on view analytics.queues is 'Queues of clusters, as the lists show them; those that Buildkite no longer lists too.';
comment on column analytics.queues.id is 'Buildkite''s UUID.';
comment on column analytics.queues.organization_id is 'organizations.id.';
comment on column analytics.queues.organization is 'Slug of the organization, at present.';
comment on column analytics.queues.cluster_id is 'clusters.id.';
comment on column analytics.queues.cluster is 'Name of the cluster, at present.';
comment on column analytics.queues.queue is 'Key of the queue, as rules of agents and jobs name it.';
comment on column analytics.queues.description is 'Description.';
comment on column analytics.queues.is_default is 'Whether it is the default queue of its cluster.';
comment on column analytics.queues.is_hosted is 'Whether Buildkite hosts its agents.';
comment on column analytics.queues.instance_shape is 'Size of the hosted agents, such as LINUX_AMD64_2X4; null if they are not hosted.';
comment on column analytics.queues.machine_type is 'linux or macos; null if they are not hosted.';
comment on column analytics.queues.architecture is 'amd64 or arm64; null if they are not hosted.';
comment on column analytics.queues.cpu is 'Number of vCPUs; null if they are not hosted.';
comment on column analytics.queues.memory_gb is 'Memory, in GB; null if they are not hosted.';
comment on column analytics.queues.image is 'Image of the hosted agents; null if it is the default.';
comment on column analytics.queues.retry_agent_affinity is 'prefer-warmest or prefer-different: which agents retries prefer.';
comment on column analytics.queues.dispatch_paused is 'Whether the queue gives no jobs to agents.';
comment on column analytics.queues.dispatch_paused_at is 'When it was paused.';
comment on column analytics.queues.dispatch_paused_by_name is 'Name of the person who paused it.';
comment on column analytics.queues.dispatch_paused_by_email is 'E-mail address of the person who paused it, in lower case.';
comment on column analytics.queues.dispatch_paused_note is 'Why it was paused.';
comment on column analytics.queues.created_at is 'When it was created.';
comment on column analytics.queues.web_url is 'Address in the browser.';
comment on column analytics.queues.changed_at is 'When the row last changed in the mirror.';
comment on column analytics.queues.deleted_at is 'When a list first lacked it; null: Buildkite lists it.';
