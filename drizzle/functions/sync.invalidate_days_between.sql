create or replace function sync.invalidate_days_between(since timestamptz[], until timestamptz[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_days (day)
  select distinct (moment at time zone 'UTC')::date
  from unnest(since, until) as span (one, other)
  cross join lateral generate_series(date_trunc('day', least(one, other), 'UTC'), greatest(one, other), interval '1 day') as moment
  where analytics.seconds(one, other) is not null;
end $$;

comment on function sync.invalidate_days_between is 'Marks every day (UTC) between each pair of times, in either order. Pairs with a null, or 68 years apart, mark none.';
