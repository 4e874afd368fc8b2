create or replace view analytics.pull_requests as
select
  build.organization_id,
  coalesce(analytics.repository_name(pipeline.repository), analytics.repository_name(build.pull_request_repository)) as repository,
  build.pull_request_id::integer as pr_number,
  max(build.pull_request_base) as pr_base,
  count(distinct build.commit) as pushes,
  count(*) as builds,
  count(*) filter (where analytics.build_result(build.state, build.blocked) = 'failed') as failed_builds,
  min(build.created_at) as first_build_at,
  max(case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end) as last_finished_at,
  sum((select case when count(*) filter (where run.is_unread) = 0 then sum(run.run_seconds) end from analytics.attempt_runs as run where run.build_id = build.id)) as run_seconds,
  max(lower(build.author_email)) as author_email,
  max(organization.slug) as organization,
  max(analytics.repository_name(nullif(build.pull_request_repository, ''))) as head_repository
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
where build.pull_request_id ~ '^[0-9]{1,9}$'
group by 1, 2, 3;

comment on view analytics.pull_requests is 'What each pull request cost in CI. Buildkite does not know merge times. Select one (where pr_number = ...), which is fast; all of history takes about 8 s on a million builds. For a range of time, group analytics.builds.';
comment on column analytics.pull_requests.organization_id is 'organizations.id.';
comment on column analytics.pull_requests.repository is 'owner/name of the repository that the pull request is opened in: the pipeline''s.';
comment on column analytics.pull_requests.pr_number is 'Number of the pull request.';
comment on column analytics.pull_requests.pr_base is 'Branch that it is to be merged into.';
comment on column analytics.pull_requests.pushes is 'Distinct commits built.';
comment on column analytics.pull_requests.builds is 'How many builds.';
comment on column analytics.pull_requests.failed_builds is 'How many of its builds failed.';
comment on column analytics.pull_requests.first_build_at is 'When its first build was created.';
comment on column analytics.pull_requests.last_finished_at is 'When its last build finished.';
comment on column analytics.pull_requests.run_seconds is 'Seconds that its builds ran, in total.';
comment on column analytics.pull_requests.author_email is 'E-mail address of the commit''s author, in lower case.';
comment on column analytics.pull_requests.organization is 'Slug of the organization, at present.';
comment on column analytics.pull_requests.head_repository is 'owner/name of the repository that the branch comes from; the fork''s for a fork.';
