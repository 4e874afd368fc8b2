create or replace function analytics.histogram_count(histogram integer[]) returns bigint language plpgsql
immutable parallel safe strict set search_path = pg_catalog, pg_temp as $$
declare
  total bigint := 0;
begin
  for i in 2 .. cardinality(histogram) by 2 loop
    total := total + histogram[i];
  end loop;
  return total;
end $$;

comment on function analytics.histogram_count is 'How many values a histogram has.';
