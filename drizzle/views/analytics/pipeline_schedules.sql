create or replace view analytics.pipeline_schedules as
select schedule.id, schedule.organization_id, schedule.pipeline_id, pipeline.slug as pipeline, schedule.label, schedule.cronline, schedule.branch,
  schedule.enabled, schedule.next_build_at, schedule.failed_at, schedule.failed_message, schedule.created_by_email, schedule.deleted_at,
  organization.slug as organization
from buildkite.pipeline_schedules as schedule
left join buildkite.pipelines as pipeline on pipeline.id = schedule.pipeline_id
left join buildkite.organizations as organization on organization.id = schedule.organization_id;

comment on view analytics.pipeline_schedules is 'Schedules of pipelines. They create the builds of source schedule; Buildkite does not show which schedule created a build.';
comment on column analytics.pipeline_schedules.id is 'Buildkite''s UUID.';
comment on column analytics.pipeline_schedules.organization_id is 'organizations.id.';
comment on column analytics.pipeline_schedules.pipeline_id is 'pipelines.id.';
comment on column analytics.pipeline_schedules.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.pipeline_schedules.label is 'Label.';
comment on column analytics.pipeline_schedules.cronline is 'When it creates builds, as cron or a word such as @daily.';
comment on column analytics.pipeline_schedules.branch is 'Branch.';
comment on column analytics.pipeline_schedules.enabled is 'Whether it is on.';
comment on column analytics.pipeline_schedules.next_build_at is 'When it creates the next build.';
comment on column analytics.pipeline_schedules.failed_at is 'When its last failed attempt to create a build was; null: the last one succeeded.';
comment on column analytics.pipeline_schedules.failed_message is 'Why the first one failed.';
comment on column analytics.pipeline_schedules.created_by_email is 'E-mail address of the person who created it.';
comment on column analytics.pipeline_schedules.deleted_at is 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';
comment on column analytics.pipeline_schedules.organization is 'Slug of the organization, at present.';
