create or replace function analytics.compact_histogram(pairs integer[]) returns integer[] language plpgsql
immutable parallel safe set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan -- planning this takes longer than running it
as $$
begin
  if cardinality(pairs) < 3 then
    return pairs;
  end if;
  return array(
    select pair.number from (
      select pairs[i] as second, sum(pairs[i + 1])::integer as times from generate_series(1, cardinality(pairs) - 1, 2) as i group by pairs[i]
    ) as counted
    cross join lateral (values (1, counted.second), (2, counted.times)) as pair (place, number)
    order by counted.second, pair.place
  );
end $$;

comment on function analytics.compact_histogram is 'A histogram with each second once, in ascending order, from several that were appended to each other.';
