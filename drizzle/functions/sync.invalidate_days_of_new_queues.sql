create or replace function sync.invalidate_days_of_new_queues() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_history (since)
  select min(coalesce((created_at at time zone 'UTC')::date, '-infinity')) from after_rows having count(*) > 0;
  return null;
end $$;
