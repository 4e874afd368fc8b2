create or replace function sync.invalidate_days_of_connections(since timestamptz[], until timestamptz[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  first_build constant timestamptz := (select min(created_at) from buildkite.builds where created_at >= '2013-01-01');
begin
  perform sync.invalidate_days_between(array_agg(greatest(span.since, first_build)), array_agg(span.until), interval '100 years')
  from unnest(since, until) as span (since, until) where span.until > first_build having count(*) > 0;
end $$;

comment on function sync.invalidate_days_of_connections is 'Marks the days between each pair of times, but none before the first build: agents_hourly begins there, although an agent may have been connected for years.';
