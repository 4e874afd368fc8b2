-- To add a rollup table: a function that returns its rows for a range of hours, and a line here. If it has rows by day, too: a function
-- that merges the hours of a day, and a line in sync.merge_day.
create or replace function sync.refresh_hours(which date, hours_of_day integer[] default null) returns void language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off -- compiling this takes longer than running it
set max_parallel_workers_per_gather = 0 -- so does starting workers, for hours without builds too
set plan_cache_mode = force_generic_plan -- so does planning again for each day
set work_mem = '32MB' as $$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  is_whole constant boolean := hours_of_day is null;
  marked constant timestamptz[] := array(
    select day_start + hour * interval '1 hour' from unnest(coalesce(hours_of_day, array(select generate_series(0, 23)))) as hour);
  pipeline constant text := 'coalesce(pipeline_id, ''00000000-0000-0000-0000-000000000000'')';
  of_hours constant text := 'hour >= $1 and hour < $2';
  of_started_hours constant text := 'started_hour >= $1 and started_hour < $2';
  -- Many hours in one go take far less time, but their tries are in memory.
  longest constant interval := case when (
    select count(*) from (select from buildkite.jobs where finished_at >= day_start and finished_at < day_start + interval '24 hours' limit 100001) as ended
  ) > 100000 then interval '1 hour' else interval '24 hours' end;
  since timestamptz;
  until timestamptz;
  tries sync.command_try[];
  -- What changed.
  pipelines text[] := '{}';
  hours text[] := '{}';
  agents text[] := '{}';
begin
  for since, until in select * from sync.hour_ranges(marked, longest) loop
    tries := array(select sync.tries_of_hours(since, until));
    pipelines := pipelines
      || sync.replace_rows('analytics.builds_hourly', of_hours, 'sync.builds_of_hours($1, $2)', pipeline, since, until)
      || sync.replace_rows('analytics.jobs_hourly', of_hours, 'sync.jobs_of_hours($1, $2, $4)', pipeline, since, until, null, tries)
      || sync.replace_rows('sync.minutes_hours', of_hours, 'sync.minutes_of_hours($1, $2, $4)', pipeline, since, until, null, tries);
    hours := hours || sync.replace_rows('sync.queue_hours', of_started_hours, 'sync.queues_of_hours($1, $2, $4)', 'hour', since, until, null, tries);
    agents := agents || sync.replace_rows('sync.agent_days', of_started_hours, 'sync.agents_of_hours($1, $2, $4)', 'day || '' '' || agent_id', since, until,
      null, tries);
    perform sync.replace_rows('analytics.build_minutes_hourly', of_hours, 'sync.build_minutes_of_hours($1, $2, $4)', 'null', since, until, null, tries);
    perform sync.replace_rows('analytics.job_minutes_hourly', of_hours, 'sync.job_minutes_of_hours($1, $2, $4)', 'null', since, until, null, tries);
    perform sync.replace_rows('sync.builds_found', of_hours, 'sync.builds_found_of_hours($1, $2)', 'null', since, until);
    perform sync.replace_rows('sync.jobs_found', of_hours, 'sync.jobs_found_of_hours($1, $2, $4)', 'null', since, until, null, tries);
    perform sync.refresh_queue_hours(since, until);
    if not is_whole then
      perform sync.refresh_deployments(since, until);
    end if;
  end loop;
  if is_whole then
    perform sync.refresh_deployments(day_start, day_start + interval '24 hours');
    hours := hours || marked::text[];
  end if;
  perform sync.merge_day(which, case when not is_whole then pipelines::uuid[] end);
  perform sync.merge_queue_hours(hours::timestamptz[], which);
  perform sync.merge_agent_days(agents, which, is_whole);
end $$;

comment on function sync.refresh_hours is 'Rebuilds the rollup tables for hours (0 to 23) of a day (UTC), or for the whole day: the rows by hour from the mirror, then those rows by day that may differ from the rows by hour.';
