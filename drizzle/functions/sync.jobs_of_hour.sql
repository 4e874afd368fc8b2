create or replace function sync.jobs_of_hour(from_hour timestamptz, tries sync.command_try[]) returns setof analytics.jobs_hourly language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select from_hour, try.organization_id, try.pipeline_id, try.job, count(*),
    count(*) filter (where try.result = 'passed'), count(*) filter (where try.result = 'soft_failed'),
    count(*) filter (where try.result = 'failed'), count(*) filter (where try.result = 'infra_lost'),
    count(*) filter (where try.result = 'timed_out'), count(*) filter (where try.result = 'expired'),
    count(*) filter (where try.result = 'canceled'), count(*) filter (where try.retried),
    coalesce(sum(try.run_ms), 0)::bigint, max(try.run_ms),
    analytics.histogram(analytics.whole_seconds(try.run_ms / 1000.0::double precision)),
    analytics.histogram(analytics.whole_seconds(try.run_ms / 1000.0::double precision)) filter (where try.result = 'passed')
  from unnest(tries) as try
  where try.ended_at >= from_hour and try.ended_at < from_hour + interval '1 hour' and try.result not in ('skipped', 'broken')
  group by try.organization_id, try.pipeline_id, try.job;
end $$;

comment on function sync.jobs_of_hour is 'The rows of analytics.jobs_hourly for one hour, from all present jobs.';
