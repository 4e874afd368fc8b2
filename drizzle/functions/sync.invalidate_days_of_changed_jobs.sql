create or replace function sync.invalidate_days_of_changed_jobs() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
set enable_nestloop = off set jit = off as $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
  since timestamptz[];
  until timestamptz[];
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
  -- The queues of a job that waits or runs were counted until then as if it would go on. So only what lies between the old and the new
  -- time is stale, or all of it if another queue or agent has it now.
  select array_agg(change.since), array_agg(change.until) into since, until
  from before_rows as before join after_rows as after using (id)
  cross join lateral (values (coalesce(before.finished_at, before.expired_at), coalesce(after.finished_at, after.expired_at))) as ended (before, after)
  cross join lateral (values (
    (after.build_id, after.cluster_id, after.cluster_queue_id, after.agent_query_rules, after.agent_id)
      is distinct from (before.build_id, before.cluster_id, before.cluster_queue_id, before.agent_query_rules, before.agent_id)
    or (ended.after is null and (after.state, after.deleted_at is null) is distinct from (before.state, before.deleted_at is null))
    -- A clock that was set right: too far to mark what lies between.
    or greatest(before.runnable_at, before.started_at, ended.before, after.runnable_at, after.started_at, ended.after)
      - least(before.runnable_at, before.started_at, ended.before, after.runnable_at, after.started_at, ended.after) > interval '366 days'
  )) as whole (is_stale)
  cross join lateral (
    select coalesce(one, heard), coalesce(other, heard)
    from (values (before.runnable_at, after.runnable_at), (before.started_at, after.started_at), (ended.before, ended.after)) as pair (one, other)
    where one is distinct from other
    union all
    select one, other
    from (values (before.runnable_at, coalesce(least(before.started_at, ended.before), heard)), (before.started_at, coalesce(ended.before, heard)),
      (after.runnable_at, coalesce(least(after.started_at, ended.after), heard)), (after.started_at, coalesce(ended.after, heard))) as spans (one, other)
    where whole.is_stale
  ) as change (since, until)
  where after.type = 'script';
  if since is not null then perform sync.invalidate_days_between(since, until); end if;
  return null;
end $$;
