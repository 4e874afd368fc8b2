create or replace function sync.invalidate_days_of_work(runnable timestamptz[], started timestamptz[], ended timestamptz[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  perform sync.invalidate_days_between(
    array_agg(job.runnable_at) || array_agg(job.started_at),
    array_agg(coalesce(least(job.started_at, job.ended_at), heard)) || array_agg(coalesce(job.ended_at, heard)))
  from unnest(runnable, started, ended) as job (runnable_at, started_at, ended_at);
end $$;

comment on function sync.invalidate_days_of_work is 'Marks the days on which jobs waited for an agent or ran, given when each became runnable, started and ended. Open jobs count until the mirror last heard of any organization.';
