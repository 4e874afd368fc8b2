create or replace function sync.jobs_of_hour(from_hour timestamptz) returns setof analytics.jobs_hourly language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select from_hour, try.organization_id, try.pipeline_id, try.job, count(*),
    count(*) filter (where try.result = 'passed'), count(*) filter (where try.result = 'soft_failed'),
    count(*) filter (where try.result = 'failed'), count(*) filter (where try.result = 'infra_lost'),
    count(*) filter (where try.result = 'timed_out'), count(*) filter (where try.result = 'expired'),
    count(*) filter (where try.result = 'canceled'), count(*) filter (where try.retried),
    coalesce(sum(round(try.run_seconds * 1000)), 0)::bigint, max(round(try.run_seconds * 1000))::bigint,
    analytics.histogram(analytics.whole_seconds(try.run_seconds)),
    analytics.histogram(analytics.whole_seconds(try.run_seconds)) filter (where try.result = 'passed')
  from sync.command_tries as try
  where (try.finished_at >= from_hour and try.finished_at < from_hour + interval '1 hour'
      or try.finished_at is null and try.expired_at >= from_hour and try.expired_at < from_hour + interval '1 hour')
    and try.result not in ('skipped', 'broken')
  group by try.organization_id, try.pipeline_id, try.job;
end $$;

comment on function sync.jobs_of_hour is 'The rows of analytics.jobs_hourly for one hour, from all present jobs.';
