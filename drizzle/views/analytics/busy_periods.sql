create or replace view analytics.busy_periods as
select organization_id, cluster_id, queue, min(hour) as began_at, max(hour) + interval '1 hour' as ended_at,
  count(*) as hours, sum(started)::bigint as started, max(p90_seconds) as worst_p90_seconds,
  sum(busy_seconds) / count(*) / 3600 as mean_running_jobs
from (
  select organization_id, cluster_id, queue, hour, started, p90_seconds, busy_seconds,
    hour - row_number() over (partition by organization_id, cluster_id, queue order by hour) * interval '1 hour' as island
  from analytics.queue_waits_hourly where p90_seconds > 60
) as busy
group by organization_id, cluster_id, queue, island;

comment on view analytics.busy_periods is 'Ranges of hours in which a tenth of a queue''s jobs waited more than a minute for an agent. For another limit use queue_waits_hourly.';
comment on column analytics.busy_periods.organization_id is 'organizations.id.';
comment on column analytics.busy_periods.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.busy_periods.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.busy_periods.began_at is 'Start of the first busy hour.';
comment on column analytics.busy_periods.ended_at is 'End of the last busy hour.';
comment on column analytics.busy_periods.hours is 'How many hours.';
comment on column analytics.busy_periods.started is 'How many jobs started.';
comment on column analytics.busy_periods.worst_p90_seconds is 'The 90th percentile of waits in the worst hour, in seconds.';
comment on column analytics.busy_periods.mean_running_jobs is 'Jobs that ran at the same time, on average.';
