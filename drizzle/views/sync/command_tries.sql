-- "offset 0" makes Postgres look up the build of a job by id. Without it, Postgres expects few rows and reads all builds.
create or replace view sync.command_tries as
select
  build.organization_id, build.pipeline_id, build.branch, job.agent_id, job.agent_name, job.cluster_id,
  coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue,
  analytics.job_name(job.name, job.label, job.step_key, job.command) as job,
  analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result,
  coalesce(job.retried, false) or job.retried_in_job_id is not null as retried,
  build.state = 'canceled' as build_canceled,
  build.rebuilt,
  job.started_at, job.finished_at, job.expired_at, coalesce(job.finished_at, job.expired_at) as ended_at,
  job.first_seen_via = 'rest' and job.first_seen_at > job.started_at + interval '10 seconds' as lost_webhook,
  analytics.seconds(job.started_at, job.finished_at) as run_seconds,
  analytics.seconds(job.runnable_at, job.started_at) as wait_seconds,
  job.concurrency_wait_time_ms
from buildkite.jobs as job
cross join lateral (
  select organization_id, pipeline_id, branch, state,
    (select true from buildkite.builds as rebuild where rebuild.rebuilt_from_id = builds.id limit 1) is not null as rebuilt
  from buildkite.builds where id = job.build_id offset 0
) as build
left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
where job.type = 'script';

comment on view sync.command_tries is 'Tries of command jobs of known builds, with what the rollups need of them.';
comment on column sync.command_tries.organization_id is 'organizations.id.';
comment on column sync.command_tries.pipeline_id is 'pipelines.id.';
comment on column sync.command_tries.branch is 'Branch.';
comment on column sync.command_tries.agent_id is 'agents.id.';
comment on column sync.command_tries.agent_name is 'Name of the agent.';
comment on column sync.command_tries.cluster_id is 'clusters.id.';
comment on column sync.command_tries.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column sync.command_tries.job is 'Name of the job.';
comment on column sync.command_tries.result is 'Result of the try.';
comment on column sync.command_tries.retried is 'Whether it was retried.';
comment on column sync.command_tries.build_canceled is 'Whether its build was canceled.';
comment on column sync.command_tries.rebuilt is 'Whether its build was rebuilt.';
comment on column sync.command_tries.started_at is 'When it started.';
comment on column sync.command_tries.finished_at is 'When it finished.';
comment on column sync.command_tries.expired_at is 'When it expired.';
comment on column sync.command_tries.ended_at is 'When it finished, or else expired.';
comment on column sync.command_tries.lost_webhook is 'Whether REST showed it first, more than 10 s after its start.';
comment on column sync.command_tries.run_seconds is 'Seconds from start to finish.';
comment on column sync.command_tries.wait_seconds is 'Seconds from runnable to start.';
comment on column sync.command_tries.concurrency_wait_time_ms is 'Milliseconds that it waited for a concurrency group.';
