create or replace function sync.invalidate_days_of_commits(commits text[], written_at timestamptz[]) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  perform sync.invalidate_days(array_agg(deployment.deployed_at), null)
  from unnest(commits, written_at) as build (commit, written_at)
  join analytics.deployments as deployment on deployment.commit_sha = build.commit
  where build.commit <> 'HEAD' and coalesce(build.written_at, '-infinity') < coalesce(deployment.committed_at, 'infinity')
  having count(*) > 0;
end $$;
