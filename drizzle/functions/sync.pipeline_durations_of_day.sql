create or replace function sync.pipeline_durations_of_day(day_start timestamptz, pipelines uuid[]) returns setof analytics.pipeline_durations_daily
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.pipeline_id, merged.builds, merged.passed,
    merged.run_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.run), 0),
    analytics.percentile(merged.run, 0.5), analytics.percentile(merged.run, 0.75),
    analytics.percentile(merged.run, 0.9), analytics.percentile(merged.run, 0.95),
    analytics.percentile(merged.passed_run, 0.5), analytics.percentile(merged.passed_run, 0.9),
    analytics.percentile(merged.first_run, 0.5), analytics.percentile(merged.first_run, 0.9), analytics.percentile(merged.wait, 0.5),
    merged.run, merged.passed_run, merged.first_run, merged.wait
  from (
    select built.organization_id, built.pipeline_id, sum(built.passed + built.failed)::bigint as builds, sum(built.passed)::bigint as passed,
      sum(built.run_ms) as run_ms, analytics.merge_histograms(built.run_histogram) as run,
      analytics.merge_histograms(built.passed_run_histogram) as passed_run,
      analytics.merge_histograms(built.first_run_histogram) as first_run, analytics.merge_histograms(built.wait_histogram) as wait
    from analytics.builds_hourly as built
    where built.hour >= day_start and built.hour < day_start + interval '24 hours' and built.passed + built.failed > 0
      and (pipelines is null or coalesce(built.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
    group by built.organization_id, built.pipeline_id
  ) as merged;
end $$;

comment on function sync.pipeline_durations_of_day is 'The rows of analytics.pipeline_durations_daily for one day, from analytics.builds_hourly.';
