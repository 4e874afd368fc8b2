create or replace function sync.build_minutes_of_hours(since timestamptz, until timestamptz, tries sync.command_try[]) returns setof analytics.build_minutes_hourly
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select hours.hour::timestamptz(3), try.organization_id, try.pipeline_id, try.build_id, try.queue, try.cluster_id, count(*),
    coalesce(sum(try.run_ms), 0)::double precision / 60000,
    coalesce(sum(try.run_ms) filter (where try.result in ('infra_lost', 'canceled') or try.build_canceled or try.retried or try.rebuilt), 0)::double precision / 60000
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.ended_at, since) as hour) as hours
  where hours.hour >= since and hours.hour < until and try.result not in ('skipped', 'broken')
  group by hours.hour, try.organization_id, try.pipeline_id, try.build_id, try.queue, try.cluster_id;
end $$;

comment on function sync.build_minutes_of_hours is 'The rows of analytics.build_minutes_hourly for the hours of a range, from all present jobs.';
