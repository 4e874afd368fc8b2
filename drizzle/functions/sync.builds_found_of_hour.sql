create or replace function sync.builds_found_of_hour(from_hour timestamptz) returns setof sync.builds_found language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select from_hour, build.organization_id, count(*),
    count(*) filter (where build.first_seen_via = 'rest' and build.first_seen_at > build.created_at + interval '10 seconds')
  from buildkite.builds as build where build.created_at >= from_hour and build.created_at < from_hour + interval '1 hour'
  group by build.organization_id;
end $$;

comment on function sync.builds_found_of_hour is 'The rows of sync.builds_found for one hour, from all present builds.';
