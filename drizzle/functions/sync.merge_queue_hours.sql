create or replace function sync.merge_queue_hours(hours timestamptz[], which date) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  hour_start timestamptz;
begin
  -- Jobs run on into later hours, also of the next day.
  foreach hour_start in array array(select distinct changed from unnest(hours) as changed) loop
    perform sync.replace_rows('analytics.queue_waits_hourly', 'hour = $1', 'sync.waits_of_hour($1)', 'hour', hour_start);
  end loop;
  if cardinality(hours) > 0 then
    perform sync.replace_rows('analytics.queue_waits_daily', 'day = ($1 at time zone ''UTC'')::date', 'sync.waits_of_day($1)', 'day',
      which::timestamp at time zone 'UTC');
  end if;
end $$;

comment on function sync.merge_queue_hours is 'Makes the rows of queues by hour, for the given hours, and by day from sync.queue_hours.';
