-- The results and durations of a build follow from its jobs, which may arrive or change after its own hour was rebuilt. Without these
-- settings Postgres may read all builds, because it plans the function once, for few rows.
create or replace function sync.invalidate_days_of_finished_builds(ids uuid[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  perform sync.invalidate_days('{}', array_agg(finished_at))
  from buildkite.builds where id = any (ids) and finished_at is not null having count(*) > 0;
end $$;
