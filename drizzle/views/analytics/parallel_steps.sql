create or replace view analytics.parallel_steps as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.id as build_id,
  step.step,
  build.created_at,
  step.parts,
  step.total,
  step.min_seconds,
  step.mean_seconds,
  step.max_seconds,
  step.max_seconds / nullif(step.mean_seconds, 0) as imbalance,
  organization.slug as organization
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  select
    min(coalesce(nullif(job.step_key, ''), analytics.job_name(job.name, job.label, job.step_key, job.command))) as step,
    count(*) as parts,
    max(job.parallel_group_total) as total,
    min(analytics.seconds(job.started_at, job.finished_at)) as min_seconds,
    avg(analytics.seconds(job.started_at, job.finished_at)) as mean_seconds,
    max(analytics.seconds(job.started_at, job.finished_at)) as max_seconds
  from buildkite.jobs as job
  where job.build_id = build.id and job.parallel_group_total > 1
    and job.retried_in_job_id is null and not coalesce(job.retried, false) and job.started_at is not null and job.finished_at is not null
  -- The id distinguishes a step without a key from the others of its build; the next build has a different id.
  group by coalesce(nullif(job.step_key, ''), job.step_id::text, job.name)
) as step;

comment on view analytics.parallel_steps is 'How evenly the parts of a parallel step share the work, by the last try of each part. imbalance 1 is perfect; at 2 the step takes twice as long as necessary. A step without a key has the name of its first part, so that it is the same step in the next build.';
comment on column analytics.parallel_steps.organization_id is 'organizations.id.';
comment on column analytics.parallel_steps.pipeline_id is 'pipelines.id.';
comment on column analytics.parallel_steps.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.parallel_steps.build_id is 'builds.id.';
comment on column analytics.parallel_steps.step is 'The step: its key, or the name of its first part.';
comment on column analytics.parallel_steps.created_at is 'When it was created.';
comment on column analytics.parallel_steps.parts is 'Parts that ran.';
comment on column analytics.parallel_steps.total is 'Parts that the step has.';
comment on column analytics.parallel_steps.min_seconds is 'Seconds of the shortest part.';
comment on column analytics.parallel_steps.mean_seconds is 'Mean, in seconds.';
comment on column analytics.parallel_steps.max_seconds is 'Seconds of the longest part.';
comment on column analytics.parallel_steps.imbalance is 'max_seconds divided by mean_seconds.';
comment on column analytics.parallel_steps.organization is 'Slug of the organization, at present.';
