create or replace function sync.days_with_data(since date) returns setof date language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  found record;
  day date;
  days date[] := '{}';
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  -- Steps from day to day along the index of each time, instead of reading every row.
  for found in
    select * from (values ('buildkite.builds', 'created_at'), ('buildkite.builds', 'finished_at'), ('buildkite.jobs', 'started_at'),
      ('buildkite.jobs', 'finished_at'), ('buildkite.jobs', 'expired_at'), ('buildkite.agent_connections', 'ended_at'),
      ('analytics.queue_depths', 'at'), ('analytics.agents_hourly', 'hour'))
      as times (relation, time)
  loop
    day := since;
    loop
      execute format('select (min(%1$I) at time zone ''UTC'')::date from %2$s where %1$I >= $1', found.time, found.relation)
        into day using day::timestamp at time zone 'UTC';
      exit when day is null;
      days := days || day;
      day := day + 1;
    end loop;
  end loop;
  return query
  select unnest(days)
  -- What lasted across days: at most an hour, so that it ended early on the next day, or longer.
  union select next - 1 from unnest(days) as next cross join lateral (select next::timestamp at time zone 'UTC' as midnight) as midnights
    where next > since and (
      exists (select from buildkite.jobs where started_at >= midnight and started_at < midnight + interval '1 hour' and runnable_at < midnight)
      or exists (select from buildkite.jobs where finished_at >= midnight and finished_at < midnight + interval '1 hour' and least(runnable_at, started_at) < midnight)
      or exists (select from buildkite.jobs where expired_at >= midnight and expired_at < midnight + interval '1 hour' and least(runnable_at, started_at) < midnight)
      or exists (select from buildkite.agent_connections where ended_at >= midnight and ended_at < midnight + interval '1 hour' and connected_at < midnight))
  union select (moment at time zone 'UTC')::date
    from (
      select interval_of.began, interval_of.ended, true from buildkite.jobs
      cross join lateral (values (runnable_at, least(started_at, coalesce(finished_at, expired_at))), (started_at, coalesce(finished_at, expired_at))) as interval_of (began, ended)
      where type = 'script' and coalesce(finished_at, expired_at) - least(runnable_at, started_at) > interval '1 hour'
      union all
      select interval_of.began, interval_of.ended, true from buildkite.jobs
      cross join lateral (values (runnable_at, coalesce(started_at, heard)), (started_at, heard)) as interval_of (began, ended)
      where type = 'script' and coalesce(finished_at, expired_at) is null
        and state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
      union all
      select greatest(connected_at, (select min(created_at) from buildkite.builds where created_at >= '2013-01-01')), coalesce(ended_at, heard), false from buildkite.agent_connections
      where ended_at is null or ended_at - connected_at > interval '1 hour'
    ) as span (began, ended, is_job)
    cross join lateral generate_series(date_trunc('day', greatest(began, since::timestamp at time zone 'UTC'), 'UTC'), ended, interval '1 day') as moment
    where ended - began <= case when is_job then interval '366 days' else interval '100 years' end
  union select minutes.day from analytics.minutes_daily as minutes where minutes.day >= since
  union select (deployed_at at time zone 'UTC')::date from analytics.deployments where deployed_at >= since::timestamp at time zone 'UTC';
end $$;

comment on function sync.days_with_data is 'Every day (UTC) from the given one on that has builds, jobs or rows in rollup tables.';
