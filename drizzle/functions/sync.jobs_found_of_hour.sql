create or replace function sync.jobs_found_of_hour(from_hour timestamptz, tries sync.command_try[]) returns setof sync.jobs_found language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select from_hour, try.organization_id, count(*), count(*) filter (where try.lost_webhook)
  from unnest(tries) as try where try.started_at >= from_hour and try.started_at < from_hour + interval '1 hour'
  group by try.organization_id;
end $$;

comment on function sync.jobs_found_of_hour is 'The rows of sync.jobs_found for one hour, from all present jobs.';
