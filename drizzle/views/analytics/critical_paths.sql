create or replace view analytics.critical_paths as
select
  build.organization_id,
  build.pipeline_id,
  build.id as build_id,
  build.created_at,
  step.position,
  job.id as job_id,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
  job.started_at,
  job.finished_at,
  analytics.seconds(job.runnable_at, job.started_at) as agent_wait_seconds,
  analytics.seconds(job.started_at, job.finished_at) as run_seconds
from buildkite.builds as build
cross join lateral (
  with recursive path as (
    (select last.id, last.started_at, coalesce(last.runnable_at, last.started_at) as ready_at, 1 as position
      from buildkite.jobs as last
      where last.build_id = build.id and last.started_at is not null and last.finished_at is not null
      order by last.finished_at desc, last.id limit 1)
    union all
    select before.*, path.position + 1
    from path
    cross join lateral (
      select job.id, job.started_at, coalesce(job.runnable_at, job.started_at) as ready_at
      from buildkite.jobs as job
      where job.build_id = build.id and job.started_at is not null and job.finished_at <= path.ready_at + interval '1 second'
        and job.started_at < path.started_at
      order by job.finished_at desc, job.id limit 1
    ) as before
  )
  select path.id, row_number() over (order by path.position desc) as position from path
) as step
join buildkite.jobs as job on job.id = step.id;

comment on view analytics.critical_paths is 'The chain of jobs that decided how long a build took, first to last: from the job that finished last, back to the job whose end let it start. Buildkite''s API has no dependencies; a job counts as waiting for the one that finished last before it became runnable (within 1 s). Select one build (where build_id = ...).';
comment on column analytics.critical_paths.organization_id is 'organizations.id.';
comment on column analytics.critical_paths.pipeline_id is 'pipelines.id.';
comment on column analytics.critical_paths.build_id is 'builds.id.';
comment on column analytics.critical_paths.created_at is 'When it was created.';
comment on column analytics.critical_paths."position" is '1 for the first job.';
comment on column analytics.critical_paths.job_id is 'jobs.id.';
comment on column analytics.critical_paths.job is 'Name of the job, as people read it.';
comment on column analytics.critical_paths.started_at is 'When it started.';
comment on column analytics.critical_paths.finished_at is 'When it finished.';
comment on column analytics.critical_paths.agent_wait_seconds is 'Seconds from runnable to started: the wait for an agent.';
comment on column analytics.critical_paths.run_seconds is 'Seconds it ran.';
