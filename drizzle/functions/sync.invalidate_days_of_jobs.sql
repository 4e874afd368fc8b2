-- Without these settings Postgres may read all jobs, because it plans the function once, for few rows.
create or replace function sync.invalidate_days_of_jobs(builds uuid[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  perform sync.invalidate_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from buildkite.jobs as job where job.build_id = any (builds) having count(*) > 0;
  perform sync.invalidate_days_of_work(array_agg(job.runnable_at), array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from buildkite.jobs as job where job.build_id = any (builds) and job.type = 'script' having count(*) > 0;
end $$;
