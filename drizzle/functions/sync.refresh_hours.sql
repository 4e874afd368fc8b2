-- To add a rollup table: a function that returns its rows of one hour, and a line here. If it has rows by day, too: a function that merges
-- the hours of a day, and a line in sync.merge_day.
create or replace function sync.refresh_hours(which date, hours_of_day integer[] default null) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off -- compiling this takes longer than running it
set max_parallel_workers_per_gather = 0 -- so does starting workers, for hours without builds too
set work_mem = '32MB' as $$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  is_whole constant boolean := hours_of_day is null;
  pipeline constant text := 'coalesce(pipeline_id, ''00000000-0000-0000-0000-000000000000'')';
  hour_of_day integer;
  since timestamptz;
  tries sync.command_try[];
  -- What changed.
  pipelines text[] := '{}';
  hours text[] := '{}';
  agents text[] := '{}';
begin
  foreach hour_of_day in array coalesce(hours_of_day, array(select generate_series(0, 23))) loop
    since := day_start + hour_of_day * interval '1 hour';
    tries := array(select sync.tries_of_hour(since));
    pipelines := pipelines
      || sync.replace_rows('analytics.builds_hourly', 'hour = $1', 'sync.builds_of_hour($1)', pipeline, since)
      || sync.replace_rows('analytics.jobs_hourly', 'hour = $1', 'sync.jobs_of_hour($1, $3)', pipeline, since, null, tries)
      || sync.replace_rows('sync.minutes_hours', 'hour = $1', 'sync.minutes_of_hour($1, $3)', pipeline, since, null, tries);
    hours := hours || sync.replace_rows('sync.queue_hours', 'started_hour = $1', 'sync.queues_of_hour($1, $3)', 'hour', since, null, tries);
    agents := agents || sync.replace_rows('sync.agent_days', 'started_hour = $1', 'sync.agents_of_hour($1, $3)', 'day || '' '' || agent_id', since, null, tries);
    perform sync.replace_rows('analytics.build_minutes_hourly', 'hour = $1', 'sync.build_minutes_of_hour($1, $3)', 'hour', since, null, tries);
    perform sync.replace_rows('analytics.job_minutes_hourly', 'hour = $1', 'sync.job_minutes_of_hour($1, $3)', 'hour', since, null, tries);
    perform sync.replace_rows('sync.builds_found', 'hour = $1', 'sync.builds_found_of_hour($1)', 'hour', since);
    perform sync.replace_rows('sync.jobs_found', 'hour = $1', 'sync.jobs_found_of_hour($1, $3)', 'hour', since, null, tries);
    perform sync.refresh_queue_hour(since);
    if is_whole then
      hours := hours || since::text;
    else
      perform sync.refresh_deployments(since, since + interval '1 hour');
    end if;
  end loop;
  if is_whole then
    perform sync.refresh_deployments(day_start, day_start + interval '24 hours');
  end if;
  perform sync.merge_day(which, case when not is_whole then pipelines::uuid[] end);
  perform sync.merge_queue_hours(hours::timestamptz[], which);
  perform sync.merge_agent_days(agents, which, is_whole);
end $$;

comment on function sync.refresh_hours is 'Rebuilds the rollup tables for hours (0 to 23) of a day (UTC), or for the whole day: the rows by hour from the mirror, then those rows by day that may differ from the rows by hour.';
