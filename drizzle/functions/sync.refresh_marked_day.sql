create or replace function sync.refresh_marked_day(which date) returns boolean language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  began constant timestamptz := clock_timestamp();
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)) then
    return false;
  end if;
  -- Marks that arrive while the day is rebuilt stay for the next run.
  delete from sync.stale_days where day = which;
  if found then
    perform sync.refresh_day(which);
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms)
  values ('days', began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, took_ms = excluded.took_ms;
  return true;
end $$;

comment on function sync.refresh_marked_day is 'Rebuilds the rollup tables for one day (UTC), if it is stale. Returns false and does nothing if another process rebuilds it.';
