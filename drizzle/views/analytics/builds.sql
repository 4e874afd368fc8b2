create or replace view analytics.builds as
select
  build.id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  analytics.build_state(build.state, build.blocked) as state,
  analytics.build_result(build.state, build.blocked) as result,
  run.first_result,
  run.first_finished_at,
  run.attempts,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.tag,
  build.commit,
  build.message,
  build.source,
  case when build.pull_request_id ~ '^[0-9]{1,9}$' then build.pull_request_id::integer end as pr_number,
  build.pull_request_base as pr_base,
  build.pull_request_labels as pr_labels,
  build.author_name,
  lower(build.author_email) as author_email,
  build.creator_id,
  build.creator_name,
  lower(build.creator_email) as creator_email,
  build.created_at,
  start.at as started_at,
  case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at,
  build.failing_at,
  analytics.seconds(build.created_at, start.at) as wait_seconds,
  run.run_seconds,
  run.first_run_seconds,
  case when analytics.build_result(build.state, build.blocked) is not null then analytics.seconds(build.created_at, build.finished_at) end as total_seconds,
  array(
    select distinct coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue
    from buildkite.jobs as job left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
    where job.build_id = build.id and job.type = 'script' order by queue
  ) as queues,
  build.cancel_reason,
  build.rebuilt_from_id,
  build.triggered_from_build_id,
  coalesce(pipeline.tags, '{}') as tags,
  array(
    select team.slug from buildkite.team_pipelines as owned join buildkite.teams as team on team.id = owned.team_id
    where owned.pipeline_id = build.pipeline_id and owned.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  coalesce(pipeline.web_url || '/builds/' || build.number, build.web_url) as web_url,
  build.verified_at is null or build.observed_at > build.verified_at as is_provisional,
  build.changed_at,
  build.deleted_at,
  build.meta_data,
  build.merge_queue_base_branch,
  analytics.repository_name(build.pull_request_repository) as pull_request_repository,
  build.scheduled_at,
  build.author_username,
  organization.slug as organization,
  coalesce(run.is_estimate, false) as is_estimate
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  select
    (array_agg(attempt.state order by attempt.finished_at) filter (where analytics.build_result(attempt.state, attempt.blocked) is not null))[1] as first_result,
    min(attempt.finished_at) filter (where analytics.build_result(attempt.state, attempt.blocked) is not null) as first_finished_at,
    count(*) filter (where analytics.build_result(attempt.state, attempt.blocked) is not null) as attempts,
    case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) end as run_seconds,
    case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) filter (where attempt.is_first) end as first_run_seconds,
    min(attempt.started_at) as started_at,
    bool_or(attempt.is_estimate) as is_estimate
  from analytics.attempt_runs as attempt where attempt.build_id = build.id
) as run
cross join lateral (
  select least(
    build.started_at,
    run.started_at,
    case when build.first_seen_via = 'rest' then (select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job) end
  ) as at
) as start;

comment on view analytics.builds is 'Builds, one row each, with first and final result side by side. run_seconds is how long people wait while it runs, total_seconds how long in all. For a build that finished before the mirror saw it, earlier stops are derived from its jobs: is_estimate.';
comment on column analytics.builds.id is 'Buildkite''s UUID.';
comment on column analytics.builds.organization_id is 'organizations.id.';
comment on column analytics.builds.pipeline_id is 'pipelines.id.';
comment on column analytics.builds.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.builds.build_number is 'Number within the pipeline.';
comment on column analytics.builds.state is 'The effective state: blocked while it waits at a block step, otherwise Buildkite''s state. Canceled stays canceled.';
comment on column analytics.builds.result is 'How it ended, finally: passed, failed, canceled, skipped, not_run. Null while it is open or blocked.';
comment on column analytics.builds.first_result is 'How the first attempt ended.';
comment on column analytics.builds.first_finished_at is 'When the first attempt ended.';
comment on column analytics.builds.attempts is 'How often it has finished, without stops at block steps.';
comment on column analytics.builds.branch is 'Branch.';
comment on column analytics.builds.is_default_branch is 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';
comment on column analytics.builds.tag is 'Tag.';
comment on column analytics.builds.commit is 'Commit; may be HEAD or a branch name until the build starts.';
comment on column analytics.builds.message is 'Commit message, or what the build was given.';
comment on column analytics.builds.source is 'What created the build: webhook, api, ui, trigger_job, schedule.';
comment on column analytics.builds.pr_number is 'Number of the pull request.';
comment on column analytics.builds.pr_base is 'Branch that the pull request is to be merged into.';
comment on column analytics.builds.pr_labels is 'Labels of the pull request.';
comment on column analytics.builds.author_name is 'Name of the commit''s author.';
comment on column analytics.builds.author_email is 'E-mail address of the commit''s author, in lower case.';
comment on column analytics.builds.creator_id is 'Id of the person who created the build (users.id).';
comment on column analytics.builds.creator_name is 'Name of the person who created the build.';
comment on column analytics.builds.creator_email is 'E-mail address of the person who created the build, in lower case.';
comment on column analytics.builds.created_at is 'When it was created.';
comment on column analytics.builds.started_at is 'The earliest start of any attempt. For a build that REST showed first: of any job.';
comment on column analytics.builds.finished_at is 'When it finished; null while it is open or blocked.';
comment on column analytics.builds.failing_at is 'When the build was first certain to fail; stays if a retry passes.';
comment on column analytics.builds.wait_seconds is 'Seconds from created to first started.';
comment on column analytics.builds.run_seconds is 'Seconds of running, total of all finished attempts, without pauses at block steps and between attempts. Null if it never started, or if only the build is known and not its jobs.';
comment on column analytics.builds.first_run_seconds is 'Seconds of running until the first result.';
comment on column analytics.builds.total_seconds is 'Seconds from created to finished, including pauses and waits; null while it is not finished.';
comment on column analytics.builds.queues is 'Queues of its command jobs.';
comment on column analytics.builds.cancel_reason is 'Why it was canceled or skipped, as Buildkite says.';
comment on column analytics.builds.rebuilt_from_id is 'builds.id of the build that it repeats.';
comment on column analytics.builds.triggered_from_build_id is 'builds.id of the build that triggered it.';
comment on column analytics.builds.tags is 'Tags of the pipeline, at present.';
comment on column analytics.builds.teams is 'Slugs of the teams that own the pipeline, at present; empty if the token lacks view_teams.';
comment on column analytics.builds.web_url is 'Address in the browser, by the present name of the pipeline.';
comment on column analytics.builds.is_provisional is 'Whether a webhook changed it after the last REST read.';
comment on column analytics.builds.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.builds.deleted_at is 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';
comment on column analytics.builds.meta_data is 'Meta-data that its steps set: an object of strings. No webhook shows a change, so it is as of the last REST read.';
comment on column analytics.builds.merge_queue_base_branch is 'Branch that the merge queue merges into; null outside merge queues.';
comment on column analytics.builds.pull_request_repository is 'owner/name of the repository that the pull request comes from; the fork''s for a fork.';
comment on column analytics.builds.scheduled_at is 'When it was scheduled. May be before created_at.';
comment on column analytics.builds.author_username is 'User name of the commit''s author, if the source host shows it.';
comment on column analytics.builds.organization is 'Slug of the organization, at present.';
comment on column analytics.builds.is_estimate is 'Whether a stop of this build (at a gate, or before a retry by hand) is known only from its jobs, because no webhook and no read showed it: then first_result, first_finished_at, attempts and the seconds are estimates. Also true if only the build is known and not its jobs: then run_seconds is null.';
