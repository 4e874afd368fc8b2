create or replace function sync.merge_agent_days(changed text[], which date, is_whole boolean) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  agents constant uuid[] := case when not is_whole then array(select distinct split_part(one, ' ', 2) from unnest(changed) as one) end;
  day date;
begin
  -- Jobs run on over midnight.
  for day in select distinct split_part(one, ' ', 1)::date from unnest(changed) as one union select which where is_whole loop
    perform sync.replace_rows('analytics.agents_daily', 'day = ($1 at time zone ''UTC'')::date and ($3 is null or agent_id = any ($3))',
      'sync.agents_of_day($1, $3)', 'null', day::timestamp at time zone 'UTC', null, agents);
  end loop;
end $$;

comment on function sync.merge_agent_days is 'Makes the rows of agents by day from sync.agent_days. changed has a day and the id of an agent in each element.';
