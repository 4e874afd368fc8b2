create or replace view analytics.trunk_recoveries as
select
  red.organization_id,
  red.pipeline_id,
  pipeline.slug as pipeline,
  red.branch,
  red.id as broken_by_build_id,
  red.number as broken_by_build_number,
  red.commit as broken_by_commit,
  lower(coalesce(nullif(red.author_email, ''), nullif(red.creator_email, ''))) as broken_by_email,
  red.finished_at as broken_at,
  green.id as recovered_by_build_id,
  green.number as recovered_by_build_number,
  green.finished_at as recovered_at,
  analytics.seconds(red.finished_at, green.finished_at) as seconds_to_green,
  organization.slug as organization
from buildkite.builds as red
join buildkite.pipelines as pipeline on pipeline.id = red.pipeline_id and pipeline.default_branch = red.branch
left join buildkite.organizations as organization on organization.id = red.organization_id
left join lateral (
  select before.state from buildkite.builds as before
  where before.pipeline_id = red.pipeline_id and before.branch = red.branch and before.number < red.number
    and before.state in ('passed', 'failed') and not coalesce(before.blocked, false)
  order by before.number desc limit 1
) as before on true
left join lateral (
  select after.id, after.number, after.finished_at from buildkite.builds as after
  where after.pipeline_id = red.pipeline_id and after.branch = red.branch and after.number > red.number
    and after.state = 'passed' and not coalesce(after.blocked, false)
  order by after.number limit 1
) as green on true
where red.state = 'failed' and not coalesce(red.blocked, false) and before.state is distinct from 'failed';

comment on view analytics.trunk_recoveries is 'Red periods of default branches: the build that broke it, and the next build (by number) that passed. By final results: a build that a retry turned green breaks nothing. A build that waits at a gate neither breaks nor recovers; if every good build waits at one, see trunk_health_daily.blocked. By the present default branch: what ran on a former one is not included. Some count from the push of the first red commit, which Buildkite does not know.';
comment on column analytics.trunk_recoveries.organization_id is 'organizations.id.';
comment on column analytics.trunk_recoveries.pipeline_id is 'pipelines.id.';
comment on column analytics.trunk_recoveries.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.trunk_recoveries.branch is 'Branch.';
comment on column analytics.trunk_recoveries.broken_by_build_id is 'builds.id of the build that broke it.';
comment on column analytics.trunk_recoveries.broken_by_build_number is 'Its number.';
comment on column analytics.trunk_recoveries.broken_by_commit is 'Its commit.';
comment on column analytics.trunk_recoveries.broken_by_email is 'E-mail address of the commit''s author, otherwise of the build''s creator.';
comment on column analytics.trunk_recoveries.broken_at is 'When it broke: the end of the first red build or try.';
comment on column analytics.trunk_recoveries.recovered_by_build_id is 'builds.id of that build.';
comment on column analytics.trunk_recoveries.recovered_by_build_number is 'Its number.';
comment on column analytics.trunk_recoveries.recovered_at is 'When the next passing build ended; null: still red.';
comment on column analytics.trunk_recoveries.seconds_to_green is 'Seconds from broken to recovered.';
comment on column analytics.trunk_recoveries.organization is 'Slug of the organization, at present.';
