create or replace function sync.invalidate_days_of_new_pipelines() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  insert into sync.stale_history (pipeline_id) select id from after_rows;
  return null;
end $$;
