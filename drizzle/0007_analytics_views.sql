-- What analysts ask, as views. First those shaped like DX's tables, then our own at the grain of Buildkite's objects, then sums, then how far to
-- trust them. The meaning of each column is in the next migration. A condition on a time or a `day` reaches the index of the table below.

-- DX's shape --------------------------------------------------------------------------------------------------------------------

create view analytics.pipeline_sources as
select 1::bigint as id, 'Buildkite'::text as name, false as api;

create view analytics.pipeline_runs as
select
  build.id,
  build.id::text as reference_id,
  build.id::text as source_id,
  1::bigint as pipeline_source_id,
  coalesce(pipeline.name, pipeline.slug) as name,
  case
    when build.blocked then 'running'
    when build.state = 'passed' then 'success'
    when build.state = 'failed' then 'failure'
    when build.state in ('canceled', 'canceling', 'skipped', 'not_run') then 'cancelled'
    when build.state in ('creating', 'scheduled', 'running', 'failing') then 'running'
    else 'unknown'
  end as status,
  span.started_at,
  span.finished_at,
  build.observed_at as updated_at,
  round(extract(epoch from span.finished_at - span.started_at))::integer as duration,
  analytics.repository_name(pipeline.repository) as repository,
  build.commit as commit_sha,
  build.branch as head_branch,
  case when build.pull_request_id ~ '^[0-9]{1,9}$' then build.pull_request_id::integer end as pr_number,
  null::bigint as pull_id,
  null::bigint as dx_user_id,
  lower(coalesce(nullif(build.creator_email, ''), nullif(build.author_email, ''))) as email,
  build.web_url as source_url,
  null::bigint as github_repository_id,
  case when pipeline.provider_id like 'github%' then build.author_username end as github_username,
  null::bigint as gitlab_project_id
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (
  select
    least(build.started_at, (select min(attempt.started_at) from buildkite.build_attempts as attempt where attempt.build_id = build.id)) as started_at,
    case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at
) as span;

create view analytics.pipeline_jobs as
select
  job.id,
  job.build_id as pipeline_run_id,
  job.id::text as reference_id,
  job.id::text as source_id,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as name,
  case
    when analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) = 'passed' then 'success'
    when analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
      in ('soft_failed', 'failed', 'infra_lost', 'timed_out', 'expired') then 'failure'
    else 'not_finished'
  end as status,
  round(extract(epoch from job.finished_at - job.started_at))::integer as duration,
  job.started_at,
  job.finished_at
from buildkite.jobs as job
where job.type in ('script', 'trigger');

-- Our own grain -----------------------------------------------------------------------------------------------------------------

create view analytics.pipelines as
select
  pipeline.id,
  pipeline.organization_id,
  organization.slug as organization,
  pipeline.slug,
  pipeline.name,
  pipeline.repository as repository_url,
  analytics.repository_name(pipeline.repository) as repository,
  pipeline.default_branch,
  coalesce(pipeline.tags, '{}') as tags,
  array(
    select team.slug from buildkite.team_pipelines as owned join buildkite.teams as team on team.id = owned.team_id
    where owned.pipeline_id = pipeline.id and owned.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  pipeline.cluster_id,
  cluster.name as cluster,
  pipeline.visibility,
  pipeline.created_by_email,
  pipeline.created_at,
  pipeline.archived_at,
  pipeline.web_url,
  pipeline.changed_at,
  pipeline.deleted_at
from buildkite.pipelines as pipeline
left join buildkite.organizations as organization on organization.id = pipeline.organization_id
left join buildkite.clusters as cluster on cluster.id = pipeline.cluster_id;

create view analytics.attempt_runs as
select build_id, started_at, finished_at,
  case when started_at is not null then analytics.seconds(greatest(started_at, previous_finish), finished_at) end as seconds,
  finished_at <= coalesce(min(case when not coalesce(blocked, false) then finished_at end) over whole, 'infinity') as is_first
from (
  select *, lag(finished_at) over (partition by build_id order by finished_at) as previous_finish from buildkite.build_attempts
) as attempt
window whole as (partition by build_id);

create view analytics.builds as
select
  build.id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number,
  analytics.build_state(build.state, build.blocked) as state,
  analytics.build_result(build.state, build.blocked) as result,
  (select attempt.state from buildkite.build_attempts as attempt
    where attempt.build_id = build.id and not coalesce(attempt.blocked, false) order by attempt.finished_at limit 1) as first_result,
  (select min(attempt.finished_at) from buildkite.build_attempts as attempt
    where attempt.build_id = build.id and not coalesce(attempt.blocked, false)) as first_finished_at,
  (select count(*) from buildkite.build_attempts as attempt
    where attempt.build_id = build.id and not coalesce(attempt.blocked, false)) as attempts,
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
  least(build.started_at, (select min(attempt.started_at) from buildkite.build_attempts as attempt where attempt.build_id = build.id)) as started_at,
  case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at,
  build.failing_at,
  analytics.seconds(build.created_at, least(build.started_at,
    (select min(attempt.started_at) from buildkite.build_attempts as attempt where attempt.build_id = build.id))) as wait_seconds,
  (select sum(run.seconds) from analytics.attempt_runs as run where run.build_id = build.id) as run_seconds,
  (select sum(run.seconds) from analytics.attempt_runs as run where run.build_id = build.id and run.is_first) as first_run_seconds,
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
  build.web_url,
  build.verified_at is null or build.observed_at > build.verified_at as is_provisional,
  build.changed_at,
  build.deleted_at
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id;

create view analytics.build_attempts as
select
  attempt.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number,
  (select count(*) from buildkite.build_attempts as earlier
    where earlier.build_id = attempt.build_id and earlier.finished_at <= attempt.finished_at) as attempt,
  analytics.build_state(attempt.state, attempt.blocked) as state,
  analytics.build_result(attempt.state, attempt.blocked) as result,
  attempt.started_at,
  attempt.finished_at,
  (select run.seconds from analytics.attempt_runs as run where run.build_id = attempt.build_id and run.finished_at = attempt.finished_at) as run_seconds,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.commit,
  coalesce(pipeline.tags, '{}') as tags,
  attempt.changed_at
from buildkite.build_attempts as attempt
join buildkite.builds as build on build.id = attempt.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id;

create view analytics.jobs as
select
  job.id,
  job.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  job.type,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as name,
  job.step_key,
  job.group_key,
  job.state,
  analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result,
  job.soft_failed,
  job.exit_status,
  job.signal,
  job.signal_reason,
  coalesce(job.retried, false) or job.retried_in_job_id is not null as retried,
  job.retried_in_job_id,
  job.retry_type,
  case when job.type = 'script' then coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') end as queue,
  job.cluster_id,
  job.agent_id,
  job.agent_name,
  job.created_at,
  job.scheduled_at,
  job.runnable_at,
  job.started_at,
  job.finished_at,
  analytics.seconds(job.created_at + coalesce(job.concurrency_wait_time_ms, 0) * interval '1 millisecond', job.runnable_at) as dependency_wait_seconds,
  job.concurrency_wait_time_ms / 1000.0::double precision as concurrency_wait_seconds,
  analytics.seconds(job.runnable_at, job.started_at) as agent_wait_seconds,
  analytics.seconds(job.started_at, job.finished_at) as run_seconds,
  job.parallel_group_index,
  job.parallel_group_total,
  job.matrix,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.commit,
  coalesce(pipeline.tags, '{}') as tags,
  array(
    select team.slug from buildkite.team_pipelines as owned join buildkite.teams as team on team.id = owned.team_id
    where owned.pipeline_id = build.pipeline_id and owned.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  job.web_url,
  job.changed_at,
  job.deleted_at
from buildkite.jobs as job
left join buildkite.builds as build on build.id = job.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id;

create view analytics.job_retries as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  first.build_id,
  build.branch,
  build.commit,
  analytics.job_name(first.name, first.label, first.step_key, first.command) as job,
  first.id as first_job_id,
  final.id as final_job_id,
  final.tries,
  analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) as first_result,
  analytics.job_result(final.state, final.soft_failed, final.exit_status, final.signal_reason) as final_result,
  analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) in ('failed', 'soft_failed', 'timed_out')
    and final.state = 'passed' as flaky,
  first.retry_type,
  coalesce(first.retried_by_name, final.retry_source_retried_by_name) as retried_by,
  first.finished_at as first_finished_at,
  final.finished_at as final_finished_at
from buildkite.jobs as first
join buildkite.builds as build on build.id = first.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (
  with recursive tries as (
    select first.id, first.retried_in_job_id, 1 as try
    union all
    select next.id, next.retried_in_job_id, tries.try + 1
    from tries join buildkite.jobs as next on next.id = tries.retried_in_job_id
    where tries.try < 1000
  )
  select job.*, tries.try as tries from tries join buildkite.jobs as job on job.id = tries.id order by tries.try desc limit 1
) as final
where first.retried_in_job_id is not null
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id);

create view analytics.trigger_edges as
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

create view analytics.trigger_trees as
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
    max(member.finished_at) as finished_at,
    count(distinct tree.id) filter (where analytics.build_result(member.state, member.blocked) = 'failed') as failed
  from tree left join buildkite.builds as member on member.id = tree.id
) as tree
where root.triggered_from_build_id is null and tree.builds > 1;

create view analytics.approvals as
select
  job.id as job_id,
  job.build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.branch,
  analytics.job_name(job.name, job.label, job.step_key, null) as step,
  job.state,
  blocked.since as blocked_at,
  job.unblocked_at,
  analytics.seconds(blocked.since, job.unblocked_at) as wait_seconds,
  job.unblocked_by_id,
  job.unblocked_by_name,
  lower(job.unblocked_by_email) as unblocked_by_email,
  job.created_at
from buildkite.jobs as job
left join buildkite.builds as build on build.id = job.build_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (
  select coalesce(
    (select max(attempt.finished_at) from buildkite.build_attempts as attempt
      where attempt.build_id = job.build_id and attempt.blocked and (job.unblocked_at is null or attempt.finished_at <= job.unblocked_at)),
    job.runnable_at,
    job.created_at
  ) as since
) as blocked
where job.type = 'manual';

create view analytics.agents as
select
  agent.id,
  agent.organization_id,
  agent.name,
  coalesce(agent.queue, analytics.queue_of(agent.meta_data), 'default') as queue,
  agent.connection_state,
  agent.connection_state in ('connected', 'stopping') as is_connected,
  agent.job_id is not null as is_busy,
  agent.version,
  agent.hostname,
  agent.os_id,
  agent.arch,
  agent.paused,
  agent.connected_at,
  agent.disconnected_at,
  agent.lost_at,
  agent.stopped_at,
  agent.last_job_finished_at,
  agent.meta_data,
  agent.changed_at
from buildkite.agents as agent;

create view analytics.users as
select person.id, person.name, person.email, person.emails, person.usernames, person.is_member,
  array(
    select team.slug from buildkite.team_members as member join buildkite.teams as team on team.id = member.team_id
    where member.user_id = person.id and member.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  person.last_seen_at, person.changed_at
from buildkite.users as person;

create view analytics.pipeline_schedules as
select schedule.id, schedule.organization_id, schedule.pipeline_id, pipeline.slug as pipeline, schedule.label, schedule.cronline, schedule.branch,
  schedule.enabled, schedule.next_build_at, schedule.failed_at, schedule.failed_message, schedule.created_by_email, schedule.deleted_at
from buildkite.pipeline_schedules as schedule
left join buildkite.pipelines as pipeline on pipeline.id = schedule.pipeline_id;

create view analytics.rebuilds as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  original.id as original_build_id,
  original.number as original_number,
  analytics.build_result(original.state, original.blocked) as original_result,
  build.id as rebuild_id,
  build.number as rebuild_number,
  analytics.build_result(build.state, build.blocked) as rebuild_result,
  original.commit = build.commit as same_commit,
  analytics.build_result(original.state, original.blocked) = 'failed' and analytics.build_result(build.state, build.blocked) = 'passed' as passed_on_rebuild,
  lower(build.creator_email) as rebuilt_by_email,
  build.created_at
from buildkite.builds as build
left join buildkite.builds as original on original.id = build.rebuilt_from_id
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
where build.rebuilt_from_id is not null;

create view analytics.pull_requests as
select
  build.organization_id,
  analytics.repository_name(coalesce(nullif(build.pull_request_repository, ''), pipeline.repository)) as repository,
  build.pull_request_id::integer as pr_number,
  max(build.pull_request_base) as base,
  count(distinct build.commit) as pushes,
  count(*) as builds,
  count(*) filter (where analytics.build_result(build.state, build.blocked) = 'failed') as failed_builds,
  min(build.created_at) as first_build_at,
  max(case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end) as last_finished_at,
  sum((select sum(run.seconds) from analytics.attempt_runs as run where run.build_id = build.id)) as run_seconds,
  max(lower(build.author_email)) as author_email
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
where build.pull_request_id ~ '^[0-9]{1,9}$'
group by 1, 2, 3;

create view analytics.parallel_steps as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.id as build_id,
  step.step,
  build.created_at,
  step.parts,
  step.total,
  step.shortest_seconds,
  step.mean_seconds,
  step.longest_seconds,
  step.longest_seconds / nullif(step.mean_seconds, 0) as imbalance
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (
  select
    coalesce(nullif(job.step_key, ''), job.step_id::text, job.name) as step,
    count(*) as parts,
    max(job.parallel_group_total) as total,
    min(analytics.seconds(job.started_at, job.finished_at)) as shortest_seconds,
    avg(analytics.seconds(job.started_at, job.finished_at)) as mean_seconds,
    max(analytics.seconds(job.started_at, job.finished_at)) as longest_seconds
  from buildkite.jobs as job
  where job.build_id = build.id and job.parallel_group_total > 1
    and job.retried_in_job_id is null and not coalesce(job.retried, false) and job.started_at is not null and job.finished_at is not null
  group by 1
) as step;

create view analytics.critical_paths as
select
  build.organization_id,
  build.pipeline_id,
  build.id as build_id,
  build.created_at,
  step.position,
  job.id as job_id,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
  job.started_at,
  job.finished_at,
  analytics.seconds(job.runnable_at, job.started_at) as agent_wait_seconds,
  analytics.seconds(job.started_at, job.finished_at) as run_seconds
from buildkite.builds as build
cross join lateral (
  with recursive path as (
    (select last.id, last.started_at, coalesce(last.runnable_at, last.started_at) as ready_at, 1 as position
      from buildkite.jobs as last
      where last.build_id = build.id and last.started_at is not null and last.finished_at is not null
      order by last.finished_at desc, last.id limit 1)
    union all
    select before.*, path.position + 1
    from path
    cross join lateral (
      select job.id, job.started_at, coalesce(job.runnable_at, job.started_at) as ready_at
      from buildkite.jobs as job
      where job.build_id = build.id and job.started_at is not null and job.finished_at <= path.ready_at + interval '1 second'
        and job.started_at < path.started_at
      order by job.finished_at desc, job.id limit 1
    ) as before
  )
  select path.id, row_number() over (order by path.position desc) as position from path
) as step
join buildkite.jobs as job on job.id = step.id;

create view analytics.first_failures as
select
  build.id as build_id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  build.created_at,
  build.failing_at,
  job.id as job_id,
  job.name as job,
  job.failed_at as job_failed_at,
  least(build.failing_at, job.failed_at) as first_failure_at,
  analytics.seconds(build.created_at, least(build.failing_at, job.failed_at)) as seconds_to_first_failure,
  case when analytics.build_result(build.state, build.blocked) is not null then analytics.seconds(build.created_at, build.finished_at) end as total_seconds
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join lateral (
  select failed.id, analytics.job_name(failed.name, failed.label, failed.step_key, failed.command) as name,
    least(coalesce(failed.finished_at, failed.expired_at), case when failed.promised_exit_status <> 0 then failed.promised_exit_status_at end) as failed_at
  from buildkite.jobs as failed
  where failed.build_id = build.id and failed.type = 'script'
    and not coalesce(failed.soft_failed, false)
    and analytics.job_result(failed.state, failed.soft_failed, failed.exit_status, failed.signal_reason) in ('failed', 'infra_lost', 'timed_out', 'expired')
  order by 3, failed.id limit 1
) as job on true
where (build.state in ('failed', 'failing') or build.failing_at is not null) and (build.failing_at is not null or job.failed_at is not null);

create view analytics.trunk_recoveries as
select
  red.organization_id,
  red.pipeline_id,
  pipeline.slug as pipeline,
  red.branch,
  red.id as broken_by_build_id,
  red.number as broken_by_number,
  red.commit as broken_by_commit,
  lower(coalesce(red.author_email, red.creator_email)) as broken_by_email,
  red.finished_at as broken_at,
  green.id as recovered_by_build_id,
  green.number as recovered_by_number,
  green.finished_at as recovered_at,
  analytics.seconds(red.finished_at, green.finished_at) as seconds_to_green
from buildkite.builds as red
join buildkite.pipelines as pipeline on pipeline.id = red.pipeline_id and pipeline.default_branch = red.branch
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

create view analytics.job_breaks as
select
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
  job.id as job_id,
  build.id as broken_by_build_id,
  build.number as broken_by_number,
  build.commit as broken_by_commit,
  lower(coalesce(build.author_email, build.creator_email)) as broken_by_email,
  before.number as last_good_number,
  job.finished_at as broken_at
from buildkite.jobs as job
join buildkite.builds as build on build.id = job.build_id
join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id and pipeline.default_branch = build.branch
cross join lateral (
  select earlier.number, analytics.job_result(same.state, same.soft_failed, same.exit_status, same.signal_reason) as result
  from buildkite.builds as earlier
  join buildkite.jobs as same on same.build_id = earlier.id
  where earlier.pipeline_id = build.pipeline_id and earlier.branch = build.branch and earlier.number < build.number
    and same.type = 'script' and same.retried_in_job_id is null and not coalesce(same.retried, false)
    and analytics.job_name(same.name, same.label, same.step_key, same.command)
      = analytics.job_name(job.name, job.label, job.step_key, job.command)
    and same.parallel_group_index is not distinct from job.parallel_group_index
    and analytics.job_result(same.state, same.soft_failed, same.exit_status, same.signal_reason) in ('passed', 'failed', 'soft_failed', 'timed_out')
  order by earlier.number desc limit 1
) as before
where job.type = 'script' and job.state in ('failed', 'timed_out', 'expired') and job.retried_in_job_id is null and not coalesce(job.retried, false)
  and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) in ('failed', 'timed_out')
  and before.result = 'passed';

-- Sums ---------------------------------------------------------------------------------------------------------------------------

create view sync.pipeline_durations_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(*) as builds,
  count(*) filter (where build.state = 'passed') as passed,
  avg(run.total) as mean_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[1] as p50_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[2] as p75_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[3] as p90_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[4] as p95_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.total) filter (where build.state = 'passed'))[1] as passed_p50_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.total) filter (where build.state = 'passed'))[2] as passed_p90_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.first))[1] as first_p50_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.first))[2] as first_p90_seconds,
  percentile_cont(0.5) within group (order by analytics.seconds(build.created_at, run.started_at)) as wait_p50_seconds
from buildkite.builds as build
cross join lateral (
  select sum(attempt.seconds) as total, sum(attempt.seconds) filter (where attempt.is_first) as first, min(attempt.started_at) as started_at
  from analytics.attempt_runs as attempt where attempt.build_id = build.id
) as run
where build.state in ('passed', 'failed') and not coalesce(build.blocked, false)
group by 1, 2, 3;

create view sync.branch_durations_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  build.branch,
  count(*) as builds,
  count(*) filter (where build.state = 'passed') as passed,
  avg(run.total) as mean_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[1] as p50_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[2] as p75_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[3] as p90_seconds,
  (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run.total))[4] as p95_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.total) filter (where build.state = 'passed'))[1] as passed_p50_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by run.total) filter (where build.state = 'passed'))[2] as passed_p90_seconds
from buildkite.builds as build
cross join lateral (
  select sum(attempt.seconds) as total from analytics.attempt_runs as attempt where attempt.build_id = build.id
) as run
where build.state in ('passed', 'failed') and not coalesce(build.blocked, false)
group by 1, 2, 3, 4;

create view sync.build_results_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(*) filter (where build.state in ('passed', 'failed')) as finished,
  count(*) filter (where build.state = 'passed') as passed,
  count(*) filter (where build.state = 'failed') as failed,
  count(*) filter (where build.state = 'canceled') as canceled,
  count(*) filter (where build.state in ('skipped', 'not_run')) as skipped,
  count(*) filter (where build.state in ('passed', 'failed') and first.state = 'failed') as first_failed,
  count(*) filter (where build.state = 'passed' and first.state = 'failed') as passed_on_retry,
  count(*) filter (where build.state = 'failed')::double precision
    / nullif(count(*) filter (where build.state in ('passed', 'failed')), 0) as failure_rate,
  count(*) filter (where build.state in ('passed', 'failed') and first.state = 'failed')::double precision
    / nullif(count(*) filter (where build.state in ('passed', 'failed')), 0) as first_failure_rate
from buildkite.builds as build
left join lateral (
  select attempt.state from buildkite.build_attempts as attempt
  where attempt.build_id = build.id and not coalesce(attempt.blocked, false) order by attempt.finished_at limit 1
) as first on true
where not coalesce(build.blocked, false) and build.state in ('passed', 'failed', 'canceled', 'skipped', 'not_run')
group by 1, 2, 3;

create view analytics.job_failures_daily as
select
  day, organization_id, pipeline_id,
  sum(tries)::bigint as tries,
  sum(failed + timed_out)::bigint as hard_failed,
  sum(soft_failed)::bigint as soft_failed,
  sum(infra_lost + expired)::bigint as infra_failed,
  sum(canceled)::bigint as canceled,
  sum(failed + timed_out)::double precision / nullif(sum(tries - canceled), 0) as hard_failure_rate,
  sum(soft_failed)::double precision / nullif(sum(tries - canceled), 0) as soft_failure_rate,
  sum(infra_lost + expired)::double precision / nullif(sum(tries - canceled), 0) as infra_failure_rate
from analytics.jobs_daily group by day, organization_id, pipeline_id;

create view analytics.flaky_jobs_daily as
select
  (first.finished_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  analytics.job_name(first.name, first.label, first.step_key, first.command) as job,
  count(*) as retried,
  count(*) filter (where final.state = 'passed') as flaky,
  sum(analytics.seconds(first.started_at, first.finished_at)) as lost_seconds
from buildkite.jobs as first
join buildkite.builds as build on build.id = first.build_id
cross join lateral (
  with recursive tries as (
    select first.retried_in_job_id as id, 1 as try
    union all
    select job.retried_in_job_id, tries.try + 1 from tries join buildkite.jobs as job on job.id = tries.id
    where job.retried_in_job_id is not null and tries.try < 1000
  )
  select job.state from tries join buildkite.jobs as job on job.id = tries.id order by tries.try desc limit 1
) as final
where first.retried_in_job_id is not null and first.state in ('failed', 'timed_out', 'expired')
  and analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) in ('failed', 'soft_failed', 'timed_out')
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id)
group by 1, 2, 3, 4;

create view sync.trunk_health_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(*) as builds,
  count(*) filter (where build.state = 'failed') as red_builds,
  count(distinct build.commit) as commits,
  count(distinct build.commit) filter (where build.state = 'failed') as red_commits,
  count(*) filter (where build.state = 'passed')::double precision / count(*) as green_rate,
  (array_agg(build.state order by build.number desc))[1] as last_result
from buildkite.builds as build
join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id and pipeline.default_branch = build.branch
where build.state in ('passed', 'failed') and not coalesce(build.blocked, false)
group by 1, 2, 3;

create view analytics.first_failures_daily as
select
  (created_at at time zone 'UTC')::date as day,
  organization_id,
  pipeline_id,
  count(*) as builds,
  (percentile_cont(array[0.5, 0.9]) within group (order by seconds_to_first_failure))[1] as p50_seconds,
  (percentile_cont(array[0.5, 0.9]) within group (order by seconds_to_first_failure))[2] as p90_seconds
from analytics.first_failures
group by 1, 2, 3;

create view analytics.cancellations_daily as
select
  (build.created_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  build.state as result,
  build.cancel_reason,
  count(*) as builds,
  coalesce(sum((select sum(analytics.seconds(job.started_at, job.finished_at)) from buildkite.jobs as job
    where job.build_id = build.id and job.type = 'script')), 0) / 60 as minutes
from buildkite.builds as build
where build.state in ('canceled', 'skipped') and not coalesce(build.blocked, false)
group by 1, 2, 3, 4, 5;

create view analytics.build_sources_daily as
select
  (build.created_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  build.source,
  lower(coalesce(build.creator_email, build.author_email)) as person_email,
  count(*) as builds
from buildkite.builds as build
group by 1, 2, 3, 4, 5;

create view analytics.costs_daily as
select
  spent.day, spent.organization_id, spent.pipeline_id, spent.branch, spent.queue, spent.minutes,
  spent.minutes_infra_lost + spent.minutes_canceled + spent.minutes_retried + spent.minutes_rebuilt as minutes_wasted,
  spent.minutes * rate.per_minute::double precision as cost,
  (spent.minutes_infra_lost + spent.minutes_canceled + spent.minutes_retried + spent.minutes_rebuilt) * rate.per_minute::double precision as cost_wasted,
  rate.currency
from analytics.minutes_daily as spent
left join settings.queue_rates as rate on rate.queue = spent.queue;

create view analytics.busy_periods as
select organization_id, cluster_id, queue, min(hour) as began_at, max(hour) + interval '1 hour' as ended_at,
  count(*) as hours, sum(started)::bigint as started, max(p90_seconds) as worst_p90_seconds,
  sum(busy_seconds) / count(*) / 3600 as mean_running_jobs
from (
  select *, hour - row_number() over (partition by organization_id, cluster_id, queue order by hour) * interval '1 hour' as island
  from analytics.queue_waits_hourly where p90_seconds > 60
) as busy
group by organization_id, cluster_id, queue, island;

create view analytics.dora_weekly as
select
  date_trunc('week', deployed.deployed_at, 'UTC') as week,
  deployed.service,
  deployed.environment,
  count(*) as deployments,
  count(*) filter (where not deployed.success) as failed,
  count(*) filter (where not deployed.success)::double precision / count(*) as change_failure_rate,
  percentile_cont(0.5) within group (order by analytics.seconds(deployed.deployed_at, deployed.restored_at)) as p50_seconds_to_restore,
  percentile_cont(0.5) within group (order by analytics.seconds(deployed.committed_at, deployed.deployed_at))
    filter (where deployed.success) as p50_lead_seconds
from (
  select deployment.*, after.restored_at,
    (select min(build.author_date) from buildkite.builds as build where build.commit = deployment.commit_sha) as committed_at
  from analytics.deployments as deployment
  left join lateral (
    select before.success from analytics.deployments as before
    where before.service = deployment.service and before.environment = deployment.environment and before.deployed_at < deployment.deployed_at
    order by before.deployed_at desc limit 1
  ) as before on not deployment.success
  left join lateral (
    select min(next.deployed_at) as restored_at from analytics.deployments as next
    where next.service = deployment.service and next.environment = deployment.environment and next.deployed_at > deployment.deployed_at and next.success
  ) as after on not deployment.success and before.success is distinct from false
) as deployed
group by 1, 2, 3;

-- Kept by day: what dashboards ask all the time. sync.refresh_day fills them from the views of the same name.
create table analytics.pipeline_durations_daily as select * from sync.pipeline_durations_daily_now with no data;
create index pipeline_durations_daily_day on analytics.pipeline_durations_daily (day);
create index pipeline_durations_daily_pipeline on analytics.pipeline_durations_daily (pipeline_id, day);
comment on view sync.pipeline_durations_daily_now is 'What analytics.pipeline_durations_daily is made from, over all builds as they are now.';
create table analytics.branch_durations_daily as select * from sync.branch_durations_daily_now with no data;
create index branch_durations_daily_day on analytics.branch_durations_daily (day);
create index branch_durations_daily_pipeline on analytics.branch_durations_daily (pipeline_id, day);
comment on view sync.branch_durations_daily_now is 'What analytics.branch_durations_daily is made from, over all builds as they are now.';
create table analytics.build_results_daily as select * from sync.build_results_daily_now with no data;
create index build_results_daily_day on analytics.build_results_daily (day);
create index build_results_daily_pipeline on analytics.build_results_daily (pipeline_id, day);
comment on view sync.build_results_daily_now is 'What analytics.build_results_daily is made from, over all builds as they are now.';
create table analytics.trunk_health_daily as select * from sync.trunk_health_daily_now with no data;
create index trunk_health_daily_day on analytics.trunk_health_daily (day);
create index trunk_health_daily_pipeline on analytics.trunk_health_daily (pipeline_id, day);
comment on view sync.trunk_health_daily_now is 'What analytics.trunk_health_daily is made from, over all builds as they are now.';

-- How far to trust it -----------------------------------------------------------------------------------------------------------

create view analytics.data_coverage as
select
  organization.id as organization_id,
  organization.slug as organization,
  lower(span.covered) as complete_from,
  upper(span.covered) as complete_to,
  (select min(done.verified_at) from sync.windows as done
    where done.organization_id = organization.id and done.status = 'done'
      and tstzrange(done.created_from, done.created_to) && span.covered) as verified_at,
  coalesce(upper(span.covered) = reached.watermark, false) as is_current
from buildkite.organizations as organization
left join sync.watermarks as reached on reached.organization_id = organization.id
left join lateral (
  select unnest(range_agg(part)) as covered
  from (
    select tstzrange(done.created_from, done.created_to) as part
    from sync.windows as done where done.organization_id = organization.id and done.status = 'done'
    union all
    select tstzrange(reached.backfill_to, reached.watermark) where reached.watermark > reached.backfill_to
  ) as parts
) as span on true;

create view analytics.data_freshness as
select
  organization.id as organization_id,
  organization.slug as organization,
  reached.watermark,
  cycle.finished_at as last_cycle_at,
  analytics.seconds(cycle.finished_at, now()) as seconds_since_last_cycle,
  webhook.received_at as last_webhook_at,
  webhook.lag_seconds as last_webhook_lag_seconds,
  (select count(*) from sync.deliveries as delivery where delivery.status = 'pending') as pending_webhooks,
  (select count(*) from sync.deliveries as delivery where delivery.status = 'failed') as failed_webhooks,
  (select count(*) from buildkite.builds as build where build.organization_id = organization.id
    and build.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and build.deleted_at is null) as open_builds,
  (select count(*) from buildkite.builds as build where build.organization_id = organization.id
    and (build.verified_at is null or build.observed_at > build.verified_at) and build.deleted_at is null) as provisional_builds,
  (select refreshed_at from sync.rollups where name = 'days') as rollups_refreshed_at,
  (select count(distinct day) from sync.stale_days) as rollup_days_stale
from buildkite.organizations as organization
left join sync.watermarks as reached on reached.organization_id = organization.id
left join lateral (
  select done.finished_at from sync.cycles as done
  where done.organization_id = organization.id and done.kind = 'hot' and done.finished_at is not null and done.error is null
  order by done.started_at desc limit 1
) as cycle on true
left join lateral (
  select delivery.received_at, analytics.seconds(delivery.received_at, delivery.applied_at) as lag_seconds
  from sync.deliveries as delivery where delivery.applied_at is not null order by delivery.received_at desc limit 1
) as webhook on true;

create view analytics.webhook_loss as
select
  coalesce(built.hour, ran.hour) as hour,
  coalesce(built.organization_id, ran.organization_id) as organization_id,
  coalesce(built.builds, 0) as builds,
  coalesce(built.builds_lost, 0) as builds_lost,
  coalesce(ran.jobs, 0) as jobs,
  coalesce(ran.jobs_lost, 0) as jobs_lost
from (
  select found.hour, found.organization_id, found.builds, found.builds_lost
  from sync.builds_found as found where found.hour >= (select date_trunc('hour', min(received_at), 'UTC') from sync.deliveries)
) as built
full join (
  select found.hour, found.organization_id, found.jobs, found.jobs_lost
  from sync.jobs_found as found where found.hour >= (select date_trunc('hour', min(received_at), 'UTC') from sync.deliveries)
) as ran on ran.hour = built.hour and ran.organization_id = built.organization_id;

create view analytics.drift as
select
  found.id, found.organization_id, found.pipeline_id, found.build_id, found.job_id, found.kind, found.columns, found.found_by, found.found_at,
  found.right_until, found.healed_at, analytics.seconds(found.found_at, found.healed_at) as seconds_to_heal
from sync.drift as found;

create view analytics.dimensions as
select organization.slug as organization, listed.organization_id, listed.name, listed.status, listed.rows, listed.read_at, listed.error
from sync.dimensions as listed left join buildkite.organizations as organization on organization.id = listed.organization_id;
