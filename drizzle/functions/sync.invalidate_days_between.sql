create or replace function sync.invalidate_days_between(since timestamptz[], until timestamptz[], longest interval default '366 days') returns void
language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_days (day, hour)
  select distinct (moment at time zone 'UTC')::date, extract(hour from moment at time zone 'UTC')::smallint
  from unnest(since, until) as span (one, other)
  cross join lateral generate_series(date_trunc('hour', least(one, other), 'UTC'), greatest(one, other), interval '1 hour') as moment
  where one is not null and other is not null and greatest(one, other) - least(one, other) <= longest;
end $$;

comment on function sync.invalidate_days_between is 'Marks every hour (UTC) between each pair of times, in either order. Pairs with a null, or further apart than the given interval, mark none: an uninitialised clock must not mark decades.';
