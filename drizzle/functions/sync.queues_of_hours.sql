-- array_agg takes a fraction of the memory and time of the aggregate analytics.histogram.
-- A try belongs to each hour that it ran in, on the days of its start, finish and expiry. So a try of a year adds three days at most.
create or replace function sync.queues_of_hours(since timestamptz, until timestamptz, tries sync.command_try[]) returns setof sync.queue_hours language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select started.hour, ran.hour, try.organization_id, try.cluster_id, try.queue,
    count(*) filter (where ran.hour = started.hour),
    coalesce(sum(try.wait_ms) filter (where ran.hour = started.hour), 0)::bigint,
    max(try.wait_ms) filter (where ran.hour = started.hour),
    analytics.histogram_of(array_agg(analytics.whole_seconds(try.wait_ms / 1000.0::double precision)) filter (where ran.hour = started.hour)),
    coalesce(sum(try.concurrency_wait_ms) filter (where ran.hour = started.hour), 0)::bigint,
    sum(case when try.run_ms is null then 0
      else round(1000 * analytics.seconds(greatest(try.started_at, ran.hour), least(try.finished_at, ran.hour + interval '1 hour'))) end)::bigint
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.started_at, since) as hour) as started
  cross join lateral (
    select hours.hour from (
      select distinct date_trunc('day', moment, 'UTC') as day_start from unnest(array[try.started_at, try.finished_at, try.expired_at]) as moment
      where moment is not null
    ) as days
    cross join lateral generate_series(
      greatest(days.day_start, started.hour),
      least(case when try.run_ms is null then try.started_at else greatest(try.started_at, try.finished_at) end, days.day_start + interval '23 hours 59 minutes 59.999999 seconds'),
      interval '1 hour'
    ) as hours (hour)
  ) as ran
  where started.hour >= since and started.hour < until
  group by started.hour, ran.hour, try.organization_id, try.cluster_id, try.queue;
end $$;

comment on function sync.queues_of_hours is 'The rows of sync.queue_hours for jobs that started in the hours of a range, from all present jobs.';
