create or replace function sync.agents_of_day(day_start timestamptz, agents uuid[]) returns setof analytics.agents_daily
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select ran.day, ran.organization_id, ran.agent_id, max(ran.agent_name), ran.queue, sum(ran.tries)::bigint,
    sum(ran.busy_ms)::double precision / 1000, sum(ran.infra_lost)::bigint
  from sync.agent_days as ran
  where ran.day = (day_start at time zone 'UTC')::date and (agents is null or ran.agent_id = any (agents))
  group by ran.day, ran.organization_id, ran.agent_id, ran.queue;
end $$;

comment on function sync.agents_of_day is 'The rows of analytics.agents_daily for one day, from sync.agent_days.';
