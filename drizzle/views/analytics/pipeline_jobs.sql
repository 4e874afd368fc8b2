create or replace view analytics.pipeline_jobs as
select
  job.id,
  job.build_id as pipeline_run_id,
  job.id::text as reference_id,
  job.id::text as source_id,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as name,
  case
    when analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) = 'passed' then 'success'
    when analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
      in ('soft_failed', 'failed', 'infra_lost', 'timed_out', 'expired') then 'failure'
    else 'not_finished'
  end as status,
  round(analytics.seconds(job.started_at, job.finished_at))::integer as duration,
  job.started_at,
  job.finished_at
from buildkite.jobs as job
where job.type in ('script', 'trigger');

comment on view analytics.pipeline_jobs is 'Command and trigger jobs in the shape of DX''s table of that name, one row for each try. In our own shape: analytics.jobs.';
comment on column analytics.pipeline_jobs.id is 'Buildkite''s UUID.';
comment on column analytics.pipeline_jobs.pipeline_run_id is 'pipeline_runs.id.';
comment on column analytics.pipeline_jobs.reference_id is 'Buildkite''s UUID, as text.';
comment on column analytics.pipeline_jobs.source_id is 'Buildkite''s UUID, as text.';
comment on column analytics.pipeline_jobs.name is 'Name of the job.';
comment on column analytics.pipeline_jobs.status is 'success; failure (also soft failures, lost agents, timed out, expired); not_finished: open, or ended without a result (canceled, skipped, broken).';
comment on column analytics.pipeline_jobs.duration is 'Seconds from started_at to finished_at; null until both are known, and if one of them is invalid; see analytics.seconds.';
comment on column analytics.pipeline_jobs.started_at is 'When it started.';
comment on column analytics.pipeline_jobs.finished_at is 'When it finished.';
