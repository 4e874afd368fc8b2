create or replace function sync.refresh_queue_hour(which timestamptz) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off as $$
declare
  hour_end constant timestamptz := which + interval '1 hour';
begin
  delete from analytics.queue_depths where at >= which and at < hour_end;
  delete from analytics.agents_hourly where hour = which;
  with work as materialized (
    select * from sync.jobs_between(which, hour_end)
  ), intervals as (
    select organization_id, cluster_id, queue, waits_from as began, waits_to as ended, 1 as waits, 0 as runs from work
    where waits_from < waits_to and waits_from < hour_end and waits_to > which
    union all
    select organization_id, cluster_id, queue, runs_from, runs_to, 0, 1 from work
    where runs_from < runs_to and runs_from < hour_end and runs_to > which
  ), moments as (
    select organization_id, cluster_id, queue, point as at, 0 as waits, 0 as runs, true as is_point
    from (select distinct organization_id, cluster_id, queue from intervals) as queues
    join sync.last_heard as heard using (organization_id)
    cross join generate_series(which, hour_end - interval '5 minutes', interval '5 minutes') as point
    where point < heard.heard_at
    union all
    select organization_id, cluster_id, queue, greatest(began, which), waits, runs, false from intervals
    union all
    select organization_id, cluster_id, queue, ended, -waits, -runs, false from intervals where ended < hour_end
  ), levels as (
    select organization_id, cluster_id, queue, at, is_point,
      sum(waits) over the_queue as waiting, sum(runs) over the_queue as running, null::double precision as waited
    from moments window the_queue as (partition by organization_id, cluster_id, queue order by at)
    union all
    select organization_id, cluster_id, queue, point, false, null, null, extract(epoch from point - began)
    from intervals
    cross join generate_series(which, hour_end - interval '5 minutes', interval '5 minutes') as point
    where waits = 1 and point >= began and point < ended
  ), depths as (
    insert into analytics.queue_depths
    select slot, organization_id, cluster_id, queue,
      max(waiting) filter (where is_point), max(waited), max(running) filter (where is_point), max(waiting), max(running)
    from levels cross join lateral (select date_bin('5 minutes', at, which) as slot) as slots
    group by slot, organization_id, cluster_id, queue having bool_or(is_point)
  ), connected as materialized (
    select agent_id, connected_from, connected_to from sync.connections_between(which, hour_end)
    where hour_end > (select min(created_at) from buildkite.builds where created_at >= '2013-01-01')
  ), agents as (
    select agent.organization_id, agent.cluster_id, agent.queue, agent.id,
      sum(spent.connected) as connected, sum(spent.busy) as busy
    from (
      select agent_id, analytics.seconds(connected_from, connected_to) as connected, 0 as busy from connected
      union all
      select agent_id, 0, analytics.seconds(greatest(runs_from, which), least(runs_to, hour_end)) from work
      where agent_id is not null and runs_from < runs_to and runs_from < hour_end and runs_to > which
    ) as spent (agent_id, connected, busy)
    join analytics.agents as agent on agent.id = spent.agent_id
    group by agent.organization_id, agent.cluster_id, agent.queue, agent.id
  ), together as (
    select organization_id, cluster_id, queue, max(level) as most
    from (
      select agent.organization_id, agent.cluster_id, agent.queue,
        sum(change.by) over (partition by agent.organization_id, agent.cluster_id, agent.queue order by change.at) as level
      from connected
      cross join lateral (values (connected_from, 1), (connected_to, -1)) as change (at, by)
      join analytics.agents as agent on agent.id = connected.agent_id
    ) as levels group by organization_id, cluster_id, queue
  )
  insert into analytics.agents_hourly
  select which, agents.organization_id, agents.cluster_id, agents.queue, count(*), coalesce(max(together.most), 0),
    sum(connected), sum(busy), sum(greatest(connected - busy, 0))
  from agents
  left join together on (together.organization_id, together.cluster_id, together.queue)
    is not distinct from (agents.organization_id, agents.cluster_id, agents.queue)
  group by agents.organization_id, agents.cluster_id, agents.queue;
end $$;

comment on function sync.refresh_queue_hour is 'Rebuilds queue_depths and agents_hourly for one hour (UTC).';
