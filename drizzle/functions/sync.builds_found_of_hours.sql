-- Without enable_seqscan Postgres may read all builds, because it plans the function once, maybe when there are few.
create or replace function sync.builds_found_of_hours(since timestamptz, until timestamptz) returns setof sync.builds_found language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set jit = off as $$
begin
  return query
  select date_bin('1 hour', build.created_at, since), build.organization_id, count(*),
    count(*) filter (where build.first_seen_via = 'rest' and build.first_seen_at > build.created_at + interval '10 seconds')
  from buildkite.builds as build where build.created_at >= since and build.created_at < until
  group by 1, build.organization_id;
end $$;

comment on function sync.builds_found_of_hours is 'The rows of sync.builds_found for the hours of a range, from all present builds.';
