-- "offset 0" makes Postgres look up jobs by build, and compute run_seconds once.
create or replace view analytics.build_stages as
select
  build.id as build_id,
  build.organization_id,
  organization.slug as organization,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.created_at,
  stage.level,
  stage.name,
  stage.tries,
  stage.started_at,
  stage.finished_at,
  stage.run_seconds,
  stage.job_seconds
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  select ran.*,
    case
      when ran.tries = 1 then ran.job_seconds
      else coalesce((select sum(extract(epoch from upper(busy) - lower(busy))) from unnest(ran.busy) as busy), 0)::double precision
    end as run_seconds
  from (
    select part.level, part.name, count(*) as tries, min(job.started_at) as started_at, max(job.finished_at) as finished_at,
      range_agg(tstzrange(job.started_at, greatest(job.started_at, job.finished_at))) as busy,
      sum(analytics.seconds(job.started_at, job.finished_at)) as job_seconds
    from (
      select started_at, finished_at, nullif(group_key, '') as group_key,
        coalesce(nullif(step_key, ''), analytics.job_name(name, label, step_key, command)) as step
      from buildkite.jobs where build_id = build.id and type in ('script', 'trigger') offset 0
    ) as job
    cross join lateral (
      values ('stage', coalesce(job.group_key, job.step)), ('group', job.group_key), ('step', job.step)
    ) as part (level, name)
    where part.name is not null and analytics.seconds(job.started_at, job.finished_at) is not null
    group by part.level, part.name
  ) as ran
  offset 0
) as stage;

comment on view analytics.build_stages is 'How long each group, step and stage of a build ran. A step is known by its key, otherwise by its name. A stage is a group, or a step outside groups: the top level of the pipeline. Phases between wait steps are not known: REST shows only the id of a waiter.';
comment on column analytics.build_stages.build_id is 'builds.id.';
comment on column analytics.build_stages.organization_id is 'organizations.id.';
comment on column analytics.build_stages.organization is 'Slug of the organization, at present.';
comment on column analytics.build_stages.pipeline_id is 'pipelines.id.';
comment on column analytics.build_stages.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.build_stages.build_number is 'Number of the build.';
comment on column analytics.build_stages.branch is 'Branch.';
comment on column analytics.build_stages.is_default_branch is 'Whether the branch is the pipeline''s present default branch.';
comment on column analytics.build_stages.created_at is 'When the build was created.';
comment on column analytics.build_stages.level is 'group, step or stage.';
comment on column analytics.build_stages.name is 'Key of the group; key of the step, otherwise its name.';
comment on column analytics.build_stages.tries is 'Tries of its command and trigger jobs that started and finished.';
comment on column analytics.build_stages.started_at is 'When its first job started.';
comment on column analytics.build_stages.finished_at is 'When its last job finished.';
comment on column analytics.build_stages.run_seconds is 'Seconds in which at least one of its jobs ran: without waits, gates and the time before a retry.';
comment on column analytics.build_stages.job_seconds is 'Seconds that its jobs ran, in total.';
