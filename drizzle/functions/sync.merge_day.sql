create or replace function sync.merge_day(which date, pipelines uuid[] default null) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  scope constant text := 'day = ($1 at time zone ''UTC'')::date and ($3 is null or coalesce(pipeline_id, ''00000000-0000-0000-0000-000000000000'') = any ($3))';
begin
  if cardinality(pipelines) = 0 then
    return;
  end if;
  perform sync.replace_rows('analytics.build_results_daily', scope, 'sync.build_results_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.pipeline_durations_daily', scope, 'sync.pipeline_durations_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.branch_durations_daily', scope, 'sync.branch_durations_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.trunk_health_daily', scope, 'sync.trunk_health_of($1, $1 + interval ''24 hours'', $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.jobs_daily', scope, 'sync.jobs_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.minutes_daily', scope, 'sync.minutes_of_day($1, $3)', 'null', day_start, null, pipelines);
end $$;

comment on function sync.merge_day is 'Makes the rows by day of some or all pipelines from the rows by hour.';
