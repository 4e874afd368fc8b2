create or replace view analytics.trigger_edges as
select
  parent.id as parent_build_id,
  parent.pipeline_id as parent_pipeline_id,
  job.id as trigger_job_id,
  job.async,
  job.triggered_build_id as child_build_id,
  child.pipeline_id as child_pipeline_id,
  analytics.build_result(parent.state, parent.blocked) as parent_result,
  analytics.build_result(child.state, child.blocked) as child_result,
  job.created_at
from buildkite.jobs as job
left join buildkite.builds as parent on parent.id = job.build_id
left join buildkite.builds as child on child.id = job.triggered_build_id
where job.triggered_build_id is not null
union all
select
  child.triggered_from_build_id, parent.pipeline_id, null, null, child.id, child.pipeline_id,
  analytics.build_result(parent.state, parent.blocked), analytics.build_result(child.state, child.blocked), child.created_at
from buildkite.builds as child
left join buildkite.builds as parent on parent.id = child.triggered_from_build_id
where child.triggered_from_build_id is not null
  and not exists (select from buildkite.jobs as job where job.triggered_build_id = child.id);

comment on view analytics.trigger_edges is 'Which build triggered which, as shown by the trigger job or by the triggered build.';
comment on column analytics.trigger_edges.parent_build_id is 'builds.id of the triggering build.';
comment on column analytics.trigger_edges.parent_pipeline_id is 'Its pipeline.';
comment on column analytics.trigger_edges.trigger_job_id is 'jobs.id of the trigger step; null if only the triggered build shows the trigger.';
comment on column analytics.trigger_edges.async is 'Whether the parent continues without waiting; null if only the triggered build shows the trigger.';
comment on column analytics.trigger_edges.child_build_id is 'builds.id of the triggered build.';
comment on column analytics.trigger_edges.child_pipeline_id is 'Its pipeline.';
comment on column analytics.trigger_edges.parent_result is 'Its result.';
comment on column analytics.trigger_edges.child_result is 'Its result.';
comment on column analytics.trigger_edges.created_at is 'When it was created.';
