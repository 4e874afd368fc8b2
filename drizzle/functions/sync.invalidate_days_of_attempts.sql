create or replace function sync.invalidate_days_of_attempts() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  perform sync.invalidate_days(array_agg(coalesce(build.finished_at, build.created_at)), null)
  from buildkite.builds as build where build.id = any (array(select build_id from after_rows));
  return null;
end $$;
