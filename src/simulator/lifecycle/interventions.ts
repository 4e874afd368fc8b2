import { type Build, iso, type ScriptJob } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import type { Mix } from '../probabilities.ts'
import { finishBuild, happens, hasFailed, isRunnable, replace, schedule, settle, tell } from './build-events.ts'

// Actions of people on builds. `at` is in milliseconds since the epoch.

/** Unblocks a blocked build. */
export function unblock(truth: Truth, build: Build, at: number, mix: Mix): void {
  truth.begin(at)
  const job = build.jobs.find((one) => one.type === 'manual' && one.state === 'blocked')
  if (job?.type !== 'manual') return
  Object.assign(job, {
    state: 'unblocked',
    unblockable: false,
    unblocked_by: truth.random.pick(truth.people),
    unblocked_at: iso(at),
  })
  build.blocked = false
  build.blocked_state = ''
  reopen(truth, build, at, mix)
  tell(truth, 'job.activated', at, build, job)
  tell(truth, 'build.running', at, build)
  settle(truth, build, at, mix)
}

/** Retries the failed jobs of a finished build: the same build runs again. */
export function retryFailed(truth: Truth, build: Build, at: number, mix: Mix): void {
  truth.begin(at)
  const failed = build.jobs.filter((job): job is ScriptJob => job.type === 'script' && hasFailed(job))
  if (failed.length === 0) {
    truth.alive.delete(build)
    return
  }
  for (const job of build.jobs) {
    if (isRunnable(job) && job.state === 'waiting_failed') job.state = 'waiting'
    if (job.type === 'manual' && job.state === 'blocked_failed') job.state = 'waiting'
  }
  reopen(truth, build, at, mix)
  if (truth.random.chance(0.3)) build.started_at = iso(at)
  for (const job of failed) schedule(truth, build, replace(truth, build, job, at, 'manual'), at)
  tell(truth, 'build.running', at, build)
  settle(truth, build, at, mix)
}

function reopen(truth: Truth, build: Build, at: number, mix: Mix): void {
  build.state = 'running'
  build.started_at ??= iso(at)
  // Whether Buildkite clears it is not documented, so the simulation does both.
  if (!happens(truth, mix.keepFinish)) build.finished_at = null
  truth.alive.add(build)
}

/** Cancels a build: at once if none of its jobs runs, otherwise when they have stopped. */
export function cancel(truth: Truth, build: Build, at: number): void {
  truth.begin(at)
  build.blocked = false
  build.blocked_state = ''
  build.cancel_reason = 'Canceled by hand'
  build.state = 'canceling'
  build.finished_at = null
  truth.alive.add(build)
  const running = build.jobs.filter((job) => isRunnable(job) && job.state === 'running')
  for (const job of running) if (isRunnable(job)) job.state = 'canceling'
  if (running.length === 0) endCancel(truth, build, at)
  else truth.recount(build, at)
}

/** Ends a build that is being canceled. */
export function endCancel(truth: Truth, build: Build, at: number): true {
  for (const job of build.jobs) {
    if (job.type === 'manual' && job.state !== 'unblocked')
      Object.assign(job, { state: 'canceled', unblockable: false })
    if (!isRunnable(job) || !['canceling', 'scheduled', 'waiting', 'waiting_failed'].includes(job.state)) continue
    const began = job.started_at !== null
    const isReported = job.state === 'canceling' || job.state === 'scheduled'
    job.state = 'canceled'
    job.finished_at = iso(at)
    if (job.type === 'script') {
      if (began) Object.assign(job, { exit_status: 143, signal: 'SIGTERM', signal_reason: 'cancel' })
      if (job.agent) truth.running.delete(job.agent)
    }
    if (isReported) tell(truth, 'job.finished', at, build, job)
  }
  finishBuild(truth, build, at, 'canceled')
  return true
}
