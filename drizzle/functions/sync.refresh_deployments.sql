create or replace function sync.refresh_deployments(since timestamptz, until timestamptz) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  fresh constant analytics.deployments[] := array(select sync.deployments_between(since, until));
begin
  delete from analytics.deployments as stored where stored.deployed_at >= since and stored.deployed_at < until
    and not exists (select from unnest(fresh) as one where one = stored);
  -- A deployment that finished again in this range still has its row in the earlier range, which may be rebuilt later.
  delete from analytics.deployments as stored using unnest(fresh) as one where stored.id = one.id and stored <> one;
  insert into analytics.deployments select one.* from unnest(fresh) as one
  where not exists (select from analytics.deployments as stored where stored.id = one.id);
end $$;

comment on function sync.refresh_deployments is 'Makes the rows of analytics.deployments right for the builds and jobs that finished in a range of time.';
