create or replace function sync.invalidate_days_of_open_jobs(builds uuid[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  perform sync.invalidate_days_of_work(array_agg(job.runnable_at), array_agg(job.started_at), array_agg(null::timestamptz))
  from buildkite.jobs as job
  where job.build_id = any (builds) and job.type = 'script' and coalesce(job.finished_at, job.expired_at) is null
    and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) is null
  having count(*) > 0;
end $$;

comment on function sync.invalidate_days_of_open_jobs is 'Marks the days on which the open jobs of these builds waited or ran.';
