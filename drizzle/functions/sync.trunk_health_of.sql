create or replace function sync.trunk_health_of(since timestamptz, until timestamptz, pipelines uuid[]) returns setof analytics.trunk_health_daily
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return query
  select (built.hour at time zone 'UTC')::date, built.organization_id, built.pipeline_id,
    -- A row for each commit: the first one carries the counts.
    coalesce(sum(built.passed + built.failed) filter (where commit.place is not distinct from 1), 0)::bigint,
    coalesce(sum(built.failed) filter (where commit.place is not distinct from 1), 0)::bigint,
    count(distinct commit.sha),
    count(distinct commit.sha) filter (where commit.sha = any (built.red_commits)),
    sum(built.passed) filter (where commit.place is not distinct from 1)::double precision
      / nullif(sum(built.passed + built.failed) filter (where commit.place is not distinct from 1), 0)::double precision,
    (array_agg(built.last_result order by built.last_build_number desc) filter (where built.last_result is not null))[1],
    coalesce(sum(built.blocked) filter (where commit.place is not distinct from 1), 0)::bigint
  from analytics.builds_hourly as built
  join buildkite.pipelines as pipeline on pipeline.id = built.pipeline_id and pipeline.default_branch = built.branch
  cross join lateral (
    select place, sha from unnest(built.commits) with ordinality as one (sha, place)
    union all select 1, null where built.commits = '{}'
  ) as commit
  where built.hour >= since and built.hour < until and (pipelines is null or built.pipeline_id = any (pipelines))
    and built.passed + built.failed + built.blocked > 0
  group by 1, built.organization_id, built.pipeline_id;
end $$;

comment on function sync.trunk_health_of is 'The rows of analytics.trunk_health_daily for the days of a range of time, from analytics.builds_hourly.';
