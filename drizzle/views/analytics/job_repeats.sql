-- The first build of a commit stands for the commit. "offset 0" makes Postgres read jobs only if the commit has another build.
create or replace view analytics.job_repeats as
select
  first.organization_id,
  max(organization.slug) as organization,
  first.pipeline_id,
  max(pipeline.slug) as pipeline,
  first.commit,
  built.job,
  built.step_key,
  first.created_at,
  count(*) as builds,
  count(*) filter (where not built.failed) as passed,
  count(*) filter (where built.failed) as failed,
  bool_or(built.failed) and not bool_and(built.failed) as flaky
from buildkite.builds as first
left join buildkite.pipelines as pipeline on pipeline.id = first.pipeline_id
left join buildkite.organizations as organization on organization.id = first.organization_id
cross join lateral (
  select not exists (
      select from buildkite.builds as earlier
      where earlier.commit = first.commit and earlier.pipeline_id = first.pipeline_id and earlier.number < first.number
    ) and exists (
      select from buildkite.builds as later
      where later.commit = first.commit and later.pipeline_id = first.pipeline_id and later.number > first.number
    ) as is_first_of_several
  offset 0
) as place
cross join lateral (
  select job.build_id, analytics.job_name(job.name, job.label, job.step_key, job.command) as job, nullif(job.step_key, '') as step_key,
    job.matrix, job.parallel_group_index, bool_or(said.result <> 'passed') as failed
  from buildkite.builds as again
  join buildkite.jobs as job on job.build_id = again.id
  cross join lateral (
    select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result
  ) as said
  where place.is_first_of_several and again.commit = first.commit and again.pipeline_id = first.pipeline_id
    and job.type = 'script' and said.result in ('passed', 'failed', 'timed_out')
    and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = job.id)
  group by 1, 2, 3, 4, 5
) as built
where first.commit <> 'HEAD'
group by first.id, built.job, built.step_key, built.matrix, built.parallel_group_index
having count(*) > 1;

comment on view analytics.job_repeats is 'Jobs with a result in at least two builds of one commit, by the first try in each build. flaky: passed in one and failed in another. Soft failures, lost agents, cancels and expired jobs are no results.';
comment on column analytics.job_repeats.organization_id is 'organizations.id.';
comment on column analytics.job_repeats.organization is 'Slug of the organization, at present.';
comment on column analytics.job_repeats.pipeline_id is 'pipelines.id.';
comment on column analytics.job_repeats.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.job_repeats.commit is 'Commit.';
comment on column analytics.job_repeats.job is 'Name of the job, as people read it.';
comment on column analytics.job_repeats.step_key is 'Key of the step.';
comment on column analytics.job_repeats.created_at is 'When the commit''s first build in the pipeline was created.';
comment on column analytics.job_repeats.builds is 'Builds in which the job''s first try had a result.';
comment on column analytics.job_repeats.passed is 'Those in which it passed.';
comment on column analytics.job_repeats.failed is 'Those in which it failed or timed out.';
comment on column analytics.job_repeats.flaky is 'Whether it did both.';
