create or replace view analytics.build_attempts as
select
  attempt.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  attempt.attempt,
  analytics.build_state(attempt.state, attempt.blocked) as state,
  analytics.build_result(attempt.state, attempt.blocked) as result,
  attempt.started_at,
  attempt.finished_at,
  attempt.run_seconds,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.commit,
  coalesce(pipeline.tags, '{}') as tags,
  coalesce(known.changed_at, build.changed_at) as changed_at,
  attempt.is_estimate,
  organization.slug as organization
from (
  select build_id, state, blocked, started_at, finished_at, run_seconds, is_estimate,
    row_number() over (partition by build_id order by finished_at) as attempt
  from analytics.attempt_runs
) as attempt
left join buildkite.build_attempts as known on known.build_id = attempt.build_id and known.finished_at = attempt.finished_at
join buildkite.builds as build on build.id = attempt.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id;

comment on view analytics.build_attempts is 'Each finish of a build: a retry or an unblock begins the next attempt. A stop at a block step is an attempt of state blocked, without result. A stop that ended before the mirror saw the build is derived from its jobs: is_estimate. An attempt that is still running has no row yet.';
comment on column analytics.build_attempts.build_id is 'builds.id.';
comment on column analytics.build_attempts.organization_id is 'organizations.id.';
comment on column analytics.build_attempts.pipeline_id is 'pipelines.id.';
comment on column analytics.build_attempts.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.build_attempts.build_number is 'Number within the pipeline.';
comment on column analytics.build_attempts.attempt is '1 for the first.';
comment on column analytics.build_attempts.state is 'How it ended, or blocked if it stopped at a block step.';
comment on column analytics.build_attempts.result is 'passed, failed, canceled, skipped or not_run; null for a stop at a block step.';
comment on column analytics.build_attempts.started_at is 'When it started; a later attempt starts with its first job.';
comment on column analytics.build_attempts.finished_at is 'When it finished.';
comment on column analytics.build_attempts.run_seconds is 'Seconds it ran; null if it never started, or if nothing shows whether the build stopped in between.';
comment on column analytics.build_attempts.branch is 'Branch.';
comment on column analytics.build_attempts.is_default_branch is 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';
comment on column analytics.build_attempts.commit is 'Commit; may be HEAD or a branch name until the build starts.';
comment on column analytics.build_attempts.tags is 'Tags of the pipeline, at present.';
comment on column analytics.build_attempts.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.build_attempts.is_estimate is 'Whether a stop of this build is known only from its jobs: then the times of the stop and the result before it are estimates. Also true if only the build is known and not its jobs: then run_seconds is null.';
comment on column analytics.build_attempts.organization is 'Slug of the organization, at present.';
