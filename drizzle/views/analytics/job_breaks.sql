create or replace view analytics.job_breaks as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
  job.id as job_id,
  build.id as broken_by_build_id,
  build.number as broken_by_build_number,
  build.commit as broken_by_commit,
  lower(coalesce(nullif(build.author_email, ''), nullif(build.creator_email, ''))) as broken_by_email,
  before.number as last_good_build_number,
  job.finished_at as broken_at,
  organization.slug as organization
from buildkite.jobs as job
join buildkite.builds as build on build.id = job.build_id
join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id and pipeline.default_branch = build.branch
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  select earlier.number, analytics.job_result(same.state, same.soft_failed, same.exit_status, same.signal_reason) as result
  from buildkite.builds as earlier
  join buildkite.jobs as same on same.build_id = earlier.id
  where earlier.pipeline_id = build.pipeline_id and earlier.branch = build.branch and earlier.number < build.number
    and same.type = 'script' and same.retried_in_job_id is null and not coalesce(same.retried, false)
    and analytics.job_name(same.name, same.label, same.step_key, same.command)
      = analytics.job_name(job.name, job.label, job.step_key, job.command)
    -- The parts of a parallel step or a matrix may share a name.
    and same.step_key is not distinct from job.step_key and same.matrix is not distinct from job.matrix
    and same.parallel_group_index is not distinct from job.parallel_group_index
    and analytics.job_result(same.state, same.soft_failed, same.exit_status, same.signal_reason) in ('passed', 'failed', 'soft_failed', 'timed_out')
  order by earlier.number desc, same.id limit 1
) as before
where job.type = 'script' and job.state in ('failed', 'finished', 'timed_out') and job.retried_in_job_id is null and not coalesce(job.retried, false)
  and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) in ('failed', 'timed_out')
  and before.result = 'passed';

comment on view analytics.job_breaks is 'Which build broke a job on the present default branch: its last try failed or timed out, and it had passed in the previous build that contained it. The same job means the same name, step key, matrix and place among parallel parts. Lost agents do not count.';
comment on column analytics.job_breaks.organization_id is 'organizations.id.';
comment on column analytics.job_breaks.pipeline_id is 'pipelines.id.';
comment on column analytics.job_breaks.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.job_breaks.job is 'Name of the job, as people read it.';
comment on column analytics.job_breaks.job_id is 'jobs.id.';
comment on column analytics.job_breaks.broken_by_build_id is 'builds.id of the build that broke it.';
comment on column analytics.job_breaks.broken_by_build_number is 'Its number.';
comment on column analytics.job_breaks.broken_by_commit is 'Its commit.';
comment on column analytics.job_breaks.broken_by_email is 'E-mail address of the commit''s author, otherwise of the build''s creator.';
comment on column analytics.job_breaks.last_good_build_number is 'Number of the build before, in which the job passed.';
comment on column analytics.job_breaks.broken_at is 'When it broke: the end of the first red build or try.';
comment on column analytics.job_breaks.organization is 'Slug of the organization, at present.';
