create or replace view analytics.pipeline_runs as
select
  build.id,
  build.id::text as reference_id,
  build.id::text as source_id,
  1::bigint as pipeline_source_id,
  coalesce(pipeline.name, pipeline.slug) as name,
  case
    when effective.state = 'passed' then 'success'
    when effective.state = 'failed' then 'failure'
    when effective.state in ('canceled', 'skipped', 'not_run') then 'cancelled'
    when effective.state in ('creating', 'scheduled', 'running', 'failing', 'canceling', 'blocked') then 'running'
    else 'unknown'
  end as status,
  span.started_at,
  span.finished_at,
  build.observed_at as updated_at,
  round(analytics.seconds(span.started_at, span.finished_at))::integer as duration,
  analytics.repository_name(pipeline.repository) as repository,
  build.commit as commit_sha,
  build.branch as head_branch,
  case when build.pull_request_id ~ '^[0-9]{1,9}$' then build.pull_request_id::integer end as pr_number,
  null::bigint as pull_id,
  null::bigint as dx_user_id,
  lower(coalesce(nullif(build.creator_email, ''), nullif(build.author_email, ''))) as email,
  coalesce(pipeline.web_url || '/builds/' || build.number, build.web_url) as source_url,
  null::bigint as github_repository_id,
  case when pipeline.provider_id like 'github%' then build.author_username end as github_username,
  null::bigint as gitlab_project_id
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (select analytics.build_state(build.state, build.blocked) as state) as effective
cross join lateral (
  select
    -- Buildkite may change the start of a build that runs again. Webhooks show each attempt. Of attempts before the first REST read only the
    -- jobs are known.
    least(
      build.started_at,
      (select min(attempt.started_at) from analytics.attempt_runs as attempt where attempt.build_id = build.id),
      case when build.first_seen_via = 'rest' then (select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job) end
    ) as started_at,
    case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at
) as span;

comment on view analytics.pipeline_runs is 'Builds in the shape of DX''s table of that name: with analytics in the search_path a query written for it runs unchanged. One row for each build. In our own shape, with first and final result: analytics.builds.';
comment on column analytics.pipeline_runs.id is 'Buildkite''s UUID.';
comment on column analytics.pipeline_runs.reference_id is 'Buildkite''s UUID, as text.';
comment on column analytics.pipeline_runs.source_id is 'Buildkite''s UUID, as text.';
comment on column analytics.pipeline_runs.pipeline_source_id is 'pipeline_sources.id.';
comment on column analytics.pipeline_runs.name is 'Name of the pipeline.';
comment on column analytics.pipeline_runs.status is 'success, failure, cancelled (also skipped and not run), running (also canceling, and blocked: a build that waits for an unblock is never a success) or unknown. Result of the final attempt: a failed build that passed in a retry is a success; its first result is in analytics.builds.';
comment on column analytics.pipeline_runs.started_at is 'The earliest start of any attempt, as DX counts it. For a build that REST showed first: of any job.';
comment on column analytics.pipeline_runs.finished_at is 'When it finished; null while it is open or blocked.';
comment on column analytics.pipeline_runs.updated_at is 'When the object was last seen to differ from the row.';
comment on column analytics.pipeline_runs.duration is 'Seconds from started_at to finished_at, as DX counts: including pauses at block steps and between attempts. Without them: builds.run_seconds. Null until both are known, and if one of them is invalid; see analytics.seconds.';
comment on column analytics.pipeline_runs.repository is 'owner/name of the repository.';
comment on column analytics.pipeline_runs.commit_sha is 'Commit.';
comment on column analytics.pipeline_runs.head_branch is 'Branch.';
comment on column analytics.pipeline_runs.pr_number is 'Number of the pull request.';
comment on column analytics.pipeline_runs.pull_id is 'DX''s own id; always null here.';
comment on column analytics.pipeline_runs.dx_user_id is 'DX''s own id; always null here.';
comment on column analytics.pipeline_runs.email is 'E-mail address of the creator, otherwise of the commit''s author, in lower case.';
comment on column analytics.pipeline_runs.source_url is 'Address in the browser, by the present name of the pipeline.';
comment on column analytics.pipeline_runs.github_repository_id is 'DX''s own id; always null here.';
comment on column analytics.pipeline_runs.github_username is 'User name of the commit''s author, where the pipeline''s repository is on GitHub.';
comment on column analytics.pipeline_runs.gitlab_project_id is 'DX''s own id; always null here.';
