create or replace function sync.invalidate_days_of_changed_agents() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
  agents uuid[];
begin
  select array_agg(after.id) into agents
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.queue, after.meta_data, after.cluster_url, after.cluster_queue_url)
    is distinct from (before.organization_id, before.queue, before.meta_data, before.cluster_url, before.cluster_queue_url);
  if agents is null then return null; end if;
  perform sync.invalidate_days_of_connections(array_agg(connected_at), array_agg(coalesce(ended_at, heard)))
  from buildkite.agent_connections where agent_id = any (agents) having count(*) > 0;
  perform sync.invalidate_days_between(array_agg(started_at), array_agg(coalesce(finished_at, expired_at, heard)))
  from buildkite.jobs where agent_id = any (agents) having count(*) > 0;
  return null;
end $$;
