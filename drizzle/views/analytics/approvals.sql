create or replace view analytics.approvals as
select
  job.id as job_id,
  job.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.branch,
  analytics.job_name(job.name, job.label, job.step_key, null) as step,
  job.state,
  blocked.since as blocked_at,
  job.unblocked_at,
  analytics.seconds(blocked.since, job.unblocked_at) as wait_seconds,
  job.unblocked_by_id,
  job.unblocked_by_name,
  lower(job.unblocked_by_email) as unblocked_by_email,
  job.created_at,
  organization.slug as organization
from buildkite.jobs as job
left join buildkite.builds as build on build.id = job.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  -- A gate that the build has not reached holds nothing.
  select case when job.unblocked_at is not null or job.state = 'blocked' or job.state = 'canceled' and build.blocked then coalesce(
    (select max(attempt.finished_at) from buildkite.build_attempts as attempt
      where attempt.build_id = job.build_id and analytics.build_state(attempt.state, attempt.blocked) = 'blocked' and (job.unblocked_at is null or attempt.finished_at <= job.unblocked_at)),
    job.runnable_at,
    (select max(before.finished_at) from buildkite.jobs as before
      where before.build_id = job.build_id and (before.finished_at <= job.unblocked_at or job.unblocked_at is null and (job.state = 'blocked' or job.state = 'canceled' and build.blocked))),
    job.created_at,
    build.created_at
  ) end as since
) as blocked
where job.type = 'manual';

comment on view analytics.approvals is 'Block and input steps: since when each held its build, who unblocked it and when. Most are read over REST, where blocked_at is an estimate: see its comment.';
comment on column analytics.approvals.job_id is 'jobs.id.';
comment on column analytics.approvals.build_id is 'builds.id.';
comment on column analytics.approvals.organization_id is 'organizations.id.';
comment on column analytics.approvals.pipeline_id is 'pipelines.id.';
comment on column analytics.approvals.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.approvals.branch is 'Branch.';
comment on column analytics.approvals.step is 'The step: its name, otherwise its label, otherwise its key.';
comment on column analytics.approvals.state is 'blocked, unblocked, canceled, ...';
comment on column analytics.approvals.blocked_at is 'Since when the build has waited here: its last stop before the unblock, if a webhook or a read showed it. REST has no time for a gate; then it is an estimate: the last end of any job of the build before the unblock, or the build''s creation if none had ended.';
comment on column analytics.approvals.unblocked_at is 'When it was unblocked; null: not yet.';
comment on column analytics.approvals.wait_seconds is 'Seconds from blocked to unblocked, as far as blocked_at is known; null: not yet.';
comment on column analytics.approvals.unblocked_by_id is 'Id of the person who unblocked it.';
comment on column analytics.approvals.unblocked_by_name is 'Name of the person who unblocked it.';
comment on column analytics.approvals.unblocked_by_email is 'E-mail address of the person who unblocked it.';
comment on column analytics.approvals.created_at is 'When it was created.';
comment on column analytics.approvals.organization is 'Slug of the organization, at present.';
