create or replace function sync.refresh_rollups() returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  turn timestamptz;
  stale date;
begin
  perform sync.mark_stale_history();
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

comment on function sync.refresh_rollups is 'Rebuilds the newest day that was stale when the run began. Returns 1, or 0 if the run is complete or another process rebuilds: call it until it returns 0. Days that become stale meanwhile wait for the next run, so that a busy day does not delay the others.';
