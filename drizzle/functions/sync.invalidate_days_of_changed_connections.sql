create or replace function sync.invalidate_days_of_changed_connections() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  perform sync.invalidate_days_of_connections(
    array_agg(least(coalesce(before.ended_at, heard), coalesce(after.ended_at, heard))),
    array_agg(greatest(coalesce(before.ended_at, heard), coalesce(after.ended_at, heard))))
  from before_rows as before join after_rows as after using (agent_id, connected_at)
  where after.ended_at is distinct from before.ended_at having count(*) > 0;
  return null;
end $$;
