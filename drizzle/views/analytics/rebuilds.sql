create or replace view analytics.rebuilds as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  original.id as original_build_id,
  original.number as original_build_number,
  analytics.build_result(original.state, original.blocked) as original_result,
  build.id as rebuild_id,
  build.number as rebuild_number,
  analytics.build_result(build.state, build.blocked) as rebuild_result,
  original.commit = build.commit as same_commit,
  analytics.build_result(original.state, original.blocked) = 'failed' and analytics.build_result(build.state, build.blocked) = 'passed' as passed_on_rebuild,
  lower(build.creator_email) as rebuilt_by_email,
  build.created_at,
  organization.slug as organization
from buildkite.builds as build
left join buildkite.builds as original on original.id = build.rebuilt_from_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
where build.rebuilt_from_id is not null;

comment on view analytics.rebuilds is 'Builds that Rebuild created, beside the build that they repeat.';
comment on column analytics.rebuilds.organization_id is 'organizations.id.';
comment on column analytics.rebuilds.pipeline_id is 'pipelines.id.';
comment on column analytics.rebuilds.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.rebuilds.original_build_id is 'builds.id of the repeated build.';
comment on column analytics.rebuilds.original_build_number is 'Its number.';
comment on column analytics.rebuilds.original_result is 'Its result.';
comment on column analytics.rebuilds.rebuild_id is 'builds.id of the new build.';
comment on column analytics.rebuilds.rebuild_number is 'Its number.';
comment on column analytics.rebuilds.rebuild_result is 'Its result.';
comment on column analytics.rebuilds.same_commit is 'Whether both have the same commit.';
comment on column analytics.rebuilds.passed_on_rebuild is 'Failed, then passed as a rebuild.';
comment on column analytics.rebuilds.rebuilt_by_email is 'E-mail address of the person who rebuilt.';
comment on column analytics.rebuilds.created_at is 'When it was created.';
comment on column analytics.rebuilds.organization is 'Slug of the organization, at present.';
