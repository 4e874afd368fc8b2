create or replace function sync.invalidate_days_of_changed_organizations() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_history (since, only_deployments)
  select '-infinity', true
  where exists (select from before_rows as before join after_rows as after using (id) where after.slug is distinct from before.slug)
    and exists (select from settings.deployment_rules where organization <> '*');
  return null;
end $$;
