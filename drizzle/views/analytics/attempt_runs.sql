-- "offset 0" makes Postgres look up the jobs of a build by build. Otherwise it searches the jobs of all builds for the earliest start.
create or replace view analytics.attempt_runs as
select build_id,
  began_at::timestamptz(3) as started_at,
  finished_at,
  -- A build canceled at a gate has not run since it stopped there.
  case
    when blocked and state = 'canceled' and previous_finish is not null then null
    when began_at is null and previous_finish is not null and started_at is not null then 0
    when not (is_unread and previous_finish is null) then analytics.seconds(began_at, finished_at)
  end as run_seconds,
  finished_at <= coalesce(min(case when analytics.build_result(state, blocked) is not null then finished_at end) over whole, 'infinity') as is_first,
  state,
  blocked,
  bool_or(is_hidden or is_unread) over whole as is_estimate,
  is_unread
from (
  select stop.*,
    case
      -- Buildkite may keep the start of a build that continues: the attempt began with the first of its jobs that ran since then.
      when stop.previous_finish is not null and (stop.started_at <= stop.previous_finish or stop.is_hidden or stop.previous_is_hidden) then (
        select min(job.started_at) from (select started_at from buildkite.jobs where build_id = stop.build_id offset 0) as job
        where job.started_at >= stop.previous_finish and job.started_at <= stop.finished_at
      )
      when stop.previous_finish is null and stop.first_seen_via = 'rest' then least(stop.started_at, (
        select min(job.started_at) from (select started_at from buildkite.jobs where build_id = stop.build_id offset 0) as job
        where job.started_at <= stop.finished_at
      ))
      else stop.started_at
    end as began_at,
    -- Without jobs nothing shows whether the build stopped in between.
    stop.first_seen_via = 'rest' and stop.previous_finish is null and stop.started_at is not null
      and not exists (select from buildkite.jobs where build_id = stop.build_id) as is_unread
  from (
    select known.*,
      lag(known.finished_at) over earlier as previous_finish,
      coalesce(lag(known.is_hidden) over earlier, false) as previous_is_hidden
    from (
      select build_id, finished_at, started_at, state, blocked, first_seen_via, false as is_hidden from buildkite.build_attempts
      union all
      select build_id, finished_at, null, state, blocked, 'rest', true from sync.hidden_stops
    ) as known
    window earlier as (partition by known.build_id order by known.finished_at)
  ) as stop
) as attempt
window whole as (partition by build_id);

comment on view analytics.attempt_runs is 'Each run of a build up to a finish or a stop, without pauses at block steps and between attempts. Used by the other views.';
comment on column analytics.attempt_runs.build_id is 'builds.id.';
comment on column analytics.attempt_runs.started_at is 'When it started: for a later attempt, the start of its first job.';
comment on column analytics.attempt_runs.finished_at is 'When it finished.';
comment on column analytics.attempt_runs.run_seconds is 'Seconds it ran; null if it never started, or if nothing shows whether the build stopped in between.';
comment on column analytics.attempt_runs.is_first is 'Whether it belongs to the run up to the first result.';
comment on column analytics.attempt_runs.state is 'State in which it ended, as Buildkite writes it.';
comment on column analytics.attempt_runs.blocked is 'Whether the build then waited at a gate.';
comment on column analytics.attempt_runs.is_estimate is 'Whether a stop of this build is known only from its jobs: then the times of the stop and the result before it are estimates. Also true if only the build is known and not its jobs: then run_seconds is null.';
comment on column analytics.attempt_runs.is_unread is 'Whether the jobs of the build are unknown, so that nothing shows whether it stopped in between.';
