-- Deployments contain the pipeline's names and are matched by its slug; trunk health uses its default branch.
create or replace function sync.invalidate_days_of_changed_pipelines() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_history (pipeline_id)
  select id from before_rows as before join after_rows as after using (id)
  where after.default_branch is distinct from before.default_branch
    or ((after.organization_id, after.slug, after.name, after.repository) is distinct from (before.organization_id, before.slug, before.name, before.repository)
      and exists (select from settings.deployment_rules));
  return null;
end $$;
