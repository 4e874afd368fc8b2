create or replace function sync.jobs_found_of_hours(since timestamptz, until timestamptz, tries sync.command_try[]) returns setof sync.jobs_found language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select date_bin('1 hour', try.started_at, since), try.organization_id, count(*), count(*) filter (where try.lost_webhook)
  from unnest(tries) as try where try.started_at >= since and try.started_at < until
  group by 1, try.organization_id;
end $$;

comment on function sync.jobs_found_of_hours is 'The rows of sync.jobs_found for the hours of a range, from all present jobs.';
