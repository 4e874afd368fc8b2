-- "offset 0" makes Postgres look up jobs by build.
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
  stage.group_key,
  stage.level = 'group' or stage.group_key is null as is_stage,
  stage.jobs,
  stage.started_at,
  stage.finished_at,
  stage.run_seconds,
  stage.job_seconds
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id
cross join lateral (
  with steps as materialized (
    select group_key, step, count(*) as jobs, min(started_at) as started_at, max(finished_at) as finished_at, sum(seconds) as job_seconds,
      range_agg(tstzrange(started_at, greatest(started_at, finished_at))) as busy
    from (
      select started_at, finished_at, analytics.seconds(started_at, finished_at) as seconds, nullif(group_key, '') as group_key,
        coalesce(nullif(step_key, ''), analytics.job_name(name, label, step_key, command)) as step
      from buildkite.jobs where build_id = build.id and type in ('script', 'trigger') offset 0
    ) as job
    where seconds is not null
    group by group_key, step
  )
  select 'step' as level, step as name, group_key, jobs, started_at, finished_at, job_seconds,
    case
      when jobs = 1 then job_seconds
      else coalesce((select sum(extract(epoch from upper(one) - lower(one))) from unnest(busy) as one), 0)::double precision
    end as run_seconds
  from steps
  union all
  select 'group', group_key, group_key, sum(jobs)::bigint, min(started_at), max(finished_at), sum(job_seconds), coalesce((
    select sum(extract(epoch from upper(one) - lower(one)))
    from unnest((select range_agg(part) from steps as its cross join unnest(its.busy) as part where its.group_key = steps.group_key)) as one
  ), 0)::double precision
  from steps where group_key is not null group by group_key
) as stage;

comment on view analytics.build_stages is 'How long each group and each step of a build ran. A step is known by its group and its key, otherwise its name. A stage is a group, or a step outside groups: the top level of the pipeline. Phases between wait steps are not known: REST shows only the id of a waiter.';
comment on column analytics.build_stages.build_id is 'builds.id.';
comment on column analytics.build_stages.organization_id is 'organizations.id.';
comment on column analytics.build_stages.organization is 'Slug of the organization, at present.';
comment on column analytics.build_stages.pipeline_id is 'pipelines.id.';
comment on column analytics.build_stages.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.build_stages.build_number is 'Number of the build.';
comment on column analytics.build_stages.branch is 'Branch.';
comment on column analytics.build_stages.is_default_branch is 'Whether the branch is the pipeline''s present default branch.';
comment on column analytics.build_stages.created_at is 'When the build was created.';
comment on column analytics.build_stages.level is 'group or step.';
comment on column analytics.build_stages.name is 'Key of the group; key of the step, otherwise its name.';
comment on column analytics.build_stages.group_key is 'Key of the group; of a step, of the group that it belongs to.';
comment on column analytics.build_stages.is_stage is 'Whether it is at the top level of the pipeline: a group, or a step outside groups.';
comment on column analytics.build_stages.jobs is 'Its command and trigger jobs that started and finished, retried ones too.';
comment on column analytics.build_stages.started_at is 'When its first job started.';
comment on column analytics.build_stages.finished_at is 'When its last job finished.';
comment on column analytics.build_stages.run_seconds is 'Seconds in which at least one of its jobs ran: without waits, gates and the time before a retry.';
comment on column analytics.build_stages.job_seconds is 'Seconds that its jobs ran, in total.';
