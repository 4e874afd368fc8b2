create or replace function sync.waits_of_day(day_start timestamptz) returns setof analytics.queue_waits_daily language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.cluster_id, merged.queue, merged.started,
    merged.wait_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.wait), 0),
    analytics.percentile(merged.wait, 0.5), analytics.percentile(merged.wait, 0.75),
    analytics.percentile(merged.wait, 0.9), analytics.percentile(merged.wait, 0.95),
    merged.max_wait_ms / 1000.0::double precision, merged.concurrency_wait_ms / 1000.0::double precision, merged.wait
  from (
    select ran.organization_id, ran.cluster_id, ran.queue, sum(ran.started)::bigint as started, sum(ran.wait_ms) as wait_ms,
      max(ran.max_wait_ms) as max_wait_ms, sum(ran.concurrency_wait_ms) as concurrency_wait_ms, analytics.merge_histograms(ran.wait_histogram) as wait
    from sync.queue_hours as ran
    where ran.started_hour >= day_start and ran.started_hour < day_start + interval '24 hours' and ran.hour = ran.started_hour
    group by ran.organization_id, ran.cluster_id, ran.queue
  ) as merged;
end $$;

comment on function sync.waits_of_day is 'The rows of analytics.queue_waits_daily for one day, from sync.queue_hours.';
