create or replace function sync.build_results_of_day(day_start timestamptz, pipelines uuid[]) returns setof analytics.build_results_daily
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select (day_start at time zone 'UTC')::date, built.organization_id, built.pipeline_id,
    sum(built.passed + built.failed)::bigint, sum(built.passed)::bigint, sum(built.failed)::bigint, sum(built.canceled)::bigint,
    sum(built.skipped)::bigint, sum(built.first_failed)::bigint, sum(built.passed_on_retry)::bigint,
    sum(built.failed)::double precision / nullif(sum(built.passed + built.failed), 0)::double precision,
    sum(built.first_failed)::double precision / nullif(sum(built.passed + built.failed), 0)::double precision,
    sum(built.blocked)::bigint
  from analytics.builds_hourly as built
  where built.hour >= day_start and built.hour < day_start + interval '24 hours'
    and (pipelines is null or coalesce(built.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
  group by built.organization_id, built.pipeline_id;
end $$;

comment on function sync.build_results_of_day is 'The rows of analytics.build_results_daily for one day, from analytics.builds_hourly.';
