create or replace function sync.days_with_data(since date) returns setof date language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  found record;
  day date;
  days date[] := '{}';
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
  return query
  select unnest(days)
  union select minutes.day from analytics.minutes_daily as minutes where minutes.day >= since
  union select (deployed_at at time zone 'UTC')::date from analytics.deployments where deployed_at >= since::timestamp at time zone 'UTC';
end $$;

comment on function sync.days_with_data is 'Every day (UTC) from the given one on that has builds, jobs or rows in rollup tables.';
