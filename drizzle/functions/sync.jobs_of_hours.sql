-- array_agg takes a fraction of the memory and time of the aggregate analytics.histogram.
create or replace function sync.jobs_of_hours(since timestamptz, until timestamptz, tries sync.command_try[]) returns setof analytics.jobs_hourly language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select hours.hour, try.organization_id, try.pipeline_id, try.job, count(*),
    count(*) filter (where try.result = 'passed'), count(*) filter (where try.result = 'soft_failed'),
    count(*) filter (where try.result = 'failed'), count(*) filter (where try.result = 'infra_lost'),
    count(*) filter (where try.result = 'timed_out'), count(*) filter (where try.result = 'expired'),
    count(*) filter (where try.result = 'canceled'), count(*) filter (where try.retried),
    coalesce(sum(try.run_ms), 0)::bigint, max(try.run_ms),
    analytics.histogram_of(array_agg(analytics.whole_seconds(try.run_ms / 1000.0::double precision))),
    analytics.histogram_of(array_agg(analytics.whole_seconds(try.run_ms / 1000.0::double precision)) filter (where try.result = 'passed'))
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.ended_at, since) as hour) as hours
  where hours.hour >= since and hours.hour < until and try.result not in ('skipped', 'broken')
  group by hours.hour, try.organization_id, try.pipeline_id, try.job;
end $$;

comment on function sync.jobs_of_hours is 'The rows of analytics.jobs_hourly for the hours of a range, from all present jobs.';
