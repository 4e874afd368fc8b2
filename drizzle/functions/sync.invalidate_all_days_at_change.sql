create or replace function sync.invalidate_all_days_at_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_history (since, only_deployments) values ('-infinity', true);
  return null;
end $$;
