create or replace function sync.refresh_marked_day(which date) returns boolean language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  began constant timestamptz := clock_timestamp();
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  is_whole boolean;
  hours integer[];
  with_deployments boolean;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)) then
    return false;
  end if;
  -- Marks that arrive while the day is rebuilt stay for the next run.
  with marks as (delete from sync.stale_days where day = which returning hour, only_deployments)
  select bool_or(hour is null and not only_deployments), array_agg(distinct hour) filter (where hour is not null), bool_or(only_deployments)
  into is_whole, hours, with_deployments from marks;
  -- Before version 0.2 days had no rows by hour. Merging a few hours would then leave out the others.
  if hours is not null and not exists (select from analytics.builds_hourly where hour >= day_start and hour < day_start + interval '24 hours')
    and not exists (select from analytics.jobs_hourly where hour >= day_start and hour < day_start + interval '24 hours')
    and not exists (select from sync.queue_hours where started_hour >= day_start and started_hour < day_start + interval '24 hours') then
    is_whole := true;
  end if;
  if is_whole then
    perform sync.refresh_day(which);
  else
    if hours is not null then
      perform sync.refresh_hours(which, hours);
    end if;
    if with_deployments then
      perform sync.refresh_deployments(day_start, day_start + interval '24 hours');
    end if;
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms)
  values ('days', began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, took_ms = excluded.took_ms;
  return true;
end $$;

comment on function sync.refresh_marked_day is 'Rebuilds the rollup tables for the stale hours of one day (UTC). Returns false and does nothing if another process rebuilds it.';
