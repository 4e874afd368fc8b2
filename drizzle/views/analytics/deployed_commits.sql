-- Deployments have no list of commits. The builds of the integration branch show them in the order in which they were first built.
create or replace view analytics.deployed_commits as
select
  deployed.id as deployment_id,
  deployed.organization_id,
  organization.slug as organization,
  deployed.service,
  deployed.environment,
  deployed.repository,
  deployed.deployed_at,
  brought.commit,
  brought.commit = deployed.commit_sha as is_head,
  written.at as committed_at,
  analytics.seconds(written.at, deployed.deployed_at) as lead_seconds
from analytics.deployments as deployed
left join buildkite.organizations as organization on organization.id = deployed.organization_id
left join (
  select organization_id, analytics.repository_name(repository) as repository, array_agg(id) as pipelines from buildkite.pipelines group by 1, 2
) as same on same.organization_id = deployed.organization_id and same.repository = deployed.repository
cross join lateral (
  select min(build.created_at) as at from buildkite.builds as build
  where build.commit = deployed.commit_sha and build.commit <> 'HEAD' and build.branch = deployed.integration_branch
    and build.pipeline_id = any (same.pipelines)
) as head
cross join lateral (
  select max(place.at) as at
  from (
    select earlier.commit_sha from analytics.deployments as earlier
    where earlier.success and earlier.organization_id = deployed.organization_id and earlier.service = deployed.service
      and earlier.environment = deployed.environment and earlier.deployed_at < deployed.deployed_at
      and earlier.repository is not distinct from deployed.repository
    order by earlier.deployed_at desc, earlier.id desc limit 5
  ) as one
  cross join lateral (
    select min(build.created_at) as at from buildkite.builds as build
    where build.commit = one.commit_sha and build.commit <> 'HEAD' and build.branch = deployed.integration_branch
      and build.pipeline_id = any (same.pipelines)
  ) as place
) as start
cross join lateral (
  select built.commit
  from (
    -- Few builds of a pipeline lie between two deployments. By branch, Postgres would read those of all pipelines.
    select distinct build.commit
    from unnest(same.pipelines) as pipeline (id)
    cross join lateral (
      select commit, branch from buildkite.builds
      where pipeline_id = pipeline.id and created_at > start.at and created_at <= head.at and commit <> 'HEAD' offset 0
    ) as build
    where build.branch = deployed.integration_branch
  ) as built
  cross join lateral (
    select min(build.created_at) as at from buildkite.builds as build
    where build.commit = built.commit and build.branch = deployed.integration_branch and build.pipeline_id = any (same.pipelines)
  ) as place
  where place.at > start.at
  union all
  -- Without a deployment before it, or a place for one of the two, only the deployed commit is known to be new.
  select deployed.commit_sha where deployed.commit_sha <> 'HEAD' and (start.at is null or head.at is null)
) as brought
cross join lateral (
  select min(build.author_date) as at from buildkite.builds as build
  where build.commit = brought.commit and build.organization_id = deployed.organization_id
) as written
where deployed.success and deployed.organization_id is not null;

comment on view analytics.deployed_commits is 'Commits that each successful deployment brought: those of the integration branch that were first built after the commits deployed before, and not after the deployed one. Buildkite shows only commits that were built. A commit deployed again brings none.';
comment on column analytics.deployed_commits.deployment_id is 'deployments.id.';
comment on column analytics.deployed_commits.organization_id is 'organizations.id.';
comment on column analytics.deployed_commits.organization is 'Slug of the organization, at present.';
comment on column analytics.deployed_commits.service is 'Service: of the rule, otherwise the pipeline''s slug.';
comment on column analytics.deployed_commits.environment is 'Environment, of the rule.';
comment on column analytics.deployed_commits.repository is 'owner/name of the repository.';
comment on column analytics.deployed_commits.deployed_at is 'When the deployment ended.';
comment on column analytics.deployed_commits.commit is 'Commit.';
comment on column analytics.deployed_commits.is_head is 'Whether it is the commit that was deployed.';
comment on column analytics.deployed_commits.committed_at is 'Author date of the commit, from any of its builds; null if none has it.';
comment on column analytics.deployed_commits.lead_seconds is 'Seconds from committed_at to deployed_at.';
