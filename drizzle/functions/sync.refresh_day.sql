create or replace function sync.refresh_day(which date) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.refresh_hours(which);
end $$;

comment on function sync.refresh_day is 'Rebuilds the rollup tables of analytics for one day (UTC).';
