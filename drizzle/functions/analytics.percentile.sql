create or replace function analytics.percentile(histogram integer[], p numeric) returns double precision language plpgsql
immutable parallel safe strict set search_path = pg_catalog, pg_temp as $$
declare
  rank bigint;
begin
  -- Most groups of a day have one value.
  if cardinality(histogram) = 2 then
    return histogram[1];
  end if;
  rank := greatest(ceil(p * analytics.histogram_count(histogram)), 1);
  for i in 1 .. cardinality(histogram) by 2 loop
    rank := rank - histogram[i + 1];
    if rank <= 0 then
      return histogram[i];
    end if;
  end loop;
  return null;
end $$;

comment on function analytics.percentile is 'The nearest-rank percentile of a histogram, in whole seconds: of n values in ascending order the one at rank p × n, rounded up. p is from 0 to 1. Null if the histogram is empty.';
