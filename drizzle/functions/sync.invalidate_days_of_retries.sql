-- Whether a deployment succeeded at first follows from the first try of its job, which may arrive or change later.
create or replace function sync.invalidate_days_of_retries(next_tries uuid[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  if not exists (select from settings.deployment_rules where step is not null) then
    return;
  end if;
  perform sync.invalidate_days(array_agg(tries.finished_at), null)
  from (
    with recursive tries as (
      select id, finished_at, retried_in_job_id, 1 as try from buildkite.jobs where id = any (next_tries)
      union all
      select job.id, job.finished_at, job.retried_in_job_id, tries.try + 1
      from tries join buildkite.jobs as job on job.id = tries.retried_in_job_id where tries.try < 1000
    )
    select finished_at from tries where retried_in_job_id is null
  ) as tries having count(*) > 0;
end $$;
