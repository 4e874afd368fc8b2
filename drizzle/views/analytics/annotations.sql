create or replace view analytics.annotations as
select
  annotation.id,
  annotation.organization_id,
  build.pipeline_id,
  annotation.build_id,
  build.number as build_number,
  annotation.job_id,
  annotation.context,
  annotation.style,
  annotation.scope,
  annotation.priority,
  annotation.body_html,
  annotation.created_at,
  annotation.updated_at,
  annotation.changed_at,
  annotation.deleted_at
from buildkite.annotations as annotation
left join buildkite.builds as build on build.id = annotation.build_id;

comment on view analytics.annotations is 'Annotations of finished builds and their jobs, if STORE_ANNOTATIONS is set.';
comment on column analytics.annotations.id is 'Buildkite''s UUID.';
comment on column analytics.annotations.organization_id is 'organizations.id.';
comment on column analytics.annotations.pipeline_id is 'pipelines.id.';
comment on column analytics.annotations.build_id is 'builds.id.';
comment on column analytics.annotations.build_number is 'Number of the build.';
comment on column analytics.annotations.job_id is 'jobs.id; null for an annotation of the build.';
comment on column analytics.annotations.context is 'Context: an annotation with the same one replaces it.';
comment on column analytics.annotations.style is 'success, info, warning or error.';
comment on column analytics.annotations.scope is 'build or job.';
comment on column analytics.annotations.priority is '1 to 10; higher ones are shown first.';
comment on column analytics.annotations.body_html is 'Content, as HTML.';
comment on column analytics.annotations.created_at is 'When it was created.';
comment on column analytics.annotations.updated_at is 'When it was last changed.';
comment on column analytics.annotations.changed_at is 'When the row last changed in the mirror.';
comment on column analytics.annotations.deleted_at is 'When a list first lacked it; null: Buildkite lists it.';
