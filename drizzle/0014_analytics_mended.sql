-- Once no sums are being made: they would wait for what is locked below, and this for them.
SELECT pg_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)), pg_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0));--> statement-breakpoint
-- In the order in which deliveries and pages are merged, for a service may be at it just now: in another order each would wait for the other.
LOCK TABLE sync.deliveries, buildkite.organizations, buildkite.pipelines, buildkite.builds, buildkite.build_attempts, buildkite.cluster_queues IN ACCESS EXCLUSIVE MODE;--> statement-breakpoint
ALTER TABLE "settings"."deployment_rules" ADD COLUMN "organization" text DEFAULT '*' NOT NULL;--> statement-breakpoint
ALTER TABLE "settings"."queue_rates" ADD COLUMN "cluster" text DEFAULT '*' NOT NULL;--> statement-breakpoint
ALTER TABLE "settings"."queue_rates" DROP CONSTRAINT "queue_rates_pkey";--> statement-breakpoint
ALTER TABLE "settings"."queue_rates" ADD CONSTRAINT "queue_rates_queue_cluster_pk" PRIMARY KEY("queue","cluster");--> statement-breakpoint
-- What a review of the schema analytics found, mended. Views keep their columns in place, new ones stand at the end; version 0.1.0 goes on
-- beside it with sync.refresh_rollups() and sync.refresh_users() as it knows them.

-- What a state, a time and an address mean ---------------------------------------------------------------------------------------

create or replace function analytics.seconds(earlier timestamptz, later timestamptz) returns double precision
language sql immutable parallel safe
return case
  when later <= earlier then 0
  when later - earlier < interval '24855 days' then extract(epoch from later - earlier)::double precision -- as many seconds as an integer holds
end;
comment on function analytics.seconds is 'Seconds from one time to a later one; 0 when they stand the other way round (Buildkite''s times may). Null when either is null, or when 68 years and more lie between: one of them is then no time but the zero of some clock, and would spoil every mean.';

create or replace function analytics.build_state(state text, blocked boolean) returns text
language sql immutable parallel safe
return case when blocked and state is distinct from 'canceled' then 'blocked' else state end;
comment on function analytics.build_state is 'The effective state of a build: a build that waits at a block step keeps its last state, such as passed, and says blocked: true. It is blocked, whatever its state says; but a canceled build never runs again, so that canceled stands.';

create or replace function analytics.build_result(state text, blocked boolean) returns text
language sql immutable parallel safe
return case when state = 'canceled' or (not coalesce(blocked, false) and state in ('passed', 'failed', 'skipped', 'not_run')) then state end;
comment on function analytics.build_result is 'How a build ended: passed, failed, canceled, skipped, not_run. Null while it is open, and while it is blocked: a blocked build is neither finished nor a success. A build canceled while it was blocked is canceled.';

create or replace function analytics.repository_name(url text) returns text
language sql immutable parallel safe
return nullif(regexp_replace(
  regexp_replace(url, '^([A-Za-z][A-Za-z0-9+.-]*://[^/]*/+|[^/]*@[^/:@]*[/:]+|[^/:@]+:/*|[^/:@]*\.[^/:@]*/+(?=[^/]+/+[^/])|/+)', ''),
  '(\.git)?/*$', ''), '');
comment on function analytics.repository_name is 'owner/name of a repository''s address, be it https://github.com/acme/app.git or git@github.com:acme/app.git: everything up to the host is left out, user names, passwords and tokens too.';

create function analytics.repository_url(url text) returns text
language sql immutable parallel safe
return regexp_replace(regexp_replace(url, '^(https?://)[^/]*@', '\1', 'i'), '^([A-Za-z][A-Za-z0-9+.-]*://[^/:@]*):[^/]*@', '\1@');
comment on function analytics.repository_url is 'A repository''s address without the passwords and tokens that it may hold.';

-- Which days are to be made anew -------------------------------------------------------------------------------------------------

drop trigger mark_every_day on settings.deployment_rules;
drop trigger mark_every_day on buildkite.pipelines;
drop function sync.mark_every_day();

create function sync.mark_every_day(since date default '-infinity') returns integer language plpgsql as $$
declare
  found record;
  day date;
  days date[] := '{}';
  marked integer;
begin
  -- From day to day along the index of each time: a million rows are not looked at for the sake of a year's days.
  for found in
    select * from (values ('builds', 'created_at'), ('builds', 'finished_at'), ('jobs', 'started_at'), ('jobs', 'finished_at'), ('jobs', 'expired_at'))
      as times (relation, time)
  loop
    day := since;
    loop
      execute format('select (min(%1$I) at time zone ''UTC'')::date from buildkite.%2$I where %1$I >= $1', found.time, found.relation)
        into day using day::timestamp at time zone 'UTC';
      exit when day is null;
      days := days || day;
      day := day + 1;
    end loop;
  end loop;
  insert into sync.stale_days (day)
  select unnest(days)
  union select minutes.day from analytics.minutes_daily as minutes where minutes.day >= since
  union select (deployed_at at time zone 'UTC')::date from analytics.deployments where deployed_at >= since::timestamp at time zone 'UTC';
  get diagnostics marked = row_count;
  return marked;
end $$;
comment on function sync.mark_every_day is 'Marks every day that the mirror holds anything of, or each from the given day on; the kept tables are made anew for them in the next turns. Call it when you have changed rows of the mirror by hand. Returns how many days.';

create function sync.mark_every_day_at_change() returns trigger language plpgsql as $$
begin
  perform sync.mark_every_day();
  return null;
end $$;

create or replace function sync.mark_days_of_new_builds() returns trigger language plpgsql as $$
begin
  perform sync.mark_days(array_agg(created_at), array_agg(coalesce(finished_at, created_at))) from after_rows;
  perform sync.mark_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from after_rows as build join buildkite.jobs as job on job.build_id = build.id or job.build_id = build.rebuilt_from_id;
  -- Only now is it known when the commit was written.
  perform sync.mark_days(array_agg(deployment.deployed_at), null)
  from after_rows as build join analytics.deployments as deployment on deployment.commit_sha = build.commit
  where build.commit <> 'HEAD' and build.author_date < coalesce(deployment.committed_at, 'infinity');
  return null;
end $$;

create or replace function sync.mark_days_of_changed_builds() returns trigger language plpgsql as $$
begin
  perform sync.mark_days(array_agg(coalesce(before.finished_at, before.created_at)), array_agg(coalesce(after.finished_at, after.created_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.mark_days(array_agg(before.created_at), array_agg(after.created_at))
  from before_rows as before join after_rows as after using (id)
  where (after.created_at, after.organization_id) is distinct from (before.created_at, before.organization_id);
  perform sync.mark_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from before_rows as before join after_rows as after using (id)
  join buildkite.jobs as job on job.build_id = after.id or job.build_id = after.rebuilt_from_id
  where (after.organization_id, after.pipeline_id, after.branch, after.commit, after.state = 'canceled', after.rebuilt_from_id)
    is distinct from (before.organization_id, before.pipeline_id, before.branch, before.commit, before.state = 'canceled', before.rebuilt_from_id);
  perform sync.mark_days(array_agg(deployment.deployed_at), null)
  from before_rows as before join after_rows as after using (id)
  join analytics.deployments as deployment on deployment.commit_sha in (before.commit, after.commit)
  where (after.commit, after.author_date) is distinct from (before.commit, before.author_date) and deployment.commit_sha <> 'HEAD';
  return null;
end $$;

-- First results and running times come from the attempts: the webhook of a first finish may be the last to arrive.
create function sync.mark_days_of_attempts() returns trigger language plpgsql as $$
begin
  perform sync.mark_days(array_agg(coalesce(build.finished_at, build.created_at)), null)
  from after_rows as attempt join buildkite.builds as build on build.id = attempt.build_id;
  return null;
end $$;

-- Deployments bear the pipeline's names and are found by its slug; trunk health goes by its default branch.
create function sync.mark_days_of_pipelines(ids uuid[]) returns void language plpgsql as $$
begin
  perform sync.mark_days(array_agg(coalesce(finished_at, created_at)), null) from buildkite.builds where pipeline_id = any (ids);
  perform sync.mark_days(array_agg(job.finished_at), null)
  from buildkite.builds as build join buildkite.jobs as job on job.build_id = build.id where build.pipeline_id = any (ids);
end $$;

create function sync.mark_days_of_new_pipelines() returns trigger language plpgsql as $$
begin
  perform sync.mark_days_of_pipelines(array_agg(id)) from after_rows having count(*) > 0;
  return null;
end $$;

create function sync.mark_days_of_changed_pipelines() returns trigger language plpgsql as $$
begin
  perform sync.mark_days_of_pipelines(array_agg(id))
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.slug, after.name, after.repository, after.default_branch)
    is distinct from (before.organization_id, before.slug, before.name, before.repository, before.default_branch)
  having count(*) > 0;
  return null;
end $$;

create function sync.mark_days_of_changed_organizations() returns trigger language plpgsql as $$
begin
  perform sync.mark_every_day()
  where exists (select from before_rows as before join after_rows as after using (id) where after.slug is distinct from before.slug)
    and exists (select from settings.deployment_rules where organization <> '*');
  return null;
end $$;

-- Until its queue is known a job counts for the queue `default`. None ran in a queue before it was made.
create function sync.mark_days_of_new_queues() returns trigger language plpgsql as $$
begin
  perform sync.mark_every_day(min(coalesce((created_at at time zone 'UTC')::date, '-infinity'))) from after_rows having count(*) > 0;
  return null;
end $$;

create function sync.mark_days_of_changed_queues() returns trigger language plpgsql as $$
begin
  perform sync.mark_every_day(min(coalesce((after.created_at at time zone 'UTC')::date, '-infinity')))
  from before_rows as before join after_rows as after using (id)
  where after.key is distinct from before.key having count(*) > 0;
  return null;
end $$;

create trigger mark_every_day after insert or update or delete on settings.deployment_rules
  for each statement execute function sync.mark_every_day_at_change();
create trigger mark_days_of_new_attempts after insert on buildkite.build_attempts
  referencing new table as after_rows for each statement execute function sync.mark_days_of_attempts();
create trigger mark_days_of_changed_attempts after update on buildkite.build_attempts
  referencing new table as after_rows for each statement execute function sync.mark_days_of_attempts();
create trigger mark_days_of_new_pipelines after insert on buildkite.pipelines
  referencing new table as after_rows for each statement execute function sync.mark_days_of_new_pipelines();
create trigger mark_days_of_changed_pipelines after update on buildkite.pipelines
  referencing old table as before_rows new table as after_rows for each statement execute function sync.mark_days_of_changed_pipelines();
create trigger mark_days_of_changed_organizations after update on buildkite.organizations
  referencing old table as before_rows new table as after_rows for each statement execute function sync.mark_days_of_changed_organizations();
create trigger mark_days_of_new_queues after insert on buildkite.cluster_queues
  referencing new table as after_rows for each statement execute function sync.mark_days_of_new_queues();
create trigger mark_days_of_changed_queues after update on buildkite.cluster_queues
  referencing old table as before_rows new table as after_rows for each statement execute function sync.mark_days_of_changed_queues();

-- Kept tables: whose they are, and in which cluster ------------------------------------------------------------------------------

alter table analytics.deployments add column organization_id uuid, add column pipeline_id uuid, add column committed_at timestamptz;
drop index analytics.deployments_service;
create index deployments_service on analytics.deployments (organization_id, service, environment, deployed_at);
create index deployments_restored on analytics.deployments (organization_id, service, environment, deployed_at) where success;
create index deployments_commit on analytics.deployments (commit_sha);
create index deployments_week on analytics.deployments ((date_trunc('week', deployed_at at time zone 'UTC') at time zone 'UTC'));
-- Credentials that the older analytics.repository_name let through are not left to stand until the day is made anew.
update analytics.deployments set repository = regexp_replace(repository, '^.*@[^/:]*[/:]+', '') where repository like '%@%';

alter table analytics.minutes_daily add column cluster_id uuid;

-- Making days anew ---------------------------------------------------------------------------------------------------------------

create or replace function sync.refresh_day(which date) returns void language plpgsql
set jit = off -- compiling this takes longer than running it
set work_mem = '32MB'
as $$
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
    service, source_url, source_name, integration_branch, deployment_inference_rule_id, organization_id, pipeline_id, committed_at)
  select
    rule.id || ':' || deployed.id, deployed.id::text, analytics.repository_name(pipeline.repository), deployed.commit, deployed.finished_at,
    array[deployed.commit], rule.environment, deployed.finished_at, deployed.result = 'passed', coalesce(rule.service, pipeline.slug), deployed.web_url,
    coalesce(pipeline.name, pipeline.slug), pipeline.default_branch, rule.id, pipeline.organization_id, pipeline.id,
    (select min(build.author_date) from buildkite.builds as build where build.commit = deployed.commit and deployed.commit <> 'HEAD')
  from settings.deployment_rules as rule
  join buildkite.pipelines as pipeline on analytics.matches(pipeline.slug, rule.pipeline)
  left join buildkite.organizations as organization on organization.id = pipeline.organization_id
  join (
    select build.id, build.pipeline_id, build.branch, build.commit, build.finished_at, build.web_url,
      analytics.build_result(build.state, build.blocked) as result, null as step_key, null as step_name, false as is_job
    from buildkite.builds as build
    where build.finished_at >= day_start and build.finished_at < day_end
      and analytics.build_result(build.state, build.blocked) in ('passed', 'failed')
    union all
    select job.id, build.pipeline_id, build.branch, build.commit, job.finished_at, coalesce(job.web_url, build.web_url),
      analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason), job.step_key, job.name, true
    from buildkite.jobs as job join buildkite.builds as build on build.id = job.build_id
    where job.finished_at >= day_start and job.finished_at < day_end and job.type in ('script', 'trigger')
      and job.retried_in_job_id is null and not coalesce(job.retried, false)
      and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
        in ('passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out')
  ) as deployed on deployed.pipeline_id = pipeline.id and deployed.is_job = (rule.step is not null)
    and (rule.step is null or analytics.matches(deployed.step_key, rule.step) or analytics.matches(deployed.step_name, rule.step))
  where rule.enabled and analytics.matches(deployed.branch, rule.branch)
    and analytics.matches(coalesce(organization.slug, ''), rule.organization)
  -- What finished again on this day still stands on the day it finished before, whose turn may come later.
  on conflict (id) do update set
    repository = excluded.repository, commit_sha = excluded.commit_sha, attributed_at = excluded.attributed_at,
    merge_commit_shas = excluded.merge_commit_shas, environment = excluded.environment, deployed_at = excluded.deployed_at,
    success = excluded.success, service = excluded.service, source_url = excluded.source_url, source_name = excluded.source_name,
    integration_branch = excluded.integration_branch, organization_id = excluded.organization_id, pipeline_id = excluded.pipeline_id,
    committed_at = excluded.committed_at;

  with tries as materialized (
    select
      build.organization_id, build.pipeline_id, build.branch, job.agent_id, job.agent_name, job.cluster_id,
      coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue,
      analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
      analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result,
      coalesce(job.retried, false) or job.retried_in_job_id is not null as retried,
      build.state = 'canceled' as build_canceled,
      exists (select from buildkite.builds as rebuild where rebuild.rebuilt_from_id = build.id) as rebuilt,
      job.started_at, job.finished_at,
      job.first_seen_via = 'rest' and job.first_seen_at > job.started_at + interval '10 seconds' as lost_webhook,
      job.started_at >= day_start and job.started_at < day_end as starts,
      coalesce(job.finished_at, job.expired_at) >= day_start and coalesce(job.finished_at, job.expired_at) < day_end as ends,
      analytics.seconds(job.started_at, job.finished_at) as run,
      analytics.seconds(job.runnable_at, job.started_at) as wait,
      job.concurrency_wait_time_ms / 1000.0 as concurrency_wait
    from buildkite.jobs as job
    join buildkite.builds as build on build.id = job.build_id
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
      least(case when try.run is null then try.started_at else try.finished_at end, day_end - interval '1 microsecond'),
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
    select which, organization_id, pipeline_id, branch, queue, count(*), sum(run) / 60,
      coalesce(sum(run) filter (where lost = 'infra_lost'), 0) / 60, coalesce(sum(run) filter (where lost = 'canceled'), 0) / 60,
      coalesce(sum(run) filter (where lost = 'retried'), 0) / 60, coalesce(sum(run) filter (where lost = 'rebuilt'), 0) / 60, cluster_id
    from (
      select *, case
        when result = 'infra_lost' then 'infra_lost'
        when result = 'canceled' or build_canceled then 'canceled'
        when retried then 'retried'
        when rebuilt then 'rebuilt'
      end as lost
      from tries where ends and run is not null
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
end $$;

create function sync.refresh_marked_day(which date) returns boolean language plpgsql as $$
declare
  began constant timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)) then
    return false;
  end if;
  -- Marks that come while the day is being made stay for the next turn.
  delete from sync.stale_days where day = which;
  if found then
    perform sync.refresh_day(which);
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms)
  values ('days', began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, took_ms = excluded.took_ms;
  return true;
end $$;
comment on function sync.refresh_marked_day is 'Makes the kept tables anew for one day (UTC), if it is marked. False, and nothing done, when another process is at it.';

create or replace function sync.refresh_rollups() returns integer language plpgsql as $$
declare
  turn timestamptz;
  stale date;
begin
  select seen_to into turn from sync.rollups where name = 'days';
  turn := coalesce(turn, clock_timestamp());
  select max(day) into stale from sync.stale_days where marked_at <= turn;
  if stale is not null then
    if not sync.refresh_marked_day(stale) then
      return 0;
    end if;
    update sync.rollups set seen_to = turn where name = 'days';
    return 1;
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms) values ('days', clock_timestamp(), 0)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, seen_to = null;
  return 0;
end $$;
comment on function sync.refresh_rollups is 'Makes the newest day anew of those that were marked when the turn began. Returns 1, or 0 when the turn is over or another process is at it: call it until it returns 0. What is marked meanwhile waits for the next turn, so that a busy day keeps no other from being made.';

-- Views --------------------------------------------------------------------------------------------------------------------------

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
    least(build.started_at, (select min(attempt.started_at) from buildkite.build_attempts as attempt where attempt.build_id = build.id)) as started_at,
    case when analytics.build_result(build.state, build.blocked) is not null then build.finished_at end as finished_at
) as span;

create or replace view analytics.pipeline_jobs as
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
  round(analytics.seconds(job.started_at, job.finished_at))::integer as duration,
  job.started_at,
  job.finished_at
from buildkite.jobs as job
where job.type in ('script', 'trigger');

create or replace view analytics.pipelines as
select
  pipeline.id,
  pipeline.organization_id,
  organization.slug as organization,
  pipeline.slug,
  pipeline.name,
  analytics.repository_url(pipeline.repository) as repository_url,
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

create or replace view analytics.attempt_runs as
select build_id, started_at, finished_at,
  -- A build canceled at a gate has not run since it stopped there.
  case when started_at is not null and not (blocked and state = 'canceled' and previous_finish is not null)
    then analytics.seconds(greatest(started_at, previous_finish), finished_at) end as seconds,
  finished_at <= coalesce(min(case when analytics.build_result(state, blocked) is not null then finished_at end) over whole, 'infinity') as is_first
from (
  select *, lag(finished_at) over (partition by build_id order by finished_at) as previous_finish from buildkite.build_attempts
) as attempt
window whole as (partition by build_id);

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
  analytics.job_result(final.state, final.soft_failed, final.exit_status, final.signal_reason) as final_result,
  analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) in ('failed', 'soft_failed', 'timed_out')
    and analytics.job_result(final.state, final.soft_failed, final.exit_status, final.signal_reason) = 'passed' as flaky,
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

create or replace view analytics.approvals as
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
      where attempt.build_id = job.build_id and analytics.build_state(attempt.state, attempt.blocked) = 'blocked' and (job.unblocked_at is null or attempt.finished_at <= job.unblocked_at)),
    job.runnable_at,
    (select max(before.finished_at) from buildkite.jobs as before
      where before.build_id = job.build_id and (before.finished_at <= job.unblocked_at or job.unblocked_at is null and job.state = 'blocked')),
    job.created_at,
    case when job.unblocked_at is not null or job.state = 'blocked' then build.created_at end
  ) as since
) as blocked
where job.type = 'manual';

create or replace view analytics.parallel_steps as
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
    min(coalesce(nullif(job.step_key, ''), analytics.job_name(job.name, job.label, job.step_key, job.command))) as step,
    count(*) as parts,
    max(job.parallel_group_total) as total,
    min(analytics.seconds(job.started_at, job.finished_at)) as shortest_seconds,
    avg(analytics.seconds(job.started_at, job.finished_at)) as mean_seconds,
    max(analytics.seconds(job.started_at, job.finished_at)) as longest_seconds
  from buildkite.jobs as job
  where job.build_id = build.id and job.parallel_group_total > 1
    and job.retried_in_job_id is null and not coalesce(job.retried, false) and job.started_at is not null and job.finished_at is not null
  -- A step without a key is told from others of its build by its id, which the next build does not share.
  group by coalesce(nullif(job.step_key, ''), job.step_id::text, job.name)
) as step;

create or replace view analytics.first_failures as
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
    and not (coalesce(failed.retried, false) and failed.retry_type is not distinct from 'automatic')
    and analytics.job_result(failed.state, failed.soft_failed, failed.exit_status, failed.signal_reason) in ('failed', 'infra_lost', 'timed_out', 'expired')
  order by 3, failed.id limit 1
) as job on true
-- Said of the build first: its jobs need not be read when nothing tells that it ever failed.
where (
    build.failing_at is not null or build.state in ('failed', 'failing')
    or exists (select from buildkite.build_attempts as attempt where attempt.build_id = build.id and attempt.state = 'failed')
  ) and (build.failing_at is not null or job.failed_at is not null);

create or replace view sync.build_results_daily_now as
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
  where attempt.build_id = build.id and analytics.build_result(attempt.state, attempt.blocked) is not null order by attempt.finished_at limit 1
) as first on true
where analytics.build_result(build.state, build.blocked) is not null
group by 1, 2, 3;

create or replace view analytics.flaky_jobs_daily as
select
  (first.finished_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  analytics.job_name(first.name, first.label, first.step_key, first.command) as job,
  count(*) as retried,
  count(*) filter (where final.result = 'passed') as flaky,
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
  select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result
  from tries join buildkite.jobs as job on job.id = tries.id order by tries.try desc limit 1
) as final
where first.retried_in_job_id is not null
  and analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) in ('failed', 'soft_failed', 'timed_out')
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id)
group by 1, 2, 3, 4;

create or replace view analytics.cancellations_daily as
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
where analytics.build_result(build.state, build.blocked) in ('canceled', 'skipped')
group by 1, 2, 3, 4, 5;

create view sync.cluster_rates as
-- A cluster that the token may not list can still be named by its id, which goes before a name.
select distinct on (rate.queue, named.cluster_id)
  rate.queue, named.cluster_id, rate.per_minute::double precision as per_minute, rate.currency
from settings.queue_rates as rate
cross join lateral (
  select rate.cluster::uuid as cluster_id, 1 as place where rate.cluster ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  union all
  select known.id, 2 from buildkite.clusters as known where known.name = rate.cluster
) as named
order by rate.queue, named.cluster_id, named.place;

create or replace view analytics.costs_daily as
select
  spent.day, spent.organization_id, spent.pipeline_id, spent.branch, spent.queue, spent.minutes,
  spent.minutes_infra_lost + spent.minutes_canceled + spent.minutes_retried + spent.minutes_rebuilt as minutes_wasted,
  spent.minutes * coalesce(own.per_minute, anywhere.per_minute) as cost,
  (spent.minutes_infra_lost + spent.minutes_canceled + spent.minutes_retried + spent.minutes_rebuilt)
    * coalesce(own.per_minute, anywhere.per_minute) as cost_wasted,
  coalesce(own.currency, anywhere.currency) as currency,
  spent.cluster_id,
  cluster.name as cluster
from analytics.minutes_daily as spent
left join buildkite.clusters as cluster on cluster.id = spent.cluster_id
left join sync.cluster_rates as own on own.queue = spent.queue and own.cluster_id = spent.cluster_id
left join (
  select queue, per_minute::double precision as per_minute, currency from settings.queue_rates where cluster = '*'
) as anywhere on anywhere.queue = spent.queue;

create view analytics.queue_costs_daily as
select
  spent.day, spent.organization_id, spent.cluster_id, cluster.name as cluster, spent.queue, spent.minutes, spent.minutes_wasted,
  spent.minutes * coalesce(own.per_minute, anywhere.per_minute) as cost,
  spent.minutes_wasted * coalesce(own.per_minute, anywhere.per_minute) as cost_wasted,
  coalesce(own.currency, anywhere.currency) as currency
from (
  select day, organization_id, cluster_id, queue, sum(minutes) as minutes,
    sum(minutes_infra_lost + minutes_canceled + minutes_retried + minutes_rebuilt) as minutes_wasted
  from analytics.minutes_daily group by day, organization_id, cluster_id, queue
) as spent
left join buildkite.clusters as cluster on cluster.id = spent.cluster_id
left join sync.cluster_rates as own on own.queue = spent.queue and own.cluster_id = spent.cluster_id
left join (
  select queue, per_minute::double precision as per_minute, currency from settings.queue_rates where cluster = '*'
) as anywhere on anywhere.queue = spent.queue;

create or replace view analytics.dora_weekly as
select
  date_trunc('week', deployed.deployed_at at time zone 'UTC') at time zone 'UTC' as week,
  deployed.service,
  deployed.environment,
  count(*) as deployments,
  count(*) filter (where not deployed.success) as failed,
  count(*) filter (where not deployed.success)::double precision / count(*) as change_failure_rate,
  percentile_cont(0.5) within group (order by analytics.seconds(deployed.deployed_at, restored.at)) as p50_seconds_to_restore,
  percentile_cont(0.5) within group (order by analytics.seconds(deployed.committed_at, deployed.deployed_at))
    filter (where deployed.success) as p50_lead_seconds,
  deployed.organization_id
from analytics.deployments as deployed
left join lateral (
  select next.deployed_at as at from analytics.deployments as next
  where not deployed.success and next.success and next.deployed_at > deployed.deployed_at
    and next.organization_id = deployed.organization_id and next.service = deployed.service and next.environment = deployed.environment
    -- The first of a row of failures is the one that is restored.
    and (
      select before.success from analytics.deployments as before
      where before.organization_id = deployed.organization_id and before.service = deployed.service
        and before.environment = deployed.environment and before.deployed_at < deployed.deployed_at
      order by before.deployed_at desc limit 1
    ) is distinct from false
  order by next.deployed_at limit 1
) as restored on true
group by 1, 2, 3, 9;

-- What they mean -----------------------------------------------------------------------------------------------------------------

comment on view analytics.approvals is 'Block and input steps: since when each held its build, who let it go and when. Read over REST, as most are, blocked_at is an estimate: see there.';
comment on view analytics.first_failures is 'When a build first told that it would fail: the earliest of failing_at, the first hard failure of a job, and a promised exit status. Also of builds that a retry by hand turned green, which failing_at or a failed attempt tells of. A try that Buildkite retried by itself is no sign: nobody was told.';
comment on view analytics.trunk_recoveries is 'Red spells of default branches: the build that broke it, and the next build (by number) that passed. By final results: a build that a retry turned green breaks nothing. By the present default branch: what ran on a former one is not here. Some count from the first red commit''s push instead; that is not Buildkite''s to know.';
comment on view analytics.job_breaks is 'Which build broke a job on the default branch, as it is at present: its last try failed or timed out, and passed in the build before that had it. Lost agents break nothing.';
comment on table analytics.trunk_health_daily is 'The default branch day by day (UTC): builds and commits that ended red. By the present default branch: when it is renamed, all days are made anew, and those before hold only what ran on a branch of that name. A kept table.';
comment on view analytics.pull_requests is 'What each pull request cost in CI. Merge times are not Buildkite''s to know. Ask for one (where pr_number = ...), which is quick; all of history takes some 8 s on a million builds. For all of a span of time group analytics.builds.';
comment on view analytics.parallel_steps is 'How evenly the parts of a parallel step share the work, by the last try of each part. imbalance 1 is perfect; at 2 the step takes twice as long as it had to. A step without a key bears the name of its first part, so that it is found again in the next build.';
comment on view analytics.costs_daily is 'Agent minutes times the rates in settings.queue_rates: the one that names the cluster, else the one of every cluster. cost is null for a queue without a rate.';
comment on view analytics.queue_costs_daily is 'As costs_daily, by queue alone: priced after the minutes of all pipelines and branches were added up, and so much quicker.';
comment on view sync.cluster_rates is 'The rates of settings.queue_rates that name a cluster, by the cluster''s id.';
comment on view analytics.dora_weekly is 'Deployment frequency, change failure rate, time to restore and lead time by organization, service, environment and week (Monday, UTC), from analytics.deployments. A failed deployment counts as a failed change; practice also counts incidents, which Buildkite does not know. Restored by the next deployment of the same service that succeeded, counted from the first of a row of failures.';
comment on table analytics.deployments is 'Deployments in the shape of DX''s table of that name (three columns of our own at the end), found by the rules in settings.deployment_rules: builds, or the last tries of a step''s jobs, that ended in success or failure. Canceled, blocked and open ones are none. One that ran again stands with its last end. Without rules it is empty. A kept table, made anew within about 15 s of a change of a build, and for every day when a rule changes.';
comment on table analytics.minutes_daily is 'Agent minutes of command jobs by pipeline, branch, cluster, queue and the day (UTC) they finished, and the part wasted, each minute under the first reason that applies: agent lost, canceled (the job or its build), retried, rebuilt. A kept table.';
comment on table settings.queue_rates is 'What a minute of a queue''s agents costs. Yours to fill; a row for each cluster where they differ.';
comment on column settings.deployment_rules.organization is 'Slug of the organizations, as a pattern: * stands for any characters.';
comment on column settings.queue_rates.cluster is 'Name of the cluster, or its id; *: wherever no other row of the queue names the cluster.';
comment on column settings.queue_rates.queue is 'Queue, as analytics.jobs names it.';
comment on column sync.rollups.seen_to is 'Of users: up to which changed_at people were taken in. Of days: when the turn of sync.refresh_rollups() that is under way began; null: none is.';
comment on column sync.rollups.took_ms is 'How long the last turn took, in milliseconds; of days: the last day.';

do $$
declare
  said record;
begin
  for said in
    select format('comment on column %s is %L', name, comment) as statement from (values
      ('analytics.deployments.organization_id', 'organizations.id. Ours, not DX''s.'),
      ('analytics.deployments.pipeline_id', 'pipelines.id. Ours, not DX''s.'),
      ('analytics.deployments.committed_at', 'Author date of the commit, as any build of it told; null where none did. Ours, not DX''s.'),
      ('analytics.minutes_daily.cluster_id', 'clusters.id; null outside clusters.'),
      ('analytics.costs_daily.cluster_id', 'clusters.id; null outside clusters.'),
      ('analytics.costs_daily.cluster', 'Name of the cluster, at present; null outside clusters.'),
      ('analytics.dora_weekly.organization_id', 'organizations.id.'),
      ('analytics.queue_costs_daily.day', 'Day in UTC.'),
      ('analytics.queue_costs_daily.organization_id', 'organizations.id.'),
      ('analytics.queue_costs_daily.cluster_id', 'clusters.id; null outside clusters.'),
      ('analytics.queue_costs_daily.cluster', 'Name of the cluster, at present; null outside clusters.'),
      ('analytics.queue_costs_daily.queue', 'Queue: of the agent query rules, else of the cluster, else default.'),
      ('analytics.queue_costs_daily.minutes', 'Agent minutes.'),
      ('analytics.queue_costs_daily.minutes_wasted', 'Minutes lost to lost agents, cancels, retries and rebuilds.'),
      ('analytics.queue_costs_daily.cost', 'minutes times the rate of the queue; null without a rate.'),
      ('analytics.queue_costs_daily.cost_wasted', 'minutes_wasted times the rate of the queue.'),
      ('analytics.queue_costs_daily.currency', 'Currency of the rate.'),
      ('sync.cluster_rates.queue', 'Queue.'),
      ('sync.cluster_rates.cluster_id', 'clusters.id.'),
      ('sync.cluster_rates.per_minute', 'What a minute of an agent costs.'),
      ('sync.cluster_rates.currency', 'Currency.'),
      ('analytics.pipelines.repository_url', 'Address of the repository, as configured; passwords and tokens left out.'),
      ('analytics.approvals.blocked_at', 'Since when the build has waited here: its last stop before the unblock, where a webhook or a read saw it. Buildkite tells no time of a gate over REST; then it is an estimate: the last end of any job of the build before the unblock, or the build''s creation when none had ended.'),
      ('analytics.approvals.wait_seconds', 'Seconds from blocked to unblocked, as far as blocked_at is known; null: not yet.'),
      ('analytics.parallel_steps.step', 'The step: its key, else the name of its first part.'),
      ('analytics.pipeline_runs.status', 'success, failure, cancelled (also skipped and not run), running (also blocked: a build that waits for an unblock is never a success; also canceling) or unknown. Of the final attempt: a failed build that a retry turned green is a success; its first result is in analytics.builds.'),
      ('analytics.pipeline_runs.duration', 'Seconds from started_at to finished_at, as DX counts: pauses at block steps and between attempts are in it. Without them: builds.run_seconds. Null until both are known, and when one of them is absurd; see analytics.seconds.'),
      ('analytics.pipeline_jobs.duration', 'Seconds from started_at to finished_at; null until both are known, and when one of them is absurd; see analytics.seconds.'),
      ('analytics.builds.state', 'The effective state: blocked while it waits at a block step, else as Buildkite says. Canceled stays canceled.')
    ) as comments (name, comment)
    union all
    select format('comment on column %I.%I.%I is %L', nspname, relname, attname, 'Whether the branch is the pipeline''s present default branch. When that is renamed, what ran under the old name says false.')
    from pg_attribute join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = 'analytics' and attname = 'is_default_branch' and relkind in ('r', 'v')
  loop
    execute said.statement;
  end loop;
end $$;

-- Who may read it: all of sync but the payloads of deliveries -------------------------------------------------------------------

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on analytics.queue_costs_daily to buildkite_reader;
    grant select on sync.jobs_found, sync.builds_found, sync.sightings, sync.budgets, sync.pipeline_durations_daily_now,
      sync.branch_durations_daily_now, sync.build_results_daily_now, sync.trunk_health_daily_now, sync.cluster_rates to buildkite_reader;
  end if;
end $$;

select sync.mark_every_day();
