import { type Build, iso, type Job, type ScriptJob, type TriggerJob } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import type { Mix } from '../probabilities.ts'
import { planRetry } from './plan-jobs.ts'

// The consequences of a changed job. `at` is in milliseconds since the epoch.

/** Updates the pipeline's counts and reports the event for which Buildkite sends a webhook. */
export const tell = (truth: Truth, event: string, at: number, build: Build, job?: Job) => {
  truth.recount(build, at)
  truth.tell(job ? { event, build, job } : { event, build }, at)
}

/** Draws a random number only for a possible event, so that a mix without the event gives the same builds as before it existed. */
export const happens = (truth: Truth, probability: number) => probability > 0 && truth.random.chance(probability)

export type RunnableJob = ScriptJob | TriggerJob
export const isRunnable = (job: Job): job is RunnableJob => job.type === 'script' || job.type === 'trigger'
export const isRetried = (job: Job) => job.type === 'script' && job.retried
export const hasFailed = (job: Job) =>
  isRunnable(job) && !isRetried(job) && !job.soft_failed && ['failed', 'timed_out', 'expired'].includes(job.state)

export function replace(
  truth: Truth,
  build: Build,
  job: ScriptJob,
  at: number,
  kind: 'automatic' | 'manual',
): ScriptJob {
  const retry = planRetry(truth, build, job, at, kind)
  build.jobs.splice(build.jobs.indexOf(job) + 1, 0, retry)
  return retry
}

export function schedule(truth: Truth, build: Build, job: RunnableJob, at: number): void {
  job.state = 'scheduled'
  job.runnable_at = iso(at)
  if (job.type === 'script') tell(truth, 'job.scheduled', at, build, job)
}

/** Applies the consequences of an ended job: the next jobs, a block, or the end of the build. */
export function settle(truth: Truth, build: Build, at: number, mix: Mix): void {
  if (build.jobs.some((job) => isRunnable(job) && ['scheduled', 'running', 'canceling'].includes(job.state))) return
  if (build.jobs.some(hasFailed)) {
    for (const job of build.jobs) {
      if (isRunnable(job) && job.state === 'waiting') job.state = 'waiting_failed'
      if (job.type === 'manual' && job.state !== 'unblocked') job.state = 'blocked_failed'
    }
    finishBuild(truth, build, at, 'failed')
    if (truth.random.chance(mix.retry)) truth.alive.add(build)
    return
  }
  const next = []
  for (const job of build.jobs) {
    if (job.type === 'manual' && job.state !== 'unblocked' && next.length === 0) {
      block(truth, build, job, at)
      return
    }
    if (next.length > 0 && (job.type === 'waiter' || job.type === 'manual')) break
    if (isRunnable(job) && job.state === 'waiting') next.push(job)
  }
  if (next.length === 0) finishBuild(truth, build, at, 'passed')
  else scheduleAll(truth, build, next, at)
}

/** Updates the counts once, not after each job, because a build may have thousands. */
function scheduleAll(truth: Truth, build: Build, jobs: readonly RunnableJob[], at: number): void {
  for (const job of jobs) Object.assign(job, { state: 'scheduled', runnable_at: iso(at) })
  truth.recount(build, at)
  for (const job of jobs) if (job.type === 'script') truth.tell({ event: 'job.scheduled', build, job }, at)
}

function block(truth: Truth, build: Build, job: Job, at: number): void {
  if (job.type === 'manual') Object.assign(job, { state: 'blocked', unblockable: true })
  build.blocked = true
  build.blocked_state = 'passed'
  // REST and webhooks show a blocked build like this: with the state so far, and with a finish although it has not ended.
  finishBuild(truth, build, at, 'passed')
  truth.alive.add(build)
}

export function finishBuild(truth: Truth, build: Build, at: number, state: string): void {
  build.state = state
  build.finished_at = iso(at)
  truth.alive.delete(build)
  tell(truth, 'build.finished', at, build)
}
