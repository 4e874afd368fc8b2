create or replace view analytics.build_attempts as
select
  attempt.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  (select count(*) from buildkite.build_attempts as earlier
    where earlier.build_id = attempt.build_id and earlier.finished_at <= attempt.finished_at) as attempt,
  analytics.build_state(attempt.state, attempt.blocked) as state,
  analytics.build_result(attempt.state, attempt.blocked) as result,
  attempt.started_at,
  attempt.finished_at,
  (select run.run_seconds from analytics.attempt_runs as run where run.build_id = attempt.build_id and run.finished_at = attempt.finished_at) as run_seconds,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.commit,
  coalesce(pipeline.tags, '{}') as tags,
  attempt.changed_at
from buildkite.build_attempts as attempt
join buildkite.builds as build on build.id = attempt.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id;

comment on view analytics.build_attempts is 'Each finish of a build: a retry or an unblock begins the next attempt. A stop at a block step is an attempt of state blocked, without result. An attempt that is still running has no row yet.';
comment on column analytics.build_attempts.build_id is 'builds.id.';
comment on column analytics.build_attempts.organization_id is 'organizations.id.';
comment on column analytics.build_attempts.pipeline_id is 'pipelines.id.';
comment on column analytics.build_attempts.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.build_attempts.build_number is 'Number within the pipeline.';
comment on column analytics.build_attempts.attempt is '1 for the first.';
comment on column analytics.build_attempts.state is 'How it ended, or blocked if it stopped at a block step.';
comment on column analytics.build_attempts.result is 'passed, failed or canceled; null for a stop at a block step.';
comment on column analytics.build_attempts.started_at is 'When it started.';
comment on column analytics.build_attempts.finished_at is 'When it finished.';
comment on column analytics.build_attempts.run_seconds is 'Seconds it ran.';
comment on column analytics.build_attempts.branch is 'Branch.';
comment on column analytics.build_attempts.is_default_branch is 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';
comment on column analytics.build_attempts.commit is 'Commit; may be HEAD or a branch name until the build starts.';
comment on column analytics.build_attempts.tags is 'Tags of the pipeline, at present.';
comment on column analytics.build_attempts.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
