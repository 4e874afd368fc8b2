create or replace function sync.invalidate_days_of_changed_builds() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp
set enable_nestloop = off set jit = off as $$
declare
  builds uuid[];
  commits text[];
begin
  perform sync.invalidate_days(array_agg(coalesce(before.finished_at, before.created_at)), array_agg(coalesce(after.finished_at, after.created_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.invalidate_days(array_agg(before.created_at), array_agg(after.created_at))
  from before_rows as before join after_rows as after using (id)
  where (after.created_at, after.organization_id) is distinct from (before.created_at, before.organization_id);
  select array_agg(after.id) || array_remove(array_agg(after.rebuilt_from_id), null) into builds
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.pipeline_id, after.branch, after.commit, after.state = 'canceled', after.rebuilt_from_id)
    is distinct from (before.organization_id, before.pipeline_id, before.branch, before.commit, before.state = 'canceled', before.rebuilt_from_id);
  if builds is not null then perform sync.invalidate_days_of_jobs(builds); end if;
  -- Jobs that are still open count only as long as their build is open.
  select array_agg(after.id) into builds
  from before_rows as before join after_rows as after using (id)
  where (after.state in ('creating', 'scheduled', 'running', 'failing', 'canceling'), after.blocked is true, after.deleted_at is null)
    is distinct from (before.state in ('creating', 'scheduled', 'running', 'failing', 'canceling'), before.blocked is true, before.deleted_at is null);
  if builds is not null then perform sync.invalidate_days_of_open_jobs(builds); end if;
  select array_agg(before.commit) || array_agg(after.commit) into commits
  from before_rows as before join after_rows as after using (id)
  where (after.commit, after.author_date) is distinct from (before.commit, before.author_date);
  if commits is not null then perform sync.invalidate_days_of_commits(commits, null); end if;
  return null;
end $$;
