create or replace function sync.minutes_of_hours(since timestamptz, until timestamptz, tries sync.command_try[]) returns setof sync.minutes_hours language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select try.hour, try.organization_id, try.pipeline_id, try.branch, try.queue, try.cluster_id, count(*),
    coalesce(sum(try.run_ms), 0)::bigint,
    coalesce(sum(try.run_ms) filter (where try.lost = 'infra_lost'), 0)::bigint, coalesce(sum(try.run_ms) filter (where try.lost = 'canceled'), 0)::bigint,
    coalesce(sum(try.run_ms) filter (where try.lost = 'retried'), 0)::bigint, coalesce(sum(try.run_ms) filter (where try.lost = 'rebuilt'), 0)::bigint
  from (
    select ended.*, hours.hour, case
      when ended.result = 'infra_lost' then 'infra_lost'
      when ended.result = 'canceled' or ended.build_canceled then 'canceled'
      when ended.retried then 'retried'
      when ended.rebuilt then 'rebuilt'
    end as lost
    from unnest(tries) as ended
    cross join lateral (select date_bin('1 hour', ended.ended_at, since) as hour) as hours
    where hours.hour >= since and hours.hour < until and ended.result not in ('skipped', 'broken')
  ) as try
  group by try.hour, try.organization_id, try.pipeline_id, try.branch, try.queue, try.cluster_id;
end $$;

comment on function sync.minutes_of_hours is 'The rows of sync.minutes_hours for the hours of a range, from all present jobs.';
