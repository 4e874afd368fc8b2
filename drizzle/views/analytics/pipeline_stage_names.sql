create or replace view analytics.pipeline_stage_names as
select
  analytics.stable_id(concat(stage.pipeline_id, ':', stage.name)) as id,
  1::bigint as pipeline_source_id,
  stage.name,
  analytics.repository_name(pipeline.repository) as repository,
  stage.pipeline_id
from (
  select distinct pipeline_id, coalesce(group_key, step_key, job) as name from analytics.job_minutes_hourly
) as stage
left join buildkite.pipelines as pipeline on pipeline.id = stage.pipeline_id;

comment on view analytics.pipeline_stage_names is 'Stages of pipelines, in the shape of DX''s table of that name (one column of our own at the end): groups, and steps outside groups, whose command jobs have ended. build_stages has their durations.';
comment on column analytics.pipeline_stage_names.id is 'Always the same for a pipeline and a name.';
comment on column analytics.pipeline_stage_names.pipeline_source_id is 'pipeline_sources.id.';
comment on column analytics.pipeline_stage_names.name is 'Key of the group; outside groups the key of the step, otherwise its name.';
comment on column analytics.pipeline_stage_names.repository is 'owner/name of the repository.';
comment on column analytics.pipeline_stage_names.pipeline_id is 'pipelines.id. Ours, not DX''s.';
