create or replace view analytics.first_failures as
select
  build.id as build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.created_at,
  build.failing_at,
  job.id as job_id,
  job.name as job,
  job.failed_at as job_failed_at,
  least(build.failing_at, job.failed_at) as first_failure_at,
  analytics.seconds(build.created_at, least(build.failing_at, job.failed_at)) as seconds_to_first_failure,
  case when analytics.build_result(build.state, build.blocked) is not null then analytics.seconds(build.created_at, build.finished_at) end as total_seconds,
  organization.slug as organization
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
left join lateral (
  select failed.id, analytics.job_name(failed.name, failed.label, failed.step_key, failed.command) as name,
    least(coalesce(failed.finished_at, failed.expired_at), case when failed.promised_exit_status <> 0 then failed.promised_exit_status_at end) as failed_at
  from buildkite.jobs as failed
  where failed.build_id = build.id and failed.type = 'script'
    and not coalesce(failed.soft_failed, false)
    and not (coalesce(failed.retried, false) and failed.retry_type is not distinct from 'automatic')
    and analytics.job_result(failed.state, failed.soft_failed, failed.exit_status, failed.signal_reason) in ('failed', 'infra_lost', 'timed_out', 'expired')
  order by 3, failed.id limit 1
) as job on true
-- The build first: its jobs are read only if something shows that it failed.
where (
    build.failing_at is not null or build.state in ('failed', 'failing', 'canceling', 'canceled')
    or exists (select from buildkite.build_attempts as attempt where attempt.build_id = build.id and attempt.state = 'failed')
  ) and (build.failing_at is not null or job.failed_at is not null);

comment on view analytics.first_failures is 'When a build first showed that it would fail: the earliest of failing_at, the first hard failure of a job, and a promised exit status. Includes builds that passed after a manual retry, if failing_at or a failed attempt shows the failure. A try that Buildkite retried automatically is no sign: nobody was notified.';
comment on column analytics.first_failures.build_id is 'builds.id.';
comment on column analytics.first_failures.organization_id is 'organizations.id.';
comment on column analytics.first_failures.pipeline_id is 'pipelines.id.';
comment on column analytics.first_failures.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.first_failures.branch is 'Branch.';
comment on column analytics.first_failures.is_default_branch is 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';
comment on column analytics.first_failures.created_at is 'When it was created.';
comment on column analytics.first_failures.failing_at is 'When the build was first certain to fail; stays if a retry passes.';
comment on column analytics.first_failures.job_id is 'jobs.id of the job that failed first.';
comment on column analytics.first_failures.job is 'Name of the job that failed first.';
comment on column analytics.first_failures.job_failed_at is 'When the first job failed hard, or announced that it will.';
comment on column analytics.first_failures.first_failure_at is 'The earlier of failing_at and job_failed_at.';
comment on column analytics.first_failures.seconds_to_first_failure is 'Seconds from the build''s creation to its first sign of failure.';
comment on column analytics.first_failures.total_seconds is 'Seconds from created to finished, including pauses and waits; null while it is not finished.';
comment on column analytics.first_failures.organization is 'Slug of the organization, at present.';
