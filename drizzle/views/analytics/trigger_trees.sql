create or replace view analytics.trigger_trees as
select
  root.id as root_build_id,
  root.organization_id,
  root.pipeline_id,
  root.created_at,
  tree.builds,
  tree.depth,
  analytics.seconds(root.created_at, tree.finished_at) as total_seconds,
  tree.failed
from buildkite.builds as root
cross join lateral (
  with recursive tree as (
    select root.id, 0 as depth
    union
    select edge.child_build_id, tree.depth + 1
    from tree
    cross join lateral (
      select job.triggered_build_id as child_build_id from buildkite.jobs as job where job.build_id = tree.id and job.triggered_build_id is not null
      union
      select child.id from buildkite.builds as child where child.triggered_from_build_id = tree.id
    ) as edge
    where tree.depth < 100
  )
  select
    count(distinct tree.id) as builds,
    max(tree.depth) as depth,
    case when bool_and(member.id is null or ended.result is not null) then max(member.finished_at) end as finished_at,
    count(distinct tree.id) filter (where ended.result = 'failed') as failed
  from tree
  left join buildkite.builds as member on member.id = tree.id
  cross join lateral (select analytics.build_result(member.state, member.blocked) as result) as ended
) as tree
where root.triggered_from_build_id is null and tree.builds > 1
  and not exists (select from buildkite.jobs as job where job.triggered_build_id = root.id);

comment on view analytics.trigger_trees is 'Builds that triggered others, with everything below them: how many, how deep, how long until the last one finished. One row for each build at the top of a tree.';
comment on column analytics.trigger_trees.root_build_id is 'builds.id of the build at the top.';
comment on column analytics.trigger_trees.organization_id is 'organizations.id.';
comment on column analytics.trigger_trees.pipeline_id is 'pipelines.id.';
comment on column analytics.trigger_trees.created_at is 'When it was created.';
comment on column analytics.trigger_trees.builds is 'Builds in the tree, the top one too.';
comment on column analytics.trigger_trees.depth is 'Levels below the top.';
comment on column analytics.trigger_trees.total_seconds is 'Seconds from the top build''s creation to the last finish in the tree. Null while any of it is open or waits at a gate.';
comment on column analytics.trigger_trees.failed is 'How many of its builds failed.';
