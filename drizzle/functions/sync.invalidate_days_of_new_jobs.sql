create or replace function sync.invalidate_days_of_new_jobs() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.invalidate_days(array_agg(started_at), array_agg(coalesce(finished_at, expired_at))) from after_rows;
  perform sync.invalidate_days_of_finished_builds(array_agg(distinct build_id)) from after_rows where build_id is not null having count(*) > 0;
  perform sync.invalidate_days_of_retries(array_agg(retried_in_job_id)) from after_rows where retried_in_job_id is not null having count(*) > 0;
  perform sync.invalidate_days_of_work(array_agg(runnable_at), array_agg(started_at), array_agg(coalesce(finished_at, expired_at)))
  from after_rows where type = 'script' having count(*) > 0;
  return null;
end $$;
