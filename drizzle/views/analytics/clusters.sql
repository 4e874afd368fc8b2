create or replace view analytics.clusters as
select
  cluster.id,
  cluster.organization_id,
  organization.slug as organization,
  cluster.name as cluster,
  cluster.description,
  cluster.default_queue_id,
  array(
    select member #>> '{actor,name}' from jsonb_path_query(cluster.maintainers, 'lax $.users[*]') as member
    where member #>> '{actor,name}' is not null order by 1
  ) as maintainer_users,
  array(
    select member #>> '{actor,slug}' from jsonb_path_query(cluster.maintainers, 'lax $.teams[*]') as member
    where member #>> '{actor,slug}' is not null order by 1
  ) as maintainer_teams,
  cluster.created_by_name,
  cluster.created_at,
  cluster.web_url,
  cluster.changed_at,
  cluster.deleted_at
from buildkite.clusters as cluster
left join buildkite.organizations as organization on organization.id = cluster.organization_id;

comment on view analytics.clusters is 'Clusters, as the lists show them; those that Buildkite no longer lists too.';
comment on column analytics.clusters.id is 'Buildkite''s UUID.';
comment on column analytics.clusters.organization_id is 'organizations.id.';
comment on column analytics.clusters.organization is 'Slug of the organization, at present.';
comment on column analytics.clusters.cluster is 'Name of the cluster, at present.';
comment on column analytics.clusters.description is 'Description.';
comment on column analytics.clusters.default_queue_id is 'queues.id of its default queue.';
comment on column analytics.clusters.maintainer_users is 'Names of the users who may manage the cluster, sorted.';
comment on column analytics.clusters.maintainer_teams is 'Slugs of the teams that may manage the cluster, sorted.';
comment on column analytics.clusters.created_by_name is 'Name of the person who created it.';
comment on column analytics.clusters.created_at is 'When it was created.';
comment on column analytics.clusters.web_url is 'Address in the browser.';
comment on column analytics.clusters.changed_at is 'When the row last changed in the mirror.';
comment on column analytics.clusters.deleted_at is 'When a list first lacked it; null: Buildkite lists it.';
