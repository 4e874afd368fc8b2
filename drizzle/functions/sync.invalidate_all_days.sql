create or replace function sync.invalidate_all_days(since date default '-infinity') returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  found record;
  day date;
  days date[] := '{}';
  marked integer;
begin
  -- Steps from day to day along the index of each time, instead of reading every row.
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

comment on function sync.invalidate_all_days is 'Marks every day that has data, from the given day on, as stale. The rollup worker rebuilds the totals of these days. Call it after you changed rows of the mirror yourself. Returns the number of days.';
