create or replace function sync.refresh_queue_hours(since timestamptz, until timestamptz) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off as $$
declare
  step constant interval := interval '5 minutes';
  first_hour constant timestamptz := (select date_trunc('hour', min(created_at), 'UTC') from buildkite.builds where created_at >= '2013-01-01');
begin
  delete from analytics.queue_depths where at >= since and at < until;
  delete from analytics.agents_hourly where hour >= since and hour < until;
  with work as materialized (
    select * from sync.jobs_between(since, until)
  ), intervals as materialized (
    select organization_id, cluster_id, queue, agent_id, waits_from as began, waits_to as ended, 1 as waits, 0 as runs from work
    where waits_from < waits_to and waits_from < until and waits_to > since
    union all
    select organization_id, cluster_id, queue, agent_id, runs_from, runs_to, 0, 1 from work
    where runs_from < runs_to and runs_from < until and runs_to > since
  ), moments as (
    -- A queue has the points of the hours in which one of its jobs waited or ran.
    select organization_id, cluster_id, queue, point as at, 0 as waits, 0 as runs, true as is_point
    from (
      select distinct organization_id, cluster_id, queue, hour
      from intervals
      cross join generate_series(date_bin('1 hour', greatest(began, since), since), least(ended, until) - interval '1 microsecond', interval '1 hour') as hour
    ) as queues
    join sync.last_heard as heard using (organization_id)
    cross join generate_series(hour, hour + interval '55 minutes', step) as point
    where point < heard.heard_at
    union all
    select organization_id, cluster_id, queue, greatest(began, since), waits, runs, false from intervals
    union all
    select organization_id, cluster_id, queue, ended, -waits, -runs, false from intervals where ended < until
  ), levels as (
    select organization_id, cluster_id, queue, at, is_point,
      sum(waits) over the_queue as waiting, sum(runs) over the_queue as running, null::double precision as waited
    from moments window the_queue as (partition by organization_id, cluster_id, queue order by at)
    union all
    select organization_id, cluster_id, queue, point, false, null, null, extract(epoch from point - began)
    from intervals
    cross join generate_series(date_bin(step, greatest(began, since), since), least(ended, until) - interval '1 microsecond', step) as point
    where waits = 1 and point >= began
  ), depths as (
    insert into analytics.queue_depths
    select slot, organization_id, cluster_id, queue,
      max(waiting) filter (where is_point), max(waited), max(running) filter (where is_point), max(waiting), max(running)
    from levels cross join lateral (select date_bin(step, at, since) as slot) as slots
    group by slot, organization_id, cluster_id, queue having bool_or(is_point)
  ), spans as materialized (
    -- Of each agent, cut at the hours.
    select hour, agent_id, is_connected, greatest(began, hour) as began, least(ended, hour + interval '1 hour') as ended
    from (
      select agent_id, true as is_connected, connected_from as began, connected_to as ended from sync.connections_between(since, until)
      union all
      select agent_id, false, greatest(began, since), least(ended, until) from intervals where runs = 1 and agent_id is not null
    ) as span
    cross join generate_series(date_bin('1 hour', began, since), ended - interval '1 microsecond', interval '1 hour') as hour
    where hour >= first_hour
  ), agents as materialized (
    select agent.id, agent.organization_id, agent.cluster_id, agent.queue,
      dense_rank() over (order by agent.organization_id, agent.cluster_id, agent.queue) as queue_number
    from (select distinct agent_id from spans) as seen
    -- Looked up by id: a company may have had a million agents.
    cross join lateral (select id, organization_id, cluster_id, queue from analytics.agents where agents.id = seen.agent_id offset 0) as agent
  ), spent as (
    select hour, queue_number, count(*) as agents, sum(connected) as connected, sum(busy) as busy, sum(greatest(connected - busy, 0)) as idle
    from (
      select hour, agent_id,
        coalesce(sum(seconds) filter (where is_connected), 0) as connected, coalesce(sum(seconds) filter (where not is_connected), 0) as busy
      from spans cross join lateral (select extract(epoch from ended - began)::double precision as seconds) as lasted
      group by hour, agent_id
    ) as of_agent
    join agents on agents.id = of_agent.agent_id
    group by hour, queue_number
  ), together as (
    select hour, queue_number, max(level) as most
    from (
      select hour, queue_number, sum(sum(change.by)) over (partition by hour, queue_number order by change.at) as level
      from spans
      join agents on agents.id = spans.agent_id
      cross join lateral (values (began, 1), (ended, -1)) as change (at, by)
      where is_connected and change.at < hour + interval '1 hour'
      group by hour, queue_number, change.at
    ) as levels group by hour, queue_number
  )
  insert into analytics.agents_hourly
  select hour, queues.organization_id, queues.cluster_id, queues.queue, spent.agents, coalesce(together.most, 0), spent.connected, spent.busy, spent.idle
  from spent
  join (select distinct queue_number, organization_id, cluster_id, queue from agents) as queues using (queue_number)
  left join together using (hour, queue_number);
end $$;

comment on function sync.refresh_queue_hours is 'Rebuilds queue_depths and agents_hourly for the hours of a range (UTC).';
