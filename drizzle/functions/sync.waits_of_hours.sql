create or replace function sync.waits_of_hours(since timestamptz, until timestamptz) returns setof analytics.queue_waits_hourly language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select merged.hour, merged.organization_id, merged.cluster_id, merged.queue, merged.started, analytics.percentile(merged.wait, 0.5),
    analytics.percentile(merged.wait, 0.9), analytics.percentile(merged.wait, 0.95), merged.max_wait_ms / 1000.0::double precision,
    merged.busy_ms / 1000.0::double precision, merged.wait
  from (
    select ran.hour, ran.organization_id, ran.cluster_id, ran.queue, sum(ran.started)::bigint as started, max(ran.max_wait_ms) as max_wait_ms,
      sum(ran.busy_ms) as busy_ms, analytics.merge_histograms(ran.wait_histogram) as wait
    from sync.queue_hours as ran where ran.hour >= since and ran.hour < until
    group by ran.hour, ran.organization_id, ran.cluster_id, ran.queue
  ) as merged;
end $$;

comment on function sync.waits_of_hours is 'The rows of analytics.queue_waits_hourly for the hours of a range, from sync.queue_hours.';
