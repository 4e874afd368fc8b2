create or replace function sync.merge_queue_hours(hours timestamptz[], which date) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
begin
  -- Jobs run on into later hours, also of the next day.
  perform sync.replace_rows('analytics.queue_waits_hourly', 'hour >= $1 and hour < $2', 'sync.waits_of_hours($1, $2)', 'null', since, until)
  from sync.hour_ranges(hours);
  if cardinality(hours) > 0 then
    perform sync.replace_rows('analytics.queue_waits_daily', 'day = ($1 at time zone ''UTC'')::date', 'sync.waits_of_day($1)', 'null', day_start);
  end if;
end $$;

comment on function sync.merge_queue_hours is 'Makes the rows of queues by hour, for the given hours, and by day from sync.queue_hours.';
