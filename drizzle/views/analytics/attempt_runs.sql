-- "offset 0" makes Postgres look up the jobs of a build by build. Otherwise it searches the jobs of all builds for the earliest start.
create or replace view analytics.attempt_runs as
select build_id, started_at, finished_at,
  -- A build canceled at a gate has not run since it stopped there.
  case when started_at is not null and not (blocked and state = 'canceled' and previous_finish is not null) then
    case when previous_finish is null or started_at > previous_finish then analytics.seconds(started_at, finished_at)
    -- Buildkite may keep the start of a build that continues: the attempt began with the first of its jobs that ran since then.
    else coalesce(analytics.seconds((
      select min(job.started_at) from (select started_at from buildkite.jobs where build_id = attempt.build_id offset 0) as job
      where job.started_at >= previous_finish and job.started_at <= finished_at
    ), finished_at), 0) end
  end as run_seconds,
  finished_at <= coalesce(min(case when analytics.build_result(state, blocked) is not null then finished_at end) over whole, 'infinity') as is_first
from (
  select *, lag(finished_at) over (partition by build_id order by finished_at) as previous_finish from buildkite.build_attempts
) as attempt
window whole as (partition by build_id);

comment on view analytics.attempt_runs is 'How long each attempt of a build ran, without pauses at block steps and between attempts. Used by the other views.';
comment on column analytics.attempt_runs.build_id is 'builds.id.';
comment on column analytics.attempt_runs.started_at is 'When it started.';
comment on column analytics.attempt_runs.finished_at is 'When it finished.';
comment on column analytics.attempt_runs.run_seconds is 'Seconds it ran; null if it never started.';
comment on column analytics.attempt_runs.is_first is 'Whether it belongs to the run up to the first result.';
