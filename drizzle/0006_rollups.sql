-- The functions that say what a state means, and the tables of `analytics` that are kept: sums over jobs are too many to make at each question.
-- A change of a job marks its days in sync.stale_days, in the same transaction; sync.refresh_rollups() makes marked days anew.

create schema analytics;

-- What a state means ------------------------------------------------------------------------------------------------------------

create function analytics.seconds(earlier timestamptz, later timestamptz) returns double precision
language sql immutable parallel safe
return case when later > earlier then extract(epoch from later - earlier)::double precision when later <= earlier then 0 end;
comment on function analytics.seconds is 'Seconds from one time to a later one; 0 when they stand the other way round (Buildkite''s times may), null when either is null.';

create function analytics.build_state(state text, blocked boolean) returns text
language sql immutable parallel safe
return case when blocked then 'blocked' else state end;
comment on function analytics.build_state is 'The effective state of a build: a build that waits at a block step keeps its last state, such as passed, and says blocked: true. It is blocked, whatever its state says.';

create function analytics.build_result(state text, blocked boolean) returns text
language sql immutable parallel safe
return case when not coalesce(blocked, false) and state in ('passed', 'failed', 'canceled', 'skipped', 'not_run') then state end;
comment on function analytics.build_result is 'How a build ended: passed, failed, canceled, skipped, not_run. Null while it is open, and while it is blocked: a blocked build is neither finished nor a success.';

create function analytics.job_result(state text, soft_failed boolean, exit_status bigint, signal_reason text) returns text
language sql immutable parallel safe
return case
  when state in ('passed', 'unblocked') then 'passed'
  when state in ('timed_out', 'expired', 'canceled', 'skipped') then state
  when state in ('broken', 'waiting_failed', 'blocked_failed', 'unblocked_failed') then 'broken'
  when state = 'finished' and exit_status = 0 then 'passed'
  when state in ('failed', 'finished') then case
    when signal_reason <> 'cancel' or (exit_status = -1 and signal_reason is null) then 'infra_lost'
    when soft_failed then 'soft_failed'
    else 'failed'
  end
end;
comment on function analytics.job_result is 'How a job ended. passed (also a gate that was unblocked); soft_failed: it failed and was allowed to; failed: its command failed; infra_lost: it failed for want of its machine (signal_reason other than cancel: agent_stop, agent_refused, process_run_error, ...; or exit status -1 without a reason); timed_out: ran too long; expired: no agent took it; canceled; broken: its conditions kept it from running, or what it waited for failed; skipped. Null while it is open.';

create function analytics.queue_of(rules text[]) returns text
language sql stable parallel safe -- stable, as array_to_string is: so it is written out where it is called
return substring(array_to_string(rules, E'\n') from '(?:^|\n)queue=([^\n]*)');
comment on function analytics.queue_of is 'The queue that a job''s agent query rules (or an agent''s meta-data) name: deploy of {queue=deploy,os=linux}. Null when they name none.';

create function analytics.job_name(name text, label text, step_key text, command text) returns text
language sql immutable parallel safe
return coalesce(nullif(name, ''), nullif(label, ''), nullif(step_key, ''), nullif(left(command, 80), ''), 'unnamed');
comment on function analytics.job_name is 'What people call a job: its name, else its label, its step''s key, or the start of its command.';

create function analytics.repository_name(url text) returns text
language sql immutable parallel safe
return substring(url from '^(?:[a-z+]+://)?[^/:]*(?::[0-9]+)?[:/]+(.+?)(?:\.git)?/?$');
comment on function analytics.repository_name is 'owner/name of a repository''s address, be it https://github.com/acme/app.git or git@github.com:acme/app.git.';

create function analytics.matches(value text, glob text) returns boolean
language sql immutable parallel safe
return value like replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%');
comment on function analytics.matches is 'Whether a text matches a pattern in which * stands for any characters.';

-- Kept tables --------------------------------------------------------------------------------------------------------------------

create table analytics.jobs_daily (
  day date not null,
  organization_id uuid,
  pipeline_id uuid,
  job text not null,
  tries bigint not null,
  passed bigint not null,
  soft_failed bigint not null,
  failed bigint not null,
  infra_lost bigint not null,
  timed_out bigint not null,
  expired bigint not null,
  canceled bigint not null,
  retried bigint not null,
  mean_seconds double precision,
  p50_seconds double precision,
  p75_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  max_seconds double precision,
  passed_p50_seconds double precision,
  passed_p90_seconds double precision,
  run_seconds double precision not null
);
create index jobs_daily_day on analytics.jobs_daily (day);
create index jobs_daily_pipeline on analytics.jobs_daily (pipeline_id, day);

create table analytics.queue_waits_daily (
  day date not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  started bigint not null,
  mean_seconds double precision,
  p50_seconds double precision,
  p75_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  max_seconds double precision,
  concurrency_seconds double precision not null
);
create index queue_waits_daily_day on analytics.queue_waits_daily (day);

create table analytics.queue_waits_hourly (
  hour timestamptz not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  started bigint not null,
  p50_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  max_seconds double precision,
  busy_seconds double precision not null
);
create index queue_waits_hourly_hour on analytics.queue_waits_hourly (hour);

create table analytics.minutes_daily (
  day date not null,
  organization_id uuid,
  pipeline_id uuid,
  branch text,
  queue text not null,
  tries bigint not null,
  minutes double precision not null,
  minutes_infra_lost double precision not null,
  minutes_canceled double precision not null,
  minutes_retried double precision not null,
  minutes_rebuilt double precision not null
);
create index minutes_daily_day on analytics.minutes_daily (day);
create index minutes_daily_pipeline on analytics.minutes_daily (pipeline_id, day);

create table analytics.agents_daily (
  day date not null,
  organization_id uuid,
  agent_id uuid not null,
  agent_name text,
  queue text not null,
  tries bigint not null,
  busy_seconds double precision not null,
  infra_lost bigint not null
);
create index agents_daily_day on analytics.agents_daily (day);

create table analytics.deployments (
  id text not null,
  reference_id text,
  service_id bigint,
  repository text,
  commit_sha text,
  attributed_at timestamptz,
  merge_commit_shas text[],
  environment text,
  deployed_at timestamptz not null,
  success boolean not null,
  service text,
  source_url text,
  source_name text,
  integration_branch text,
  deployment_inference_rule_id bigint,
  deployment_service_id bigint,
  primary key (id)
);
create index deployments_deployed_at on analytics.deployments (deployed_at);
create index deployments_service on analytics.deployments (service, environment, deployed_at);

create table sync.jobs_found (
  hour timestamptz not null,
  organization_id uuid,
  jobs bigint not null,
  jobs_lost bigint not null
);
create index jobs_found_hour on sync.jobs_found (hour);

create table sync.builds_found (
  hour timestamptz not null,
  organization_id uuid,
  builds bigint not null,
  builds_lost bigint not null
);
create index builds_found_hour on sync.builds_found (hour);

-- Which days are to be made anew ------------------------------------------------------------------------------------------------

create table sync.stale_days (
  day date not null,
  marked_at timestamptz not null default clock_timestamp()
);
create index stale_days_day on sync.stale_days (day);

create table sync.rollups (
  name text primary key,
  refreshed_at timestamptz not null,
  seen_to timestamptz,
  took_ms double precision not null
);

create function sync.mark_days(started timestamptz[], finished timestamptz[]) returns void
language sql
begin atomic
  insert into sync.stale_days (day)
  select distinct days.day from unnest(started, finished) as job (started_at, finished_at)
  cross join lateral (
    values ((job.started_at at time zone 'UTC')::date), ((job.finished_at at time zone 'UTC')::date)
  ) as days (day)
  where days.day is not null;
end;

create function sync.mark_days_of_new_jobs() returns trigger language plpgsql as $$
begin
  perform sync.mark_days(array_agg(started_at), array_agg(coalesce(finished_at, expired_at))) from after_rows;
  return null;
end $$;

create function sync.mark_days_of_changed_jobs() returns trigger language plpgsql as $$
begin
  -- Before and after: a job whose time was corrected across midnight leaves one day and enters another.
  perform sync.mark_days(
    array_agg(before.started_at) || array_agg(after.started_at), 
    array_agg(coalesce(before.finished_at, before.expired_at)) || array_agg(coalesce(after.finished_at, after.expired_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  return null;
end $$;

create function sync.mark_days_of_new_builds() returns trigger language plpgsql as $$
begin
  perform sync.mark_days(array_agg(created_at), array_agg(coalesce(finished_at, created_at))) from after_rows;
  perform sync.mark_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from after_rows as build join buildkite.jobs as job on job.build_id = build.id or job.build_id = build.rebuilt_from_id;
  return null;
end $$;

create function sync.mark_days_of_changed_builds() returns trigger language plpgsql as $$
begin
  perform sync.mark_days(array_agg(coalesce(before.finished_at, before.created_at)), array_agg(coalesce(after.finished_at, after.created_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.mark_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from before_rows as before join after_rows as after using (id)
  join buildkite.jobs as job on job.build_id = after.id or job.build_id = after.rebuilt_from_id
  where (after.organization_id, after.pipeline_id, after.branch, after.state = 'canceled', after.rebuilt_from_id)
    is distinct from (before.organization_id, before.pipeline_id, before.branch, before.state = 'canceled', before.rebuilt_from_id);
  return null;
end $$;

-- With another rule every day may have other deployments; with another default branch, another trunk.
create function sync.mark_every_day() returns trigger language plpgsql as $$
begin
  insert into sync.stale_days (day) select distinct day from analytics.minutes_daily
  union select distinct (coalesce(finished_at, created_at) at time zone 'UTC')::date from buildkite.builds where coalesce(finished_at, created_at) is not null;
  return null;
end $$;

create trigger mark_every_day after insert or update or delete on settings.deployment_rules
  for each statement execute function sync.mark_every_day();
create trigger mark_every_day after update on buildkite.pipelines
  for each row when (old.default_branch is distinct from new.default_branch) execute function sync.mark_every_day();
create trigger mark_days_of_new_jobs after insert on buildkite.jobs
  referencing new table as after_rows for each statement execute function sync.mark_days_of_new_jobs();
create trigger mark_days_of_changed_jobs after update on buildkite.jobs
  referencing old table as before_rows new table as after_rows for each statement execute function sync.mark_days_of_changed_jobs();
create trigger mark_days_of_new_builds after insert on buildkite.builds
  referencing new table as after_rows for each statement execute function sync.mark_days_of_new_builds();
create trigger mark_days_of_changed_builds after update on buildkite.builds
  referencing old table as before_rows new table as after_rows for each statement execute function sync.mark_days_of_changed_builds();

-- Making them anew --------------------------------------------------------------------------------------------------------------

create function sync.refresh_day(which date) returns void language plpgsql
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
  insert into analytics.deployments
  select
    rule.id || ':' || deployed.id, deployed.id::text, null, analytics.repository_name(pipeline.repository), deployed.commit, deployed.finished_at,
    array[deployed.commit], rule.environment, deployed.finished_at, deployed.success, coalesce(rule.service, pipeline.slug), deployed.web_url,
    coalesce(pipeline.name, pipeline.slug), pipeline.default_branch, rule.id, null
  from settings.deployment_rules as rule
  join buildkite.pipelines as pipeline on analytics.matches(pipeline.slug, rule.pipeline)
  join (
    select build.id, build.pipeline_id, build.branch, build.commit, build.finished_at, build.state = 'passed' as success, build.web_url,
      null as step_key, null as step_name, false as is_job
    from buildkite.builds as build
    where build.finished_at >= day_start and build.finished_at < day_end and build.state in ('passed', 'failed') and not coalesce(build.blocked, false)
    union all
    select job.id, build.pipeline_id, build.branch, build.commit, job.finished_at, job.state = 'passed', coalesce(job.web_url, build.web_url),
      job.step_key, job.name, true
    from buildkite.jobs as job join buildkite.builds as build on build.id = job.build_id
    where job.finished_at >= day_start and job.finished_at < day_end and job.type in ('script', 'trigger')
      and job.retried_in_job_id is null and not coalesce(job.retried, false)
      and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
        in ('passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out')
  ) as deployed on deployed.pipeline_id = pipeline.id and deployed.is_job = (rule.step is not null)
    and (rule.step is null or analytics.matches(deployed.step_key, rule.step) or analytics.matches(deployed.step_name, rule.step))
  where rule.enabled and analytics.matches(deployed.branch, rule.branch)
  on conflict (id) do nothing;

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
      case when try.finished_at is null then 0 else analytics.seconds(greatest(try.started_at, hour), least(try.finished_at, hour + interval '1 hour')) end as busy
    from tries as try
    cross join lateral generate_series(
      date_trunc('hour', greatest(try.started_at, day_start), 'UTC'),
      least(coalesce(try.finished_at, try.started_at), day_end - interval '1 microsecond'),
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
      coalesce(sum(run) filter (where lost = 'retried'), 0) / 60, coalesce(sum(run) filter (where lost = 'rebuilt'), 0) / 60
    from (
      select *, case
        when result = 'infra_lost' then 'infra_lost'
        when result = 'canceled' or build_canceled then 'canceled'
        when retried then 'retried'
        when rebuilt then 'rebuilt'
      end as lost
      from tries where ends and run is not null
    ) as ended
    group by organization_id, pipeline_id, branch, queue
  ), found_of_the_hours as (
    insert into sync.jobs_found
    select date_trunc('hour', started_at, 'UTC'), organization_id, count(*), count(*) filter (where lost_webhook)
    from tries where starts group by 1, 2
  )
  insert into analytics.agents_daily
  select which, organization_id, agent_id, max(agent_name), queue, count(*) filter (where ends),
    sum(case when finished_at is null then 0 else analytics.seconds(greatest(started_at, day_start), least(finished_at, day_end)) end),
    count(*) filter (where ends and result = 'infra_lost')
  from tries where agent_id is not null group by organization_id, agent_id, queue;
end $$;
comment on function sync.refresh_day is 'Makes the kept tables of analytics anew for one day (UTC).';

create function sync.refresh_rollups() returns integer language plpgsql as $$
declare
  stale date;
  began constant timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)) then
    return 0;
  end if;
  select max(day) into stale from sync.stale_days;
  if stale is not null then
    -- Marks that come while the day is being made stay for the next turn.
    delete from sync.stale_days where day = stale;
    perform sync.refresh_day(stale);
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms)
  values ('days', began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, took_ms = excluded.took_ms;
  return case when stale is null then 0 else 1 end;
end $$;
comment on function sync.refresh_rollups is 'Makes the newest marked day of the kept tables anew. Returns 1, or 0 when no day is marked or another process is at it: call it until it returns 0.';

create function sync.refresh_users() returns integer language plpgsql as $$
declare
  began constant timestamptz := clock_timestamp();
  since timestamptz;
  people integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0)) then
    return 0;
  end if;
  -- Ten minutes back, for transactions that were open then: to see the same person twice changes nothing.
  select coalesce(max(seen_to) - interval '10 minutes', '-infinity') into since from sync.rollups where name = 'users';

  insert into sync.sightings as known (id, email, username, name, last_seen_at)
  select id, email, username, (array_agg(name order by seen_at desc nulls last) filter (where name is not null))[1], max(seen_at)
  from (
    select creator_id as id, lower(nullif(creator_email, '')) as email, null as username, creator_name as name, created_at as seen_at
    from buildkite.builds where changed_at > since
    union all
    select null, lower(nullif(author_email, '')), lower(nullif(author_username, '')), author_name, created_at from buildkite.builds where changed_at > since
    union all
    select unblocked_by_id, lower(nullif(unblocked_by_email, '')), null, unblocked_by_name, unblocked_at
    from buildkite.jobs where changed_at > since and unblocked_at is not null
    union all
    select retried_by_id, lower(nullif(retried_by_email, '')), null, retried_by_name, finished_at
    from buildkite.jobs where changed_at > since and retried_in_job_id is not null
    union all
    select created_by_id, lower(nullif(created_by_email, '')), null, created_by_name, created_at from buildkite.pipelines where changed_at > since
    union all
    select id, lower(nullif(email, '')), null, name, changed_at from buildkite.members where changed_at > since
  ) as seen
  where id is not null or email is not null or username is not null
  group by id, email, username
  on conflict ((coalesce(id::text, '')), (coalesce(email, '')), (coalesce(username, ''))) do update
    set name = coalesce(excluded.name, known.name), last_seen_at = greatest(excluded.last_seen_at, known.last_seen_at);

  -- One person: the same id, else an e-mail address that some id is known by, else that address, else the user name.
  with by_email as (
    select email, min(id::text)::uuid as id from sync.sightings where id is not null and email is not null group by email
  ), named as (
    select coalesce(seen.id, by_email.id) as id, seen.email, seen.username, seen.name, seen.last_seen_at, seen.id is not null as certain,
      coalesce(seen.id::text, by_email.id::text, seen.email, 'username:' || seen.username) as key
    from sync.sightings as seen left join by_email on seen.id is null and by_email.email = seen.email
  ), united as (
    select key, min(id::text)::uuid as id,
      (array_agg(name order by certain desc, last_seen_at desc nulls last) filter (where name is not null))[1] as name,
      (array_agg(email order by certain desc, last_seen_at desc nulls last) filter (where email is not null))[1] as email,
      coalesce(array_agg(distinct email) filter (where email is not null), '{}') as emails,
      coalesce(array_agg(distinct username) filter (where username is not null), '{}') as usernames,
      max(last_seen_at) as last_seen_at
    from named group by key
  ), gone as (
    delete from buildkite.users where key not in (select key from united)
  )
  insert into buildkite.users as known (key, id, name, email, emails, usernames, is_member, last_seen_at, changed_at)
  select key, id, name, email, emails, usernames,
    exists (select from buildkite.members where members.id = united.id and members.deleted_at is null), last_seen_at, began
  from united
  on conflict (key) do update set id = excluded.id, name = excluded.name, email = excluded.email, emails = excluded.emails,
    usernames = excluded.usernames, is_member = excluded.is_member, last_seen_at = excluded.last_seen_at, changed_at = excluded.changed_at
  where (known.id, known.name, known.email, known.emails, known.usernames, known.is_member, known.last_seen_at)
    is distinct from (excluded.id, excluded.name, excluded.email, excluded.emails, excluded.usernames, excluded.is_member, excluded.last_seen_at);
  get diagnostics people = row_count;

  insert into sync.rollups (name, refreshed_at, seen_to, took_ms)
  values ('users', began, began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, seen_to = excluded.seen_to, took_ms = excluded.took_ms;
  return people;
end $$;
comment on function sync.refresh_users is 'Takes in the people whom builds, jobs, pipelines and members newly name, and puts buildkite.users together from all of them. Returns how many rows changed.';

-- What the mirror holds already is made with the first turns.
insert into sync.stale_days (day)
select distinct days.day from buildkite.jobs
cross join lateral (values ((started_at at time zone 'UTC')::date), ((coalesce(finished_at, expired_at) at time zone 'UTC')::date)) as days (day)
where days.day is not null
union select (coalesce(finished_at, created_at) at time zone 'UTC')::date from buildkite.builds where coalesce(finished_at, created_at) is not null;

-- Compiling a view's plan takes longer than most of them run, and some ten times as long. 
do $$
begin
  execute format('alter database %I set jit = off', current_database());
exception
  when insufficient_privilege then
    raise notice 'This user may not set jit = off for the database: views of analytics may be slower than they need be.';
end $$;
