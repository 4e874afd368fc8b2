import type { Facts, Job } from './facts.ts'
import { isPresent, type Maybe, seconds } from './values.ts'

// Result, name and queue of a job. See "Jobs" in docs/analytics/definitions.md.

export const isCommand = ({ type }: Job) => type === 'script'
export const isManual = ({ type }: Job) => type === 'manual'
export const isRetried = (job: Job) => job.retried === true || job.retried_in_job_id !== null

export function jobResult(job: Job): Maybe<string> {
  const { state, exit_status } = job
  if (state === null) return null
  if (state === 'passed' || state === 'unblocked') return 'passed'
  if (['timed_out', 'expired', 'canceled', 'skipped'].includes(state)) return state
  if (['broken', 'waiting_failed', 'blocked_failed', 'unblocked_failed'].includes(state)) return 'broken'
  if (state === 'finished' && exit_status === 0) return 'passed'
  if (state !== 'failed' && state !== 'finished') return null
  const reason = job.signal_reason === '' ? null : job.signal_reason
  if (reason === null ? exit_status === -1 : reason !== 'cancel') return 'infra_lost'
  return job.soft_failed === true ? 'soft_failed' : 'failed'
}

const failures = ['failed', 'infra_lost', 'timed_out', 'expired']
export const isFailed = (result: Maybe<string>) => result !== null && failures.includes(result)

export function jobName(job: Job): string {
  const names = [job.name, job.label, job.step_key, job.command?.slice(0, 80)]
  return names.find((name) => isPresent(name) && name !== '') ?? 'unnamed'
}

export function queueOf(facts: Facts, job: Job): string {
  const rule = job.agent_query_rules?.find((one) => one.startsWith('queue='))
  if (rule !== undefined) return rule.slice('queue='.length)
  return (job.cluster_queue_id === null ? undefined : facts.queueKeys.get(job.cluster_queue_id)) ?? 'default'
}

export const readyAt = (job: Job) => job.runnable_at ?? job.scheduled_at ?? job.created_at
export const endOf = (job: Job) => job.finished_at ?? job.expired_at
export const runSeconds = (job: Job) => seconds(job.started_at, job.finished_at)
export const agentWait = (job: Job) => seconds(job.runnable_at, job.started_at)
