create or replace function sync.invalidate_days_of_changed_queues() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_history (since)
  select min(coalesce((after.created_at at time zone 'UTC')::date, '-infinity'))
  from before_rows as before join after_rows as after using (id)
  where after.key is distinct from before.key having count(*) > 0;
  return null;
end $$;
