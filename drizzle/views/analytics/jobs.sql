create or replace view analytics.jobs as
select
  job.id,
  job.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  job.type,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
  job.step_key,
  job.group_key,
  job.state,
  analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result,
  job.soft_failed,
  job.exit_status,
  job.signal,
  job.signal_reason,
  coalesce(job.retried, false) or job.retried_in_job_id is not null as retried,
  job.retried_in_job_id,
  job.retry_type,
  case when job.type = 'script' then coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') end as queue,
  job.cluster_id,
  job.agent_id,
  job.agent_name,
  job.created_at,
  job.scheduled_at,
  job.runnable_at,
  job.started_at,
  job.finished_at,
  analytics.seconds(job.created_at + coalesce(job.concurrency_wait_time_ms, 0) * interval '1 millisecond', job.runnable_at) as dependency_wait_seconds,
  job.concurrency_wait_time_ms / 1000.0::double precision as concurrency_wait_seconds,
  analytics.seconds(job.runnable_at, job.started_at) as agent_wait_seconds,
  analytics.seconds(job.started_at, job.finished_at) as run_seconds,
  job.parallel_group_index,
  job.parallel_group_total,
  job.matrix,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.commit,
  coalesce(pipeline.tags, '{}') as tags,
  array(
    select team.slug from buildkite.team_pipelines as owned join buildkite.teams as team on team.id = owned.team_id
    where owned.pipeline_id = build.pipeline_id and owned.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  case when job.web_url is not null then coalesce(pipeline.web_url || '/builds/' || build.number || '#' || job.id, job.web_url) end as web_url,
  job.changed_at,
  job.deleted_at,
  organization.slug as organization
from buildkite.jobs as job
left join buildkite.builds as build on build.id = job.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id;

comment on view analytics.jobs is 'Jobs, one row for each try: command jobs (type script), gates (manual), triggers, waiters. result shows why a job did not pass.';
comment on column analytics.jobs.id is 'Buildkite''s UUID.';
comment on column analytics.jobs.build_id is 'builds.id.';
comment on column analytics.jobs.organization_id is 'organizations.id.';
comment on column analytics.jobs.pipeline_id is 'pipelines.id.';
comment on column analytics.jobs.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.jobs.build_number is 'Number of the build.';
comment on column analytics.jobs.type is 'script, manual, trigger or waiter.';
comment on column analytics.jobs.job is 'What people call it: its name, otherwise its label, its step''s key, or the start of its command.';
comment on column analytics.jobs.step_key is 'Key of the step.';
comment on column analytics.jobs.group_key is 'Key of the group step that it belongs to.';
comment on column analytics.jobs.state is 'State, as Buildkite shows it.';
comment on column analytics.jobs.result is 'passed, soft_failed, failed, infra_lost, timed_out, expired, canceled, broken or skipped; null while it is open. See analytics.job_result.';
comment on column analytics.jobs.soft_failed is 'Whether its failure was allowed.';
comment on column analytics.jobs.exit_status is 'Exit status; -1: the agent was lost, or the job timed out.';
comment on column analytics.jobs.signal is 'Signal that ended it.';
comment on column analytics.jobs.signal_reason is 'Why, as Buildkite says: agent_stop, cancel, ...';
comment on column analytics.jobs.retried is 'Whether another try replaced it. Exclude such jobs for final results.';
comment on column analytics.jobs.retried_in_job_id is 'jobs.id of the next try.';
comment on column analytics.jobs.retry_type is 'automatic or manual; null: not retried.';
comment on column analytics.jobs.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default; null for jobs that need no agent.';
comment on column analytics.jobs.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.jobs.agent_id is 'agents.id.';
comment on column analytics.jobs.agent_name is 'Name of the agent.';
comment on column analytics.jobs.created_at is 'When it was created.';
comment on column analytics.jobs.scheduled_at is 'When it was scheduled.';
comment on column analytics.jobs.runnable_at is 'When only a free agent was missing: previous steps, gates and concurrency limits were done.';
comment on column analytics.jobs.started_at is 'When it started.';
comment on column analytics.jobs.finished_at is 'When it finished.';
comment on column analytics.jobs.dependency_wait_seconds is 'Seconds from created to runnable, without the wait for a concurrency group: steps and gates before it.';
comment on column analytics.jobs.concurrency_wait_seconds is 'Seconds of waiting for a concurrency group. Null: it was in none, or only webhooks have shown it.';
comment on column analytics.jobs.agent_wait_seconds is 'Seconds from runnable to started: the wait for an agent.';
comment on column analytics.jobs.run_seconds is 'Seconds from started to finished.';
comment on column analytics.jobs.parallel_group_index is 'Which part of a parallel step, from 0.';
comment on column analytics.jobs.parallel_group_total is 'Parts of the parallel step.';
comment on column analytics.jobs.matrix is 'Values of the matrix.';
comment on column analytics.jobs.branch is 'Branch.';
comment on column analytics.jobs.is_default_branch is 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';
comment on column analytics.jobs.commit is 'Commit; may be HEAD or a branch name until the build starts.';
comment on column analytics.jobs.tags is 'Tags of the pipeline, at present.';
comment on column analytics.jobs.teams is 'Slugs of the teams that own the pipeline, at present; empty if the token lacks view_teams.';
comment on column analytics.jobs.web_url is 'Address in the browser.';
comment on column analytics.jobs.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.jobs.deleted_at is 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';
comment on column analytics.jobs.organization is 'Slug of the organization, at present.';
