create or replace function sync.mark_stale_history(most integer default 1000) returns date[] language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  part sync.stale_history;
  batch_from timestamptz;
  builds uuid[];
  ended date[];
  days date[];
begin
  loop
    -- With skip locked, concurrent processes take different rows.
    select * into part from sync.stale_history order by id limit 1 for update skip locked;
    exit when not found or most <= 0;
    days := coalesce(days, '{}');
    if part.pipeline_id is null then
      delete from sync.stale_history where id = part.id;
      insert into sync.stale_days (day, only_deployments) select day, part.only_deployments from sync.days_with_data(part.since) as day;
      -- These days fill a batch.
      return array(select distinct day from sync.stale_days where day >= part.since);
    end if;
    if part.scanned_to is null then
      -- Trunk health is merged from rows by hour, so the default branch needs no builds.
      perform pg_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0));
      perform sync.replace_rows('analytics.trunk_health_daily', 'pipeline_id = any ($3) and day >= ($1 at time zone ''UTC'')::date',
        'sync.trunk_health_of($1, ''infinity'', $3)', 'null', merged.since, null, array[part.pipeline_id])
      -- While version 0.2 rebuilds history, older days have no rows by hour yet.
      from (select date_trunc('day', min(hour), 'UTC') as since from analytics.builds_hourly) as merged where merged.since is not null;
    end if;
    if not exists (select from settings.deployment_rules) then
      delete from sync.stale_history where id = part.id;
      most := most - 10;
      continue;
    end if;
    select min(created_at) into batch_from from (
      select created_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at < coalesce(part.scanned_to, 'infinity')
      order by created_at desc limit most
    ) as newest;
    select array_agg(id), array_agg(distinct (coalesce(finished_at, created_at) at time zone 'UTC')::date) into builds, ended from (
      select id, created_at, finished_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at >= batch_from and created_at < coalesce(part.scanned_to, 'infinity')
      union all
      select id, created_at, finished_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at is null and part.scanned_to is null
    ) as batch;
    -- A pipeline's jobs matter only if a rule for a step can make them deployments.
    if exists (select from settings.deployment_rules where step is not null) then
      ended := ended || array(
        select distinct (finished_at at time zone 'UTC')::date from buildkite.jobs where build_id = any (builds) and finished_at is not null);
    end if;
    ended := array_remove(ended, null);
    insert into sync.stale_days (day, only_deployments) select distinct unnest(ended), true;
    days := days || ended;
    if batch_from is null then
      delete from sync.stale_history where id = part.id;
    else
      update sync.stale_history set scanned_to = batch_from where id = part.id;
    end if;
    most := most - coalesce(array_length(builds, 1), 0) - 10;
  end loop;
  return case when days is not null then array(select distinct unnest(days)) end;
end $$;

comment on function sync.mark_stale_history is 'Rebuilds the trunk health of pipelines in sync.stale_history, and adds the days that other changes made stale to sync.stale_days, processing about the given number of builds. Call it until it returns null. Returns the days that were added.';
