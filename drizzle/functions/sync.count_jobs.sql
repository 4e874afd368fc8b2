create or replace function sync.count_jobs(most_queues integer default 50) returns integer language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
declare
  began constant timestamptz := clock_timestamp();
  bounds constant double precision[] := array[1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400, double precision 'Infinity'];
  oldest timestamptz;
  changed_since timestamptz;
  counted integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror job counts', 0)) then
    return 0;
  end if;
  insert into sync.metric_queues (id, since) values (0, began) on conflict do nothing;
  select greatest(since, began - interval '1 hour') into oldest from sync.metric_queues where id = 0;
  -- A transaction that was open during the last run may have written rows since.
  select refreshed_at - interval '5 minutes' into changed_since from sync.rollups where name = 'job_counts';
  insert into sync.rollups (name, refreshed_at, took_ms) values ('job_counts', began, 0)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at;
  delete from sync.counted_jobs where counted_at < began - interval '2 hours';

  with learned as materialized (
    select job.id, event.measure, event.seconds, build.organization_id, job.cluster_id,
      coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue
    from buildkite.jobs as job
    cross join lateral (values
      ('wait', job.started_at, analytics.seconds(job.runnable_at, job.started_at)),
      ('run', job.finished_at, analytics.seconds(job.started_at, job.finished_at))
    ) as event (measure, at, seconds)
    cross join lateral (select organization_id from buildkite.builds where id = job.build_id offset 0) as build
    left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
    where job.changed_at >= greatest(changed_since, began - interval '2 hours') and job.type = 'script'
      and event.seconds is not null and event.at >= oldest
  ), fresh as (
    insert into sync.counted_jobs (job_id, measure, counted_at) select id, measure, began from learned
    on conflict do nothing returning job_id, measure
  ), counts as materialized (
    select learned.organization_id, learned.cluster_id, learned.queue, learned.measure,
      (select min(bound) from unnest(bounds) as bound where bound >= learned.seconds) as bucket,
      count(*) as jobs, sum(learned.seconds) as seconds
    from fresh join learned on learned.id = fresh.job_id and learned.measure = fresh.measure group by 1, 2, 3, 4, 5
  ), named as (
    insert into sync.metric_queues (id, organization_id, cluster_id, queue, since)
    select (select max(id) from sync.metric_queues) + row_number() over (order by sum(busy.jobs) desc, busy.queue),
      busy.organization_id, busy.cluster_id, busy.queue, began
    from (
      select organization_id, cluster_id, queue, jobs from counts
      union all
      select organization_id, cluster_id, queue, waiting + running from analytics.queues_now where waiting + running + agents > 0
    ) as busy
    where not exists (
      select from sync.metric_queues as known
      where (known.organization_id, known.cluster_id, known.queue) is not distinct from (busy.organization_id, busy.cluster_id, busy.queue)
    )
    group by busy.organization_id, busy.cluster_id, busy.queue
    order by sum(busy.jobs) desc, busy.queue
    limit (select greatest(most_queues + 1 - count(*), 0) from sync.metric_queues)
    returning id, organization_id, cluster_id, queue
  ), added as (
    insert into sync.job_counts as known (queue_id, measure, bucket, jobs, seconds)
    select coalesce(of_its_own.id, 0), counts.measure, counts.bucket, sum(counts.jobs), sum(counts.seconds)
    from counts
    left join (
      select id, organization_id, cluster_id, queue from sync.metric_queues union all select id, organization_id, cluster_id, queue from named
    ) as of_its_own
      on (of_its_own.organization_id, of_its_own.cluster_id, of_its_own.queue) is not distinct from (counts.organization_id, counts.cluster_id, counts.queue)
    group by 1, 2, 3
    on conflict (queue_id, measure, bucket) do update set jobs = known.jobs + excluded.jobs, seconds = known.seconds + excluded.seconds
  )
  select coalesce(sum(jobs), 0) into counted from counts;
  return counted;
end $$;

comment on function sync.count_jobs is 'Adds to sync.job_counts each wait that ended and each run that ended within the last hour, if that was after the first call ever and was not counted before. Gives queues series of their own while fewer than the given number have them. Returns how many it counted, or 0 if another process counts.';
