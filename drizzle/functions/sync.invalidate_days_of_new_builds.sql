create or replace function sync.invalidate_days_of_new_builds() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  builds uuid[];
  commits text[];
  written_at timestamptz[];
begin
  perform sync.invalidate_days(array_agg(created_at), array_agg(coalesce(finished_at, created_at))) from after_rows;
  select array_agg(id) || array_remove(array_agg(rebuilt_from_id), null) into builds from after_rows;
  perform sync.invalidate_days_of_jobs(builds);
  -- The date of the commit is known only now, and it decides on lead times.
  select array_agg(after_rows.commit), array_agg(author_date) into commits, written_at from after_rows where author_date is not null;
  if commits is not null then perform sync.invalidate_days_of_commits(commits, written_at); end if;
  -- Hours of agents begin with the first build. If that is one of these, they begin earlier now.
  perform sync.invalidate_days_of_connections(array[min(created_at)], array[coalesce(
    (select min(later.created_at) from buildkite.builds as later where later.created_at > max(after_rows.created_at)),
    (select max(heard_at) from sync.last_heard)
  )])
  from after_rows where created_at >= '2013-01-01'
  having min(created_at) = (select min(created_at) from buildkite.builds where created_at >= '2013-01-01')
    and (exists (select from buildkite.agent_connections) or exists (
      select from buildkite.jobs where started_at < coalesce(
        (select min(later.created_at) from buildkite.builds as later where later.created_at > max(after_rows.created_at)), 'infinity')
    ));
  return null;
end $$;
