-- A stop ends with an unblock or a retry by hand (`resumed`): it lasts from the last end of a job before that to the first start of a job
-- after it. There was no stop if a job ran or waited for an agent at that moment. "offset 0" makes Postgres look up jobs by build.
create or replace view sync.hidden_stops as
select distinct on (stop.build_id, stop.stopped_at)
  stop.build_id, stop.stopped_at::timestamptz(3) as finished_at, stop.resumed_at::timestamptz(3) as resumed_at,
  case when stop.by_retry and stop.has_failed then 'failed' else 'passed' end as state,
  not stop.by_retry as blocked
from (
  select resumed.build_id, resumed.at, resumed.by_retry, job.*
  from (
    select gate_or_retried.build_id, coalesce(next.at, gate_or_retried.unblocked_at) as at, next.at is not null as by_retry
    from buildkite.jobs as gate_or_retried
    left join lateral (
      select coalesce(runnable_at, scheduled_at, created_at) as at from buildkite.jobs where id = gate_or_retried.retried_in_job_id offset 0
    ) as next on gate_or_retried.retry_type = 'manual'
    where gate_or_retried.retry_type = 'manual' or gate_or_retried.type = 'manual' and gate_or_retried.unblocked_at is not null
    union all
    select id, finished_at, false from buildkite.builds where state = 'canceled' and blocked
  ) as resumed
  cross join lateral (
    select
      max(job.finished_at) filter (where job.began_at < resumed.at and job.finished_at <= resumed.at) as stopped_at,
      coalesce(min(job.started_at) filter (where job.started_at >= resumed.at), resumed.at) as resumed_at,
      bool_or(job.began_at < resumed.at and coalesce(job.finished_at > resumed.at, true)) as was_active,
      bool_or(job.result in ('failed', 'infra_lost', 'timed_out', 'expired') and job.finished_at <= resumed.at
        and not job.retried_before) as has_failed
    from (
      select one.started_at, coalesce(one.finished_at, one.expired_at) as finished_at,
        coalesce(one.runnable_at - coalesce(one.concurrency_wait_time_ms, 0) * interval '1 millisecond', one.started_at) as began_at,
        analytics.job_result(one.state, one.soft_failed, one.exit_status, one.signal_reason) as result,
        coalesce(one.retry_type = 'automatic', false) or exists (
          select from buildkite.jobs as next
          where next.id = one.retried_in_job_id and coalesce(next.runnable_at, next.scheduled_at, next.created_at) < resumed.at
        ) as retried_before
      from buildkite.jobs as one
      where one.build_id = resumed.build_id and one.type in ('script', 'trigger')
      offset 0
    ) as job
  ) as job
) as stop
where stop.stopped_at is not null and not stop.was_active
  -- Buildkite's own finish may be a little later than the end of the last job, and truncated to the second.
  and not exists (
    select from buildkite.build_attempts as known
    where known.build_id = stop.build_id and known.finished_at >= stop.stopped_at - interval '1 second'
      and (known.finished_at < stop.resumed_at or known.finished_at = stop.stopped_at)
  )
order by stop.build_id, stop.stopped_at, stop.by_retry desc, stop.at;

comment on view sync.hidden_stops is 'Stops of builds, at a gate or before a retry by hand, that no webhook and no read showed. Their times are estimates from the jobs. Used by analytics.attempt_runs.';
comment on column sync.hidden_stops.build_id is 'builds.id.';
comment on column sync.hidden_stops.finished_at is 'The end of the last job before the stop.';
comment on column sync.hidden_stops.resumed_at is 'The start of the first job after it.';
comment on column sync.hidden_stops.state is 'failed if a job had failed when a person retried one, otherwise passed.';
comment on column sync.hidden_stops.blocked is 'Whether the build waited at a gate.';
