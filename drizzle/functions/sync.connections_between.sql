-- As sync.jobs_between: a connection of at most an hour is found by its end, any other by its range.
create or replace function sync.connections_between(since timestamptz, until timestamptz) returns table (
  agent_id uuid, connected_from timestamptz, connected_to timestamptz
) language plpgsql stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
#variable_conflict use_column
begin
  return query with found as (
    select one.agent_id, one.connected_at, one.ended_at from buildkite.agent_connections as one
    where one.ended_at > since and one.ended_at < until + interval '1 hour'
    union
    select one.agent_id, one.connected_at, one.ended_at from buildkite.agent_connections as one
    where (one.ended_at is null or one.ended_at - one.connected_at > interval '1 hour')
      and tstzrange(one.connected_at, greatest(one.connected_at, coalesce(one.ended_at, 'infinity'))) && tstzrange(since, until)
  )
  select found.agent_id, greatest(found.connected_at, since), least(coalesce(least(found.ended_at, next.connected_at), heard.heard_at), until)
  from found
  join buildkite.agents as agent on agent.id = found.agent_id
  left join sync.last_heard as heard on heard.organization_id = agent.organization_id
  left join lateral (
    select one.connected_at from buildkite.agent_connections as one
    where one.agent_id = found.agent_id and one.connected_at > found.connected_at order by one.connected_at limit 1
  ) as next on true
  where coalesce(least(found.ended_at, next.connected_at), heard.heard_at) > greatest(found.connected_at, since) and found.connected_at < until;
end $$;

comment on function sync.connections_between is 'When agents were connected between two times. A connection without a known end ends when the agent''s next one begins, or lasts as long as the mirror has heard of the organization.';
