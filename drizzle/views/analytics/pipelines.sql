create or replace view analytics.pipelines as
select
  pipeline.id,
  pipeline.organization_id,
  organization.slug as organization,
  pipeline.slug as pipeline,
  pipeline.name,
  analytics.repository_url(pipeline.repository) as repository_url,
  analytics.repository_name(pipeline.repository) as repository,
  pipeline.default_branch,
  coalesce(pipeline.tags, '{}') as tags,
  array(
    select team.slug from buildkite.team_pipelines as owned join buildkite.teams as team on team.id = owned.team_id
    where owned.pipeline_id = pipeline.id and owned.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  pipeline.cluster_id,
  cluster.name as cluster,
  pipeline.visibility,
  pipeline.created_by_email,
  pipeline.created_at,
  pipeline.archived_at,
  pipeline.web_url,
  pipeline.changed_at,
  pipeline.deleted_at,
  pipeline.default_command_step_timeout,
  pipeline.maximum_command_step_timeout
from buildkite.pipelines as pipeline
left join buildkite.organizations as organization on organization.id = pipeline.organization_id
left join buildkite.clusters as cluster on cluster.id = pipeline.cluster_id;

comment on view analytics.pipelines is 'Pipelines with their tags and the teams that own them. Join here by pipeline_id to filter a view by team or tag (where ''payments'' = any (teams)); in the shapes of DX a run''s id is builds.id. Queues, agents and DORA by week belong to no pipeline.';
comment on column analytics.pipelines.id is 'Buildkite''s UUID.';
comment on column analytics.pipelines.organization_id is 'organizations.id.';
comment on column analytics.pipelines.organization is 'Slug of the organization, at present.';
comment on column analytics.pipelines.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.pipelines.name is 'Name for display.';
comment on column analytics.pipelines.repository_url is 'Address of the repository, as configured, without passwords and tokens.';
comment on column analytics.pipelines.repository is 'owner/name of the repository.';
comment on column analytics.pipelines.default_branch is 'Default branch.';
comment on column analytics.pipelines.tags is 'Tags of the pipeline, at present.';
comment on column analytics.pipelines.teams is 'Slugs of the teams that own the pipeline, at present; empty if the token lacks view_teams.';
comment on column analytics.pipelines.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.pipelines.cluster is 'Name of the cluster; null if the token lacks read_clusters.';
comment on column analytics.pipelines.visibility is 'public or private.';
comment on column analytics.pipelines.created_by_email is 'E-mail address of the person who created it.';
comment on column analytics.pipelines.created_at is 'When it was created.';
comment on column analytics.pipelines.archived_at is 'When it was archived.';
comment on column analytics.pipelines.web_url is 'Address in the browser.';
comment on column analytics.pipelines.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.pipelines.deleted_at is 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';
comment on column analytics.pipelines.default_command_step_timeout is 'Time limit of command steps that have none, in minutes.';
comment on column analytics.pipelines.maximum_command_step_timeout is 'Greatest time limit of a command step, in minutes.';
