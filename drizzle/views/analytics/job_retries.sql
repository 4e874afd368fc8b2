create or replace view analytics.job_retries as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  first.build_id,
  build.branch,
  build.commit,
  analytics.job_name(first.name, first.label, first.step_key, first.command) as job,
  first.id as first_job_id,
  final.id as final_job_id,
  final.tries,
  analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) as first_result,
  final.result as final_result,
  final.failed_before and coalesce(final.result = 'passed', false) as flaky,
  first.retry_type,
  coalesce(first.retried_by_name, final.retry_source_retried_by_name) as retried_by_name,
  first.finished_at as first_finished_at,
  final.finished_at as final_finished_at,
  organization.slug as organization
from buildkite.jobs as first
join buildkite.builds as build on build.id = first.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  with recursive tries as (
    select first.id, first.retried_in_job_id, 1 as try
    union all
    select next.id, next.retried_in_job_id, tries.try + 1
    from tries join buildkite.jobs as next on next.id = tries.retried_in_job_id
    where tries.try < 1000
  )
  select job.id, job.finished_at, job.retry_source_retried_by_name, tries.try as tries, ended.result,
    coalesce(bool_or(ended.result in ('failed', 'soft_failed', 'timed_out'))
      over (order by tries.try rows between unbounded preceding and 1 preceding), false) as failed_before
  from tries
  join buildkite.jobs as job on job.id = tries.id
  cross join lateral (select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result) as ended
  order by tries.try desc limit 1
) as final
where first.retried_in_job_id is not null
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id);

comment on view analytics.job_retries is 'Jobs that were tried again, one row for each chain of tries within one build: first try, last try, and whether that makes it flaky. All tries have the same commit. A job that passed when the whole build was rebuilt is in analytics.rebuilds.';
comment on column analytics.job_retries.organization_id is 'organizations.id.';
comment on column analytics.job_retries.pipeline_id is 'pipelines.id.';
comment on column analytics.job_retries.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.job_retries.build_id is 'builds.id.';
comment on column analytics.job_retries.branch is 'Branch.';
comment on column analytics.job_retries.commit is 'Commit; may be HEAD or a branch name until the build starts.';
comment on column analytics.job_retries.job is 'Name of the job, as people read it.';
comment on column analytics.job_retries.first_job_id is 'jobs.id of the first try.';
comment on column analytics.job_retries.final_job_id is 'jobs.id of the last try.';
comment on column analytics.job_retries.tries is 'How many tries, the first one too.';
comment on column analytics.job_retries.first_result is 'How the first attempt or try ended.';
comment on column analytics.job_retries.final_result is 'How the last try ended.';
comment on column analytics.job_retries.flaky is 'An earlier try failed and the last one passed, on the same commit.';
comment on column analytics.job_retries.retry_type is 'automatic or manual; null: not retried.';
comment on column analytics.job_retries.retried_by_name is 'Name of the person who retried it; null for automatic ones.';
comment on column analytics.job_retries.first_finished_at is 'When the first attempt or try ended.';
comment on column analytics.job_retries.final_finished_at is 'When the last try ended.';
comment on column analytics.job_retries.organization is 'Slug of the organization, at present.';
