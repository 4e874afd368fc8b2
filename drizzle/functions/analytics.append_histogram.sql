-- Merging all at the end would copy the growing list once for each histogram.
create or replace function analytics.append_histogram(merged integer[], histogram integer[]) returns integer[] language plpgsql
immutable parallel safe set search_path = pg_catalog, pg_temp as $$
begin
  if histogram is null then
    return merged;
  end if;
  merged := merged || histogram;
  if cardinality(merged) > 20000 then
    return analytics.compact_histogram(merged);
  end if;
  return merged;
end $$;

comment on function analytics.append_histogram is 'Appends a histogram to others. The aggregate analytics.merge_histograms calls it.';
