create or replace function analytics.histogram_count(histogram integer[], up_to double precision default 'infinity') returns bigint language plpgsql
immutable parallel safe strict set search_path = pg_catalog, pg_temp as $$
declare
  total bigint := 0;
begin
  for i in 1 .. cardinality(histogram) by 2 loop
    exit when histogram[i] > up_to;
    total := total + histogram[i + 1];
  end loop;
  return total;
end $$;

comment on function analytics.histogram_count is 'How many values a histogram has, or how many of them are at most up_to.';
