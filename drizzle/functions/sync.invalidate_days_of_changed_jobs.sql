create or replace function sync.invalidate_days_of_changed_jobs() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
set enable_nestloop = off set jit = off as $$
begin
  -- Before and after: a job whose time was corrected leaves one hour and enters another.
  perform sync.invalidate_days(
    array_agg(before.started_at) || array_agg(after.started_at),
    array_agg(coalesce(before.finished_at, before.expired_at)) || array_agg(coalesce(after.finished_at, after.expired_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.invalidate_days_of_finished_builds(array_agg(distinct after.build_id))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at and after.build_id is not null having count(*) > 0;
  perform sync.invalidate_days_of_retries(array_agg(after.retried_in_job_id))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at and after.retried_in_job_id is not null having count(*) > 0;
  return null;
end $$;
