create or replace function sync.agents_of_hours(since timestamptz, until timestamptz, tries sync.command_try[]) returns setof sync.agent_days language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select hours.hour, (days.day_start at time zone 'UTC')::date, try.organization_id, try.agent_id, try.queue, max(try.agent_name),
    count(*) filter (where try.result not in ('skipped', 'broken')
      and try.ended_at >= days.day_start and try.ended_at < days.day_start + interval '24 hours'),
    sum(case when try.run_ms is null then 0
      else round(1000 * analytics.seconds(greatest(try.started_at, days.day_start), least(try.finished_at, days.day_start + interval '24 hours'))) end)::bigint,
    count(*) filter (where try.result = 'infra_lost' and try.ended_at >= days.day_start and try.ended_at < days.day_start + interval '24 hours')
  from unnest(tries) as try
  cross join lateral (
    select distinct date_trunc('day', moment, 'UTC') as day_start from unnest(array[try.started_at, try.finished_at, try.expired_at]) as moment
    where moment is not null
  ) as days
  cross join lateral (select date_bin('1 hour', coalesce(try.started_at, try.ended_at), since) as hour) as hours
  where try.agent_id is not null and hours.hour >= since and hours.hour < until
  group by hours.hour, days.day_start, try.organization_id, try.agent_id, try.queue;
end $$;

comment on function sync.agents_of_hours is 'The rows of sync.agent_days for jobs that started in the hours of a range, or ended in them without a start, from all present jobs.';
