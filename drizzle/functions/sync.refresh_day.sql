-- Reads only the rows of its day. "offset 0" makes Postgres look up the build of a job and the pipeline of a build by id. Without it,
-- Postgres expects few rows and reads all builds twice, and the day's jobs once for each pipeline that a deployment rule names.
create or replace function sync.refresh_day(which date) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off -- compiling this takes longer than running it
set work_mem = '32MB' as $$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  day_end constant timestamptz := (which + 1)::timestamp at time zone 'UTC';
begin
  delete from analytics.jobs_daily where day = which;
  delete from analytics.queue_waits_daily where day = which;
  delete from analytics.queue_waits_hourly where hour >= day_start and hour < day_end;
  delete from analytics.minutes_daily where day = which;
  delete from analytics.agents_daily where day = which;
  delete from analytics.deployments where deployed_at >= day_start and deployed_at < day_end;
  delete from sync.builds_found where hour >= day_start and hour < day_end;
  insert into sync.builds_found
  select date_trunc('hour', created_at, 'UTC'), organization_id, count(*),
    count(*) filter (where first_seen_via = 'rest' and first_seen_at > created_at + interval '10 seconds')
  from buildkite.builds where created_at >= day_start and created_at < day_end group by 1, 2;
  delete from sync.jobs_found where hour >= day_start and hour < day_end;

  delete from analytics.pipeline_durations_daily where day = which;
  insert into analytics.pipeline_durations_daily select * from sync.pipeline_durations_daily_now where day = which;
  delete from analytics.branch_durations_daily where day = which;
  insert into analytics.branch_durations_daily select * from sync.branch_durations_daily_now where day = which;
  delete from analytics.build_results_daily where day = which;
  insert into analytics.build_results_daily select * from sync.build_results_daily_now where day = which;
  delete from analytics.trunk_health_daily where day = which;
  insert into analytics.trunk_health_daily select * from sync.trunk_health_daily_now where day = which;
  insert into analytics.deployments (id, reference_id, repository, commit_sha, attributed_at, merge_commit_shas, environment, deployed_at, success,
    service, source_url, source_name, integration_branch, deployment_inference_rule_id, organization_id, pipeline_id, committed_at, first_success)
  -- Of several rules that match, the closest counts: the one with the most fixed characters.
  select distinct on (deployed.id)
    rule.id || ':' || deployed.id, deployed.id::text, analytics.repository_name(pipeline.repository), deployed.commit, deployed.finished_at,
    array[deployed.commit], rule.environment, deployed.finished_at, deployed.result = 'passed', coalesce(rule.service, pipeline.slug),
    coalesce(pipeline.web_url || '/builds/' || deployed.number || case when deployed.is_job then '#' || deployed.id else '' end, deployed.web_url),
    coalesce(pipeline.name, pipeline.slug), pipeline.default_branch, rule.id, pipeline.organization_id, pipeline.id,
    (select min(build.author_date) from buildkite.builds as build
      where build.commit = deployed.commit and deployed.commit <> 'HEAD' and build.organization_id = pipeline.organization_id),
    case when deployed.is_job then (
      with recursive tries as (
        select deployed.id, deployed.result, 0 as back
        union all
        select job.id, analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason), tries.back + 1
        from tries join buildkite.jobs as job on job.retried_in_job_id = tries.id where tries.back < 1000
      )
      select coalesce(result, '') = 'passed' from tries order by back desc limit 1
    ) else coalesce((
      select attempt.state = 'passed' from analytics.attempt_runs as attempt
      where attempt.build_id = deployed.id and analytics.build_result(attempt.state, attempt.blocked) is not null
      order by attempt.finished_at limit 1
    ), deployed.result = 'passed') end
  from (
    select build.id, build.pipeline_id, build.branch, build.commit, build.finished_at, build.number, build.web_url,
      analytics.build_result(build.state, build.blocked) as result, null as step_key, null as step_name, false as is_job
    from buildkite.builds as build
    where build.finished_at >= day_start and build.finished_at < day_end
      and analytics.build_result(build.state, build.blocked) in ('passed', 'failed')
    union all
    select job.id, build.pipeline_id, build.branch, build.commit, job.finished_at, build.number, coalesce(job.web_url, build.web_url),
      analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason), job.step_key, job.name, true
    from buildkite.jobs as job
    cross join lateral (
      select pipeline_id, branch, commit, number, web_url from buildkite.builds where id = job.build_id offset 0
    ) as build
    where job.finished_at >= day_start and job.finished_at < day_end and job.type in ('script', 'trigger')
      and job.retried_in_job_id is null and not coalesce(job.retried, false)
      and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
        in ('passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out')
  ) as deployed
  cross join lateral (select * from buildkite.pipelines where id = deployed.pipeline_id offset 0) as pipeline
  left join buildkite.organizations as organization on organization.id = pipeline.organization_id
  join settings.deployment_rules as rule on deployed.is_job = (rule.step is not null)
    and (rule.step is null or analytics.matches(deployed.step_key, rule.step) or analytics.matches(deployed.step_name, rule.step))
  where rule.enabled and (analytics.matches(pipeline.slug, rule.pipeline) or pipeline.id::text = rule.pipeline)
    and analytics.matches(deployed.branch, rule.branch) and analytics.matches(coalesce(organization.slug, ''), rule.organization)
  order by deployed.id, length(replace(concat(rule.pipeline, rule.step, rule.branch, rule.organization), '*', '')) desc, rule.id
  -- Deployments that finished again on this day still have rows for the earlier day, which may be rebuilt later.
  on conflict (id) do update set
    repository = excluded.repository, commit_sha = excluded.commit_sha, attributed_at = excluded.attributed_at,
    merge_commit_shas = excluded.merge_commit_shas, environment = excluded.environment, deployed_at = excluded.deployed_at,
    success = excluded.success, service = excluded.service, source_url = excluded.source_url, source_name = excluded.source_name,
    integration_branch = excluded.integration_branch, organization_id = excluded.organization_id, pipeline_id = excluded.pipeline_id,
    committed_at = excluded.committed_at, first_success = excluded.first_success;

  with tries as materialized (
    select
      build.organization_id, build.pipeline_id, build.branch, job.agent_id, job.agent_name, job.cluster_id,
      coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue,
      analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
      analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result,
      coalesce(job.retried, false) or job.retried_in_job_id is not null as retried,
      build.state = 'canceled' as build_canceled,
      build.rebuilt,
      job.started_at, job.finished_at,
      job.first_seen_via = 'rest' and job.first_seen_at > job.started_at + interval '10 seconds' as lost_webhook,
      job.started_at >= day_start and job.started_at < day_end as starts,
      coalesce(job.finished_at, job.expired_at) >= day_start and coalesce(job.finished_at, job.expired_at) < day_end as ends,
      analytics.seconds(job.started_at, job.finished_at) as run,
      analytics.seconds(job.runnable_at, job.started_at) as wait,
      job.concurrency_wait_time_ms / 1000.0 as concurrency_wait
    from buildkite.jobs as job
    cross join lateral (
      select organization_id, pipeline_id, branch, state,
        (select true from buildkite.builds as rebuild where rebuild.rebuilt_from_id = builds.id limit 1) is not null as rebuilt
      from buildkite.builds where id = job.build_id offset 0
    ) as build
    left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
    where job.type = 'script'
      and ((job.started_at >= day_start and job.started_at < day_end) or (job.finished_at >= day_start and job.finished_at < day_end)
        or (job.expired_at >= day_start and job.expired_at < day_end))
  ), jobs_of_the_day as (
    insert into analytics.jobs_daily
    select which, organization_id, pipeline_id, job, count(*),
      count(*) filter (where result = 'passed'), count(*) filter (where result = 'soft_failed'),
      count(*) filter (where result = 'failed'), count(*) filter (where result = 'infra_lost'),
      count(*) filter (where result = 'timed_out'), count(*) filter (where result = 'expired'),
      count(*) filter (where result = 'canceled'), count(*) filter (where retried),
      avg(run),
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run))[1],
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run))[2],
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run))[3],
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by run))[4],
      max(run),
      (percentile_cont(array[0.5, 0.9]) within group (order by run) filter (where result = 'passed'))[1],
      (percentile_cont(array[0.5, 0.9]) within group (order by run) filter (where result = 'passed'))[2],
      coalesce(sum(run), 0)
    from tries where ends and result not in ('skipped', 'broken') group by organization_id, pipeline_id, job
  ), waits_of_the_day as (
    insert into analytics.queue_waits_daily
    select which, organization_id, cluster_id, queue, count(*), avg(wait),
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by wait))[1],
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by wait))[2],
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by wait))[3],
      (percentile_cont(array[0.5, 0.75, 0.9, 0.95]) within group (order by wait))[4],
      max(wait), coalesce(sum(concurrency_wait), 0)
    from tries where starts group by organization_id, cluster_id, queue
  ), hours as (
    select hour, try.organization_id, try.cluster_id, try.queue,
      try.starts and try.started_at >= hour and try.started_at < hour + interval '1 hour' as starts,
      try.wait,
      case when try.run is null then 0 else analytics.seconds(greatest(try.started_at, hour), least(try.finished_at, hour + interval '1 hour')) end as busy
    from tries as try
    cross join lateral generate_series(
      date_trunc('hour', greatest(try.started_at, day_start), 'UTC'),
      least(case when try.run is null then try.started_at else greatest(try.started_at, try.finished_at) end, day_end - interval '1 microsecond'),
      interval '1 hour'
    ) as hour
    where try.started_at is not null
  ), waits_of_the_hours as (
    insert into analytics.queue_waits_hourly
    select hour, organization_id, cluster_id, queue, count(*) filter (where starts),
      (percentile_cont(array[0.5, 0.9, 0.95]) within group (order by wait) filter (where starts))[1],
      (percentile_cont(array[0.5, 0.9, 0.95]) within group (order by wait) filter (where starts))[2],
      (percentile_cont(array[0.5, 0.9, 0.95]) within group (order by wait) filter (where starts))[3],
      max(wait) filter (where starts), sum(busy)
    from hours group by hour, organization_id, cluster_id, queue
  ), minutes_of_the_day as (
    insert into analytics.minutes_daily
    select which, organization_id, pipeline_id, branch, queue, count(*), coalesce(sum(run), 0) / 60,
      coalesce(sum(run) filter (where lost = 'infra_lost'), 0) / 60, coalesce(sum(run) filter (where lost = 'canceled'), 0) / 60,
      coalesce(sum(run) filter (where lost = 'retried'), 0) / 60, coalesce(sum(run) filter (where lost = 'rebuilt'), 0) / 60, cluster_id
    from (
      select *, case
        when result = 'infra_lost' then 'infra_lost'
        when result = 'canceled' or build_canceled then 'canceled'
        when retried then 'retried'
        when rebuilt then 'rebuilt'
      end as lost
      from tries where ends and result not in ('skipped', 'broken')
    ) as ended
    group by organization_id, pipeline_id, branch, queue, cluster_id
  ), found_of_the_hours as (
    insert into sync.jobs_found
    select date_trunc('hour', started_at, 'UTC'), organization_id, count(*), count(*) filter (where lost_webhook)
    from tries where starts group by 1, 2
  )
  insert into analytics.agents_daily
  select which, organization_id, agent_id, max(agent_name), queue, count(*) filter (where ends),
    sum(case when run is null then 0 else analytics.seconds(greatest(started_at, day_start), least(finished_at, day_end)) end),
    count(*) filter (where ends and result = 'infra_lost')
  from tries where agent_id is not null group by organization_id, agent_id, queue;

  perform sync.refresh_queue_hour(hour) from generate_series(day_start, day_end - interval '1 hour', interval '1 hour') as hour;
end $$;

comment on function sync.refresh_day is 'Rebuilds the rollup tables of analytics for one day (UTC).';
