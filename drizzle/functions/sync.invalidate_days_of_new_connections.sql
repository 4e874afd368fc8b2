create or replace function sync.invalidate_days_of_new_connections() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  -- A connection before it that had no known end has one now.
  perform sync.invalidate_days_of_connections(array_agg(connected_at), array_agg(case when exists (
    select from buildkite.agent_connections as earlier
    where earlier.agent_id = after_rows.agent_id and earlier.connected_at < after_rows.connected_at and earlier.ended_at is null
  ) then heard else coalesce(ended_at, heard) end))
  from after_rows having count(*) > 0;
  return null;
end $$;
