-- "is not distinct from" and "is null" keep Postgres from reading all builds of the branch: few of them are red.
create or replace view analytics.first_trunk_recoveries as
select
  red.organization_id,
  organization.slug as organization,
  red.pipeline_id,
  pipeline.slug as pipeline,
  red.branch,
  red.created_at,
  red.id as broken_by_build_id,
  red.number as broken_by_build_number,
  red.commit as broken_by_commit,
  lower(coalesce(nullif(red.author_email, ''), nullif(red.creator_email, ''))) as broken_by_email,
  first.finished_at as broken_at,
  green.id as recovered_by_build_id,
  green.number as recovered_by_build_number,
  green.passed_at as recovered_at,
  green.result <> 'passed' as recovered_by_retry,
  analytics.seconds(first.finished_at, green.passed_at) as seconds_to_green
from buildkite.builds as red
join buildkite.pipelines as pipeline on pipeline.id = red.pipeline_id and pipeline.default_branch is not distinct from red.branch
left join buildkite.organizations as organization on organization.id = red.organization_id
join sync.first_results as first on first.build_id = red.id
left join lateral (
  select ended.result, ended.passed_at
  from buildkite.builds as earlier join sync.first_results as ended on ended.build_id = earlier.id
  where earlier.pipeline_id = red.pipeline_id and earlier.branch = red.branch and earlier.number < red.number
    and ended.result in ('passed', 'failed')
  order by earlier.number desc limit 1
) as before on true
-- The next build that passed at once ends the period, if no retry of an earlier one did.
left join lateral (
  select later.number
  from buildkite.builds as later join sync.first_results as ended on ended.build_id = later.id
  where later.pipeline_id = red.pipeline_id and later.branch = red.branch and later.number > red.number and ended.result = 'passed'
  order by later.number limit 1
) as good on true
left join lateral (
  select later.id, later.number, ended.result, ended.passed_at
  from buildkite.builds as later join sync.first_results as ended on ended.build_id = later.id
  where later.pipeline_id = red.pipeline_id and later.branch = red.branch
    and later.number >= red.number and later.number <= coalesce(good.number, 9223372036854775807)
    and ended.result in ('passed', 'failed') and ended.passed_at is not null
    and (
      select true from buildkite.builds as newer join sync.first_results as shown on shown.build_id = newer.id
      where newer.pipeline_id = red.pipeline_id and newer.branch = red.branch
        and newer.number > later.number and newer.number < coalesce(good.number, 9223372036854775807)
        and shown.result = 'failed' and shown.finished_at <= ended.passed_at and (shown.passed_at > ended.passed_at) is not false
      limit 1
    ) is null
  order by ended.passed_at, later.number limit 1
) as green on true
-- A build that never failed need not be read: neither a known attempt nor a retry by hand shows a failure.
where red.branch is not null and (
    exists (select from buildkite.build_attempts where build_id = red.id and state = 'failed')
    or exists (select from buildkite.jobs where build_id = red.id and retry_type = 'manual')
  )
  and first.result = 'failed' and (before.result is distinct from 'failed' or before.passed_at <= first.finished_at);

comment on view analytics.first_trunk_recoveries is 'As trunk_recoveries, by first results: a build that a retry turned green was red until then. The period ends with the retry that passed, or with the next build (by number) that passed at once. For a range of time add a condition on created_at, which uses an index.';
comment on column analytics.first_trunk_recoveries.organization_id is 'organizations.id.';
comment on column analytics.first_trunk_recoveries.organization is 'Slug of the organization, at present.';
comment on column analytics.first_trunk_recoveries.pipeline_id is 'pipelines.id.';
comment on column analytics.first_trunk_recoveries.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.first_trunk_recoveries.branch is 'Branch.';
comment on column analytics.first_trunk_recoveries.created_at is 'When the build that broke it was created.';
comment on column analytics.first_trunk_recoveries.broken_by_build_id is 'builds.id of the build that broke it.';
comment on column analytics.first_trunk_recoveries.broken_by_build_number is 'Its number.';
comment on column analytics.first_trunk_recoveries.broken_by_commit is 'Its commit.';
comment on column analytics.first_trunk_recoveries.broken_by_email is 'E-mail address of the commit''s author, otherwise of the build''s creator.';
comment on column analytics.first_trunk_recoveries.broken_at is 'When its first attempt ended.';
comment on column analytics.first_trunk_recoveries.recovered_by_build_id is 'builds.id of the build that passed.';
comment on column analytics.first_trunk_recoveries.recovered_by_build_number is 'Its number.';
comment on column analytics.first_trunk_recoveries.recovered_at is 'When it first passed; null: still red.';
comment on column analytics.first_trunk_recoveries.recovered_by_retry is 'Whether it had failed before.';
comment on column analytics.first_trunk_recoveries.seconds_to_green is 'Seconds from broken to recovered.';
