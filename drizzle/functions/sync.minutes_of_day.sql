create or replace function sync.minutes_of_day(day_start timestamptz, pipelines uuid[]) returns setof analytics.minutes_daily
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select (day_start at time zone 'UTC')::date, ran.organization_id, ran.pipeline_id, ran.branch, ran.queue, sum(ran.tries)::bigint,
    sum(ran.run_ms)::double precision / 60000, sum(ran.infra_lost_ms)::double precision / 60000,
    sum(ran.canceled_ms)::double precision / 60000, sum(ran.retried_ms)::double precision / 60000,
    sum(ran.rebuilt_ms)::double precision / 60000, ran.cluster_id
  from sync.minutes_hours as ran
  where ran.hour >= day_start and ran.hour < day_start + interval '24 hours'
    and (pipelines is null or coalesce(ran.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
  group by ran.organization_id, ran.pipeline_id, ran.branch, ran.queue, ran.cluster_id;
end $$;

comment on function sync.minutes_of_day is 'The rows of analytics.minutes_daily for one day, from sync.minutes_hours.';
