import {
  type Agent,
  type Build,
  iso,
  type Job,
  openBuildStates,
  type Pipeline,
  type ScriptJob,
  type TriggerJob,
} from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import { oneIn } from '../model/variety.ts'
import type { Mix } from '../probabilities.ts'
import { happens, isRunnable, type RunnableJob, replace, schedule, settle, tell } from './build-events.ts'
import { cancel, endCancel, retryFailed, unblock } from './interventions.ts'
import { planBuild } from './plan-build.ts'
import { planJobs } from './plan-jobs.ts'

// The changes of a build, one turn at a time. Each function changes the state as of `at` (milliseconds since the epoch) and reports the
// events for which Buildkite sends webhooks.

/** Creates a build; `origin` overrides any of its fields. */
export function startBuild(
  truth: Truth,
  pipeline: Pipeline,
  at: number,
  mix: Mix,
  options: { jobs?: number | undefined; origin?: Partial<Build> } = {},
): Build {
  truth.begin(at)
  const build = planBuild(truth, pipeline, at, options.origin ?? {})
  build.jobs = planJobs(truth, build, at, mix, options.jobs)
  truth.addBuild(build)
  truth.alive.add(build)
  tell(truth, 'build.scheduled', at, build)
  settle(truth, build, at, mix)
  return build
}

/** Makes one change to a build. Returns false when none is possible: its agents are busy, or it waits for another build. */
export function advance(truth: Truth, build: Build, at: number, mix: Mix): boolean {
  const { random } = truth
  truth.begin(at)
  if (build.state === 'canceling') return endCancel(truth, build, at)
  if (build.blocked) {
    if (random.chance(mix.cancel)) cancel(truth, build, at)
    else unblock(truth, build, at, mix)
    return true
  }
  if (build.state === 'passed' || build.state === 'failed') {
    if (build.state === 'failed') retryFailed(truth, build, at, mix)
    else truth.alive.delete(build)
    return true
  }
  if (build.state === 'scheduled' && !build.started_at) {
    if (random.chance(mix.skip)) return endWithoutRunning(truth, build, at, 'skipped')
    if (random.chance(mix.notRun)) return endWithoutRunning(truth, build, at, 'not_run')
  }
  if (random.chance(mix.cancel / 4)) {
    cancel(truth, build, at)
    return true
  }
  const agent = idleAgent(truth, build)
  const job = random.choose(build.jobs.filter((one) => canMove(truth, one, agent)))
  if (!job || !isRunnable(job)) return false
  if (job.state === 'scheduled' && job.type === 'script' && happens(truth, mix.expire))
    expireJob(truth, build, job, at, mix)
  else if (job.state === 'scheduled') startJob(truth, build, job, at, mix)
  else finishJob(truth, build, job, at, mix)
  return true
}

function canMove(truth: Truth, job: Job, agent: Agent | undefined): boolean {
  if (!isRunnable(job)) return false
  if (job.state === 'scheduled') return job.type === 'trigger' || agent !== undefined
  if (job.state !== 'running') return false
  if (job.type === 'script' || !job.triggered_build) return true
  const child = truth.build(job.triggered_build.id)
  return !child || (child.finished_at !== null && !child.blocked && !openBuildStates.has(child.state))
}

/** An idle agent, of the build's cluster if there is one. The simulated agents also take jobs of other clusters, so that none is stuck. */
function idleAgent(truth: Truth, build: Build): Agent | undefined {
  const idle = truth
    .agentsOf(truth.organizationOf(build.pipeline))
    .filter((agent) => agent.connection_state === 'connected' && !truth.running.has(agent))
  return idle.find(({ cluster_url }) => cluster_url === build.pipeline.cluster_url) ?? idle[0]
}

function startJob(truth: Truth, build: Build, job: RunnableJob, at: number, mix: Mix): void {
  job.state = 'running'
  job.started_at = iso(at)
  if (job.type === 'script') {
    const agent = idleAgent(truth, build)
    if (agent) truth.running.set(agent, job)
    job.agent = agent ?? null
    job.concurrency_wait_time_ms = truth.random.chance(0.1) ? truth.random.int(1, 60_000) : null
  }
  if (build.commit === 'HEAD') build.commit = truth.random.hex(40)
  const begins = build.state === 'scheduled'
  if (begins) {
    build.state = 'running'
    build.started_at ??= iso(at)
  }
  tell(truth, 'job.started', at, build, job)
  if (begins) tell(truth, 'build.running', at, build)
  if (job.type === 'trigger') startTriggered(truth, build, job, at, mix)
}

function startTriggered(truth: Truth, build: Build, job: TriggerJob, at: number, mix: Mix): void {
  const others = truth.pipelinesOf(truth.organizationOf(build.pipeline)).filter((one) => !one.archived_at)
  const child = startBuild(truth, others.at(-1) ?? build.pipeline, at, mix, {
    jobs: 5,
    origin: {
      source: 'trigger_job',
      triggered_from: {
        build_id: build.id,
        build_number: build.number,
        build_pipeline_slug: build.pipeline.slug,
      },
    },
  })
  job.triggered_build = { id: child.id, number: child.number, url: child.url, web_url: child.web_url }
  job.web_url = child.web_url
  if (job.async) finishJob(truth, build, job, at, mix)
}

function finishJob(truth: Truth, build: Build, job: RunnableJob, at: number, mix: Mix): void {
  const { random } = truth
  let failed = false
  if (job.type === 'trigger') {
    const child = job.async || !job.triggered_build ? undefined : truth.build(job.triggered_build.id)
    failed = child !== undefined && child.state !== 'passed'
  } else failed = random.chance(mix.fail)
  const timedOut = failed && job.type === 'script' && happens(truth, mix.timeOut)
  job.state = timedOut ? 'timed_out' : failed ? 'failed' : 'passed'
  job.finished_at = iso(at)
  if (job.type === 'script') finishScript(truth, job, at, mix, failed)
  const retries = job.type === 'script' && failed && !job.soft_failed && (job.retries_count ?? 0) < 2
  if (retries && random.chance(mix.automaticRetry)) {
    const retry = replace(truth, build, job, at, 'automatic')
    tell(truth, 'job.finished', at, build, job)
    schedule(truth, build, retry, at)
    return
  }
  if (failed && !job.soft_failed) failing(truth, build, at)
  tell(truth, 'job.finished', at, build, job)
  settle(truth, build, at, mix)
}

/** Expires a job that no agent took in time. */
function expireJob(truth: Truth, build: Build, job: ScriptJob, at: number, mix: Mix): void {
  Object.assign(job, { state: 'expired', expired_at: iso(at), finished_at: iso(at) })
  failing(truth, build, at)
  tell(truth, 'job.finished', at, build, job)
  settle(truth, build, at, mix)
}

function finishScript(truth: Truth, job: ScriptJob, at: number, mix: Mix, failed: boolean): void {
  const { random } = truth
  job.exit_status = failed ? random.pick([1, 2, 127]) : 0
  job.soft_failed = failed && random.chance(mix.softFail)
  const { agent } = job
  if (!agent) return
  truth.running.delete(agent)
  // An agent that stops with its job never reports when that job finished.
  agent.last_job_finished_at = truth.variety && oneIn(3, agent.id, 'last job') ? null : iso(at)
  if (!failed || job.soft_failed || !random.chance(mix.lost)) return
  // The job of a lost agent has exit status -1. Another agent replaces it under the same name, as with autoscaled machines.
  job.exit_status = -1
  job.signal_reason = 'agent_stop'
  Object.assign(agent, { connection_state: 'lost', lost_at: iso(at) })
  truth.tell({ event: 'agent.lost', agent }, at)
  Object.assign(agent, { connection_state: 'connected', connected_at: iso(at), lost_at: null })
  truth.tell({ event: 'agent.connected', agent }, at)
}

function failing(truth: Truth, build: Build, at: number): void {
  const goesOn = build.jobs.some((job) => isRunnable(job) && ['scheduled', 'running'].includes(job.state))
  if (!goesOn || build.state !== 'running') return
  build.state = 'failing'
  build.failing_at ??= iso(at)
  tell(truth, 'build.failing', at, build)
}

function endWithoutRunning(truth: Truth, build: Build, at: number, state: 'skipped' | 'not_run'): true {
  for (const job of build.jobs) {
    if (!isRunnable(job) || job.finished_at) continue
    job.state = 'skipped'
    job.finished_at = iso(at)
  }
  build.state = state
  build.finished_at = iso(at)
  truth.alive.delete(build)
  truth.recount(build, at)
  // Buildkite sends nothing for a build with only skipped steps.
  if (state === 'skipped') tell(truth, 'build.skipped', at, build)
  return true
}

/** Rebuilds a finished build: creates a new build of the same commit. */
export function rebuild(truth: Truth, build: Build, at: number, mix: Mix, jobs?: number): Build {
  return startBuild(truth, build.pipeline, at, mix, {
    jobs,
    origin: {
      commit: build.commit,
      branch: build.branch,
      message: build.message,
      source: 'ui',
      rebuilt_from: { id: build.id, number: build.number, url: build.url },
    },
  })
}
