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
  select earlier.number, same.result
  from (
    -- In order, so that Postgres stops at the first build that has the job. Otherwise it may read all earlier builds and sort them.
    select id, number from buildkite.builds
    where pipeline_id = build.pipeline_id and branch = build.branch and number < build.number order by number desc offset 0
  ) as earlier
  cross join lateral (
    select tried.result
    from buildkite.jobs as one
    cross join lateral (select analytics.job_result(one.state, one.soft_failed, one.exit_status, one.signal_reason) as result) as tried
    where one.build_id = earlier.id and one.type = 'script' and one.retried_in_job_id is null and not coalesce(one.retried, false)
      and analytics.job_name(one.name, one.label, one.step_key, one.command)
        = analytics.job_name(job.name, job.label, job.step_key, job.command)
      -- The parts of a parallel step or a matrix may share a name.
      and one.step_key is not distinct from job.step_key and one.matrix is not distinct from job.matrix
      and one.parallel_group_index is not distinct from job.parallel_group_index
      and tried.result in ('passed', 'failed', 'soft_failed', 'timed_out')
    order by one.id limit 1
  ) as same
  order by earlier.number desc limit 1
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
