create or replace function analytics.histogram_of(seconds integer[]) returns integer[] language plpgsql
immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  -- Most histograms of an hour have no value or one.
  if coalesce(cardinality(seconds), 0) < 2 then
    return case when seconds[1] is null then '{}' else array[seconds[1], 1] end;
  end if;
  return array(
    select pair.number from (select second, count(*)::integer as times from unnest(seconds) as second where second is not null group by second) as counted
    cross join lateral (values (1, counted.second), (2, counted.times)) as pair (place, number)
    order by counted.second, pair.place
  );
end $$;

comment on function analytics.histogram_of is 'The histogram of a list of whole seconds. The aggregate analytics.histogram calls it.';
