create or replace function sync.jobs_of_day(day_start timestamptz, pipelines uuid[]) returns setof analytics.jobs_daily
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.pipeline_id, merged.job, merged.tries, merged.passed,
    merged.soft_failed, merged.failed, merged.infra_lost, merged.timed_out, merged.expired, merged.canceled, merged.retried,
    merged.run_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.run), 0),
    analytics.percentile(merged.run, 0.5), analytics.percentile(merged.run, 0.75),
    analytics.percentile(merged.run, 0.9), analytics.percentile(merged.run, 0.95),
    merged.max_run_ms / 1000.0::double precision,
    analytics.percentile(merged.passed_run, 0.5), analytics.percentile(merged.passed_run, 0.9),
    merged.run_ms / 1000.0::double precision, merged.run, merged.passed_run
  from (
    select ran.organization_id, ran.pipeline_id, ran.job, sum(ran.tries)::bigint as tries, sum(ran.passed)::bigint as passed,
      sum(ran.soft_failed)::bigint as soft_failed, sum(ran.failed)::bigint as failed, sum(ran.infra_lost)::bigint as infra_lost,
      sum(ran.timed_out)::bigint as timed_out, sum(ran.expired)::bigint as expired, sum(ran.canceled)::bigint as canceled,
      sum(ran.retried)::bigint as retried, sum(ran.run_ms) as run_ms, max(ran.max_run_ms) as max_run_ms,
      analytics.merge_histograms(ran.run_histogram) as run, analytics.merge_histograms(ran.passed_run_histogram) as passed_run
    from analytics.jobs_hourly as ran
    where ran.hour >= day_start and ran.hour < day_start + interval '24 hours'
      and (pipelines is null or coalesce(ran.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
    group by ran.organization_id, ran.pipeline_id, ran.job
  ) as merged;
end $$;

comment on function sync.jobs_of_day is 'The rows of analytics.jobs_daily for one day, from analytics.jobs_hourly.';
