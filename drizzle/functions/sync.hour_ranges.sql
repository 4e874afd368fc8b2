create or replace function sync.hour_ranges(hours timestamptz[], longest interval default '24 hours') returns table (since timestamptz, until timestamptz)
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select min(numbered.hour), max(numbered.hour) + interval '1 hour'
  from (
    select one.hour, row_number() over (order by one.hour) as place from (select distinct unnest(hours) as hour) as one
  ) as numbered
  -- Hours that follow each other have the same start of their row.
  group by numbered.hour - numbered.place * interval '1 hour', date_bin(longest, numbered.hour, 'epoch')
  order by 1;
end $$;

comment on function sync.hour_ranges is 'Joins hours that follow each other into ranges of at most the given length.';
