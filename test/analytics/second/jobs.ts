import { isDefaultBranch, placeOf, tagsOf, teamsOf } from './builds.ts'
import type { Facts, Job } from './facts.ts'
import { agentWait, isCommand, isRetried, jobName, jobResult, queueOf, runSeconds } from './job-words.ts'
import { type Maybe, type Row, rounded, seconds } from './values.ts'

// jobs and pipeline_jobs. See "Jobs" in docs/analytics/definitions.md.

const copied = [
  ...['id', 'build_id', 'type', 'step_key', 'group_key', 'state', 'soft_failed', 'exit_status', 'signal'],
  ...['signal_reason', 'retried_in_job_id', 'retry_type', 'cluster_id', 'agent_id', 'agent_name', 'created_at'],
  ...[
    'scheduled_at',
    'runnable_at',
    'started_at',
    'finished_at',
    'parallel_group_index',
    'parallel_group_total',
    'matrix',
  ],
]

export function jobUrl(job: Job): Maybe<string> {
  if (job.web_url === null) return null
  const web = job.build?.pipeline?.web_url ?? null
  const number = job.build?.number ?? null
  return web === null || number === null ? job.web_url : `${web}/builds/${number}#${job.id}`
}

export function jobRows(facts: Facts): Row[] {
  return facts.jobs.map((job) => {
    const { build } = job
    const wait = job.concurrency_wait_time_ms
    return {
      ...Object.fromEntries(copied.map((name) => [name, job[name]])),
      ...placeOf(facts, build),
      build_number: build?.number ?? null,
      branch: build?.branch ?? null,
      commit: build?.commit ?? null,
      is_default_branch: build ? isDefaultBranch(build) : null,
      tags: tagsOf(build?.pipeline),
      teams: teamsOf(build?.pipeline),
      job: jobName(job),
      result: jobResult(job),
      retried: isRetried(job),
      queue: isCommand(job) ? queueOf(facts, job) : null,
      cluster: clusterOf(facts, job),
      dependency_wait_seconds: seconds(job.created_at === null ? null : job.created_at + (wait ?? 0), job.runnable_at),
      concurrency_wait_seconds: wait === null ? null : wait / 1_000,
      agent_wait_seconds: agentWait(job),
      run_seconds: runSeconds(job),
      web_url: jobUrl(job),
    }
  })
}

export const clusterOf = (facts: Facts, { cluster_id }: { cluster_id: Maybe<string> }) =>
  cluster_id === null ? null : (facts.clusterNames.get(cluster_id) ?? null)

const failures = ['soft_failed', 'failed', 'infra_lost', 'timed_out', 'expired']

export function pipelineJobs({ jobs }: Facts): Row[] {
  return jobs
    .filter(({ type }) => type === 'script' || type === 'trigger')
    .map((job) => {
      const result = jobResult(job)
      return {
        id: job.id,
        pipeline_run_id: job.build_id,
        ...{ reference_id: job.id, source_id: job.id },
        name: jobName(job),
        status: result === 'passed' ? 'success' : failures.includes(result ?? '') ? 'failure' : 'not_finished',
        duration: rounded(runSeconds(job)),
        started_at: job.started_at,
        finished_at: job.finished_at,
      }
    })
}
