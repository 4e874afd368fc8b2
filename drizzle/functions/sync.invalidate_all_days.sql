create or replace function sync.invalidate_all_days(since date default '-infinity') returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  marked integer;
begin
  insert into sync.stale_days (day) select sync.days_with_data(since);
  get diagnostics marked = row_count;
  return marked;
end $$;

comment on function sync.invalidate_all_days is 'Marks every day that has data, from the given day on, as stale. The rollup worker rebuilds the totals of these days. Call it after you changed rows of the mirror yourself. Returns the number of days.';
