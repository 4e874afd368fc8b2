-- What a second review of the schema `analytics` found, mended. Views keep their columns in place, new ones stand at the end; older programs go on
-- beside it. Once no sums are being made, for they would wait for what is altered here, and this for them.
select pg_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)), pg_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0));--> statement-breakpoint

-- "offset 0" has the jobs of a build looked up by build: the least of their starts would else be sought among all jobs by time.

-- Attempts -----------------------------------------------------------------------------------------------------------------------

create or replace view analytics.attempt_runs as
select build_id, started_at, finished_at,
  -- A build canceled at a gate has not run since it stopped there.
  case when started_at is not null and not (blocked and state = 'canceled' and previous_finish is not null) then
    case when previous_finish is null or started_at > previous_finish then analytics.seconds(started_at, finished_at)
    -- Buildkite need not move the start when a build goes on: what ran since then began with the first of its jobs that did.
    else coalesce(analytics.seconds((
      select min(job.started_at) from (select started_at from buildkite.jobs where build_id = attempt.build_id offset 0) as job
      where job.started_at >= previous_finish and job.started_at <= finished_at
    ), finished_at), 0) end
  end as seconds,
  finished_at <= coalesce(min(case when analytics.build_result(state, blocked) is not null then finished_at end) over whole, 'infinity') as is_first
from (
  select *, lag(finished_at) over (partition by build_id order by finished_at) as previous_finish from buildkite.build_attempts
) as attempt
window whole as (partition by build_id);--> statement-breakpoint

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
  build.web_url as source_url,
  null::bigint as github_repository_id,
  case when pipeline.provider_id like 'github%' then build.author_username end as github_username,
  null::bigint as gitlab_project_id
from buildkite.builds as build
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (select analytics.build_state(build.state, build.blocked) as state) as effective
cross join lateral (
  select
    -- Buildkite may move a build's start when it runs again. Webhooks tell of each attempt; of those before REST first told of the build only jobs do.
    least(
      build.started_at,
      (select min(attempt.started_at) from buildkite.build_attempts as attempt where attempt.build_id = build.id),
      case when build.first_seen_via = 'rest' then (select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job) end
    ) as started_at,
    case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at
) as span;--> statement-breakpoint

create or replace view analytics.builds as
select
  build.id,
  build.organization_id,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number,
  analytics.build_state(build.state, build.blocked) as state,
  analytics.build_result(build.state, build.blocked) as result,
  (select attempt.state from buildkite.build_attempts as attempt
    where attempt.build_id = build.id and analytics.build_result(attempt.state, attempt.blocked) is not null order by attempt.finished_at limit 1) as first_result,
  (select min(attempt.finished_at) from buildkite.build_attempts as attempt
    where attempt.build_id = build.id and analytics.build_result(attempt.state, attempt.blocked) is not null) as first_finished_at,
  (select count(*) from buildkite.build_attempts as attempt
    where attempt.build_id = build.id and analytics.build_result(attempt.state, attempt.blocked) is not null) as attempts,
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
  start.at as started_at,
  case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at,
  build.failing_at,
  analytics.seconds(build.created_at, start.at) as wait_seconds,
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
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
cross join lateral (
  select least(
    build.started_at,
    (select min(attempt.started_at) from buildkite.build_attempts as attempt where attempt.build_id = build.id),
    case when build.first_seen_via = 'rest' then (select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job) end
  ) as at
) as start;--> statement-breakpoint

create or replace view sync.pipeline_durations_daily_now as
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
  select sum(attempt.seconds) as total, sum(attempt.seconds) filter (where attempt.is_first) as first,
    least(min(attempt.started_at), case when build.first_seen_via = 'rest' then (select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job) end) as started_at
  from analytics.attempt_runs as attempt where attempt.build_id = build.id
) as run
where build.state in ('passed', 'failed') and not coalesce(build.blocked, false)
group by 1, 2, 3;--> statement-breakpoint

-- Gates: what waits at one is neither green nor red, and no longer unseen ------------------------------------------------------------

alter table analytics.build_results_daily add column blocked bigint;--> statement-breakpoint
alter table analytics.trunk_health_daily add column blocked bigint;--> statement-breakpoint

create or replace view sync.build_results_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(*) filter (where ended.result in ('passed', 'failed')) as finished,
  count(*) filter (where ended.result = 'passed') as passed,
  count(*) filter (where ended.result = 'failed') as failed,
  count(*) filter (where ended.result = 'canceled') as canceled,
  count(*) filter (where ended.result in ('skipped', 'not_run')) as skipped,
  count(*) filter (where ended.result in ('passed', 'failed') and first.state = 'failed') as first_failed,
  count(*) filter (where ended.result = 'passed' and first.state = 'failed') as passed_on_retry,
  count(*) filter (where ended.result = 'failed')::double precision
    / nullif(count(*) filter (where ended.result in ('passed', 'failed')), 0) as failure_rate,
  count(*) filter (where ended.result in ('passed', 'failed') and first.state = 'failed')::double precision
    / nullif(count(*) filter (where ended.result in ('passed', 'failed')), 0) as first_failure_rate,
  count(*) filter (where ended.state = 'blocked') as blocked
from buildkite.builds as build
cross join lateral (
  select analytics.build_state(build.state, build.blocked) as state, analytics.build_result(build.state, build.blocked) as result
) as ended
left join lateral (
  select attempt.state from buildkite.build_attempts as attempt
  where attempt.build_id = build.id and analytics.build_result(attempt.state, attempt.blocked) is not null order by attempt.finished_at limit 1
) as first on true
where ended.result is not null or ended.state = 'blocked'
group by 1, 2, 3;--> statement-breakpoint

create or replace view sync.trunk_health_daily_now as
select
  (coalesce(build.finished_at, build.created_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  count(ended.result) as builds,
  count(*) filter (where ended.result = 'failed') as red_builds,
  count(distinct build.commit) filter (where ended.result is not null) as commits,
  count(distinct build.commit) filter (where ended.result = 'failed') as red_commits,
  count(*) filter (where ended.result = 'passed')::double precision / nullif(count(ended.result), 0) as green_rate,
  (array_agg(ended.result order by build.number desc) filter (where ended.result is not null))[1] as last_result,
  count(*) filter (where ended.result is null) as blocked
from buildkite.builds as build
join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id and pipeline.default_branch = build.branch
cross join lateral (select analytics.build_result(build.state, build.blocked) as result) as ended
where ended.result in ('passed', 'failed') or analytics.build_state(build.state, build.blocked) = 'blocked'
group by 1, 2, 3;--> statement-breakpoint

-- Jobs -----------------------------------------------------------------------------------------------------------------------------

create or replace view analytics.job_retries as
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
  final.result as final_result,
  final.failed_before and coalesce(final.result = 'passed', false) as flaky,
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
  select job.id, job.finished_at, job.retry_source_retried_by_name, tries.try as tries, ended.result,
    coalesce(bool_or(ended.result in ('failed', 'soft_failed', 'timed_out'))
      over (order by tries.try rows between unbounded preceding and 1 preceding), false) as failed_before
  from tries
  join buildkite.jobs as job on job.id = tries.id
  cross join lateral (select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result) as ended
  order by tries.try desc limit 1
) as final
where first.retried_in_job_id is not null
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id);--> statement-breakpoint

create or replace view analytics.flaky_jobs_daily as
select
  (first.finished_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  analytics.job_name(first.name, first.label, first.step_key, first.command) as job,
  count(*) as retried,
  count(*) filter (where tried.result = 'passed') as flaky,
  sum(tried.lost_seconds) as lost_seconds
from buildkite.jobs as first
join buildkite.builds as build on build.id = first.build_id
cross join lateral (
  with recursive tries as (
    select first.id, first.retried_in_job_id, 1 as try
    union all
    select next.id, next.retried_in_job_id, tries.try + 1
    from tries join buildkite.jobs as next on next.id = tries.retried_in_job_id
    where tries.try < 1000
  )
  select
    (array_agg(ended.result order by tries.try desc))[1] as result,
    bool_or(ended.failed and not ended.is_last) as failed_before,
    sum(analytics.seconds(job.started_at, job.finished_at)) filter (where ended.failed and not ended.is_last) as lost_seconds
  from tries
  join buildkite.jobs as job on job.id = tries.id
  cross join lateral (
    select said.result, said.result in ('failed', 'soft_failed', 'timed_out') as failed, tries.retried_in_job_id is null as is_last
    from (select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result) as said
  ) as ended
) as tried
where first.retried_in_job_id is not null and tried.failed_before
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id)
group by 1, 2, 3, 4;--> statement-breakpoint

create or replace view analytics.job_breaks as
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
    -- The parts of a parallel step or a matrix may share a name.
    and same.step_key is not distinct from job.step_key and same.matrix is not distinct from job.matrix
    and same.parallel_group_index is not distinct from job.parallel_group_index
    and analytics.job_result(same.state, same.soft_failed, same.exit_status, same.signal_reason) in ('passed', 'failed', 'soft_failed', 'timed_out')
  order by earlier.number desc limit 1
) as before
where job.type = 'script' and job.state in ('failed', 'timed_out', 'expired') and job.retried_in_job_id is null and not coalesce(job.retried, false)
  and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) in ('failed', 'timed_out')
  and before.result = 'passed';--> statement-breakpoint

-- Trees and people -------------------------------------------------------------------------------------------------------------------

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
where root.triggered_from_build_id is null and tree.builds > 1;--> statement-breakpoint

create or replace view analytics.users as
select person.id, person.name, person.email, person.emails, person.usernames, person.is_member,
  array(
    select team.slug from buildkite.team_members as member join buildkite.teams as team on team.id = member.team_id
    where member.user_id = person.id and member.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  person.last_seen_at, person.changed_at,
  person.key
from buildkite.users as person;--> statement-breakpoint

-- What they mean ---------------------------------------------------------------------------------------------------------------------

comment on view analytics.pipeline_runs is 'Builds in the shape of DX''s table of that name: with analytics in the search_path a query written for it runs unchanged. One row a build. Our own grain, with first and final result: analytics.builds.';
comment on view analytics.pipelines is 'Pipelines with their tags and the teams that own them. Join here by pipeline_id to slice a view by team or tag (where ''payments'' = any (teams)); in the shapes of DX a run''s id is builds.id. Queues, agents and DORA by week belong to no pipeline.';
comment on view analytics.builds is 'Builds, one row each, with first and final result side by side. Sum up run_seconds for what people wait while it runs, total_seconds for what they wait in all. Of a build that ran before the mirror''s time the API shows its last finish alone: one attempt, whose result is also the first.';
comment on view analytics.job_retries is 'Jobs that were tried again, a row for each chain of tries within one build: first try, last try, and whether that makes it flaky. All tries have the same commit. A job that passed when the whole build was rebuilt is in analytics.rebuilds.';
comment on view analytics.flaky_jobs_daily is 'Jobs that failed by themselves and were tried again in the same build, so on the same commit, by the day (UTC) their first try finished; flaky are those whose last try passed. A lost agent makes no job flaky.';
comment on view analytics.job_breaks is 'Which build broke a job on the default branch, as it is at present: its last try failed or timed out, and passed in the build before that had it. The same job is one of the same name, step key, matrix and place among parallel parts. Lost agents break nothing.';
comment on view analytics.trunk_recoveries is 'Red spells of default branches: the build that broke it, and the next build (by number) that passed. By final results: a build that a retry turned green breaks nothing, and one that waits at a gate neither breaks nor recovers: where every good build waits at one, look at trunk_health_daily.blocked. By the present default branch: what ran on a former one is not here. Some count from the first red commit''s push instead; that is not Buildkite''s to know.';
comment on table analytics.trunk_health_daily is 'The default branch day by day (UTC): builds and commits that ended red. What waits at a gate has no colour yet: it is in blocked alone, so where every good build waits at one, green_rate is that of the others. By the present default branch: when it is renamed, all days are made anew, and those before hold only what ran on a branch of that name. A kept table.';
comment on table analytics.build_results_daily is 'How builds ended, by pipeline and the day (UTC) they finished. Practice disagrees on retries: failure_rate is by the final result, first_failure_rate by the first (of a build that ran before the mirror''s time: the last). Canceled and skipped builds are in neither, nor what waits at a gate, which stands in blocked on the day it stopped; those that never finished count on the day they were created. A kept table.';
comment on table analytics.pipeline_durations_daily is 'How long builds ran, by pipeline and the day (UTC) they finished, attempts added up and pauses left out, as far as finishes were seen: of a build that ran before the mirror''s time the API shows the last alone. Practice disagrees on whether failures count: percentiles are over passed and failed builds; passed_ over passed ones alone; first_ over first attempts alone. A kept table.';
comment on view analytics.trigger_trees is 'Builds that triggered others, with everything below them: how many, how deep, how long until the last one finished. A row for each build at the top of a tree.';
comment on table analytics.deployments is 'Deployments in the shape of DX''s table of that name (three columns of our own at the end), found by the rules in settings.deployment_rules: builds, or the last tries of a step''s jobs, that ended in success or failure. Canceled, blocked and open ones are none. A rule for a step makes one of each job of it: of a parallel step or a matrix each part, unless the rule''s pattern names one. One that ran again stands with its last end. Without rules it is empty. A kept table, made anew within about 15 s of a change of a build, and for every day when a rule changes.';--> statement-breakpoint

do $$
declare
  said record;
begin
  for said in
    select format('comment on column %s is %L', name, comment) as statement from (values
      ('analytics.build_results_daily.blocked', 'How many wait at a gate, in neither rate. Null on days not made since this column came.'),
      ('analytics.trunk_health_daily.blocked', 'How many wait at a gate, without colour. Null on days not made since this column came.'),
      ('analytics.trunk_health_daily.green_rate', 'Passed by passed and failed, 0 to 1. Null when all wait at a gate.'),
      ('sync.build_results_daily_now.blocked', 'How many wait at a gate, in neither rate.'),
      ('sync.trunk_health_daily_now.blocked', 'How many wait at a gate, without colour.'),
      ('analytics.users.key', 'The one key of a person, as id is null for some. May change when two turn out to be one: load users whole.'),
      ('analytics.flaky_jobs_daily.retried', 'Jobs of which a try failed and that were tried again.'),
      ('analytics.flaky_jobs_daily.lost_seconds', 'Seconds that the failed tries before the last took.'),
      ('analytics.job_retries.flaky', 'A try before the last failed by itself, and the last passed: on the same commit.'),
      ('analytics.trigger_trees.total_seconds', 'Seconds from the top build''s creation to the last finish in the tree. Null while any of it is open or waits at a gate.'),
      ('analytics.pipeline_runs.started_at', 'The earliest start of any attempt, as DX takes it; of a build that REST told of first, of any job.'),
      ('analytics.builds.started_at', 'The earliest start of any attempt; of a build that REST told of first, of any job.'),
      ('analytics.builds.first_result', 'How the first attempt ended. Of a build that ran before the mirror''s time: the last one.'),
      ('analytics.builds.run_seconds', 'Seconds of running, all finished attempts added up; pauses at block steps and between attempts left out, as far as finishes were seen: of a build that ran before the mirror''s time only the last was.')
    ) as comments (name, comment)
  loop
    execute said.statement;
  end loop;
end $$;--> statement-breakpoint

select sync.mark_every_day();
