create or replace function sync.invalidate_days_of_open_work() returns void language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  if exists (
    select from buildkite.jobs where type = 'script'
      and state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
  ) or exists (select from buildkite.agents where connection_state in ('connected', 'stopping') and deleted_at is null) then
    perform sync.invalidate_days_between(array_agg(work.counted_to), array_agg(heard.heard_at))
    from sync.open_work as work join sync.last_heard as heard using (organization_id)
    where heard.heard_at >= date_bin('5 minutes', work.counted_to, 'epoch') + interval '5 minutes' having count(*) > 0;
  end if;
  insert into sync.open_work as work (organization_id, counted_to)
  select organization_id, heard_at from sync.last_heard where heard_at is not null
  on conflict (organization_id) do update set counted_to = excluded.counted_to
  where excluded.counted_to >= date_bin('5 minutes', work.counted_to, 'epoch') + interval '5 minutes';
end $$;

comment on function sync.invalidate_days_of_open_work is 'Marks the days that time alone makes stale: while a job is open or an agent is connected, each five minutes that the mirror has heard of add a point. Call it before the rollups are refreshed.';
