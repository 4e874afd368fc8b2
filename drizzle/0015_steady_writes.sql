-- Writing stays as quick as it was on the first day. The triggers that mark days looked up jobs with "build_id = this or build_id = that", which
-- read all jobs for every page of a backfill; and a plan made for one row was kept for a thousand. Each function now says how it is to be planned.

create function sync.mark_days_of_jobs(builds uuid[]) returns void language plpgsql set enable_seqscan = off as $$
begin
  perform sync.mark_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from buildkite.jobs as job where job.build_id = any (builds) having count(*) > 0;
end $$;--> statement-breakpoint

create function sync.mark_days_of_commits(commits text[], written_at timestamptz[]) returns void language plpgsql
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  perform sync.mark_days(array_agg(deployment.deployed_at), null)
  from unnest(commits, written_at) as build (commit, written_at)
  join analytics.deployments as deployment on deployment.commit_sha = build.commit
  where build.commit <> 'HEAD' and coalesce(build.written_at, '-infinity') < coalesce(deployment.committed_at, 'infinity')
  having count(*) > 0;
end $$;--> statement-breakpoint

create or replace function sync.mark_days_of_new_builds() returns trigger language plpgsql as $$
declare
  builds uuid[];
  commits text[];
  written_at timestamptz[];
begin
  perform sync.mark_days(array_agg(created_at), array_agg(coalesce(finished_at, created_at))) from after_rows;
  select array_agg(id) || array_remove(array_agg(rebuilt_from_id), null) into builds from after_rows;
  perform sync.mark_days_of_jobs(builds);
  -- Only now is it known when the commit was written.
  select array_agg(after_rows.commit), array_agg(author_date) into commits, written_at from after_rows where author_date is not null;
  if commits is not null then perform sync.mark_days_of_commits(commits, written_at); end if;
  return null;
end $$;--> statement-breakpoint

create or replace function sync.mark_days_of_changed_builds() returns trigger language plpgsql set enable_nestloop = off as $$
declare
  builds uuid[];
  commits text[];
begin
  perform sync.mark_days(array_agg(coalesce(before.finished_at, before.created_at)), array_agg(coalesce(after.finished_at, after.created_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.mark_days(array_agg(before.created_at), array_agg(after.created_at))
  from before_rows as before join after_rows as after using (id)
  where (after.created_at, after.organization_id) is distinct from (before.created_at, before.organization_id);
  select array_agg(after.id) || array_remove(array_agg(after.rebuilt_from_id), null) into builds
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.pipeline_id, after.branch, after.commit, after.state = 'canceled', after.rebuilt_from_id)
    is distinct from (before.organization_id, before.pipeline_id, before.branch, before.commit, before.state = 'canceled', before.rebuilt_from_id);
  if builds is not null then perform sync.mark_days_of_jobs(builds); end if;
  select array_agg(before.commit) || array_agg(after.commit) into commits
  from before_rows as before join after_rows as after using (id)
  where (after.commit, after.author_date) is distinct from (before.commit, before.author_date);
  if commits is not null then perform sync.mark_days_of_commits(commits, null); end if;
  return null;
end $$;--> statement-breakpoint

alter function sync.mark_days_of_changed_jobs() set enable_nestloop = off;--> statement-breakpoint

create or replace function sync.mark_days_of_attempts() returns trigger language plpgsql set enable_seqscan = off as $$
begin
  perform sync.mark_days(array_agg(coalesce(build.finished_at, build.created_at)), null)
  from buildkite.builds as build where build.id = any (array(select build_id from after_rows));
  return null;
end $$;--> statement-breakpoint

-- Payloads are written once and soon read: LZ4 costs a fraction of the time. Where Postgres was built without it they stay as they are.
do $$
begin
  alter table sync.deliveries alter column payload set compression lz4;
exception
  when feature_not_supported then
    raise notice 'This Postgres has no LZ4: payloads are compressed as before.';
end $$;--> statement-breakpoint

-- Every delivery leaves one dead row: what they leave is taken away before it is a fiftieth of the table.
alter table sync.deliveries set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
