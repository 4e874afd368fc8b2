import type { Db } from '../database/connection.ts'
import type { Queues, ReconcileJob } from '../queue/queues.ts'
import { BuildkiteError, StoreError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import type { RecordMetric } from '../runtime/record-metric.ts'
import { type Clock, MINUTE, pause, SECOND } from '../runtime/time.ts'
import type { Tracing } from '../runtime/tracing.ts'
import { type Access, openAccess } from './access/access.ts'
import { storeBuildkiteClock } from './access/clock-store.ts'
import { sharedBudget } from './access/rate-limit-store.ts'
import { type ReconcileConfig, reconcileDeps } from './context.ts'
import { classify, type Issue, issueOf } from './issue.ts'
import { openIssueTracker } from './issue-tracker.ts'
import { runTask, scheduleAll, type TaskParts } from './tasks.ts'

export interface ReconcilerParts {
  readonly config: ReconcileConfig
  readonly db: Db
  readonly queues: Queues
  readonly log: Log
  readonly clock: Clock
  /** Receives what is found and written, for metrics. */
  readonly record?: RecordMetric
  readonly tracing?: Tracing | undefined
}

/** The reconciler of one process. */
export interface Reconciler {
  /** The current problems that this process has found. */
  problems(): Issue[]
  /** When a worker of this process last made progress (ms since the epoch); `undefined` without a token. */
  readonly lastProgressAt: number | undefined
  /** What the tokens may read; `undefined` without a token. */
  readonly access: Access | undefined
  close(deadlineMs: number): Promise<void>
}

// More than one organization can use: its hot and warm cycle and its list of pipelines. Each needs a connection only while it writes.
const CYCLES_AT_ONCE = 6
const BACKFILLS_AT_ONCE = 1

const SCHEDULE_AGAIN = 10 * SECOND

const noToken =
  'BUILDKITE_API_TOKEN is not set: webhooks are received, but nothing is reconciled and no history is read. ' +
  'Set it to a token with the scopes read_builds, read_pipelines and read_organizations.'

/**
 * Starts the workers of the queues `reconcile` and `backfill`, and schedules the tasks of every organization that the tokens can read.
 * No failure here stops the service. A refusal of Buildkite is logged once, returned by `problems()`, and retried.
 */
export function startReconciler(parts: ReconcilerParts): Reconciler {
  const { config, db, queues, log, clock, record, tracing } = parts
  if (config.apiTokens.length === 0) {
    // A valid set-up, not a fault: /status shows that the reconciler is off, and why.
    log.warn(noToken)
    return { problems: () => [], lastProgressAt: undefined, access: undefined, close: async () => {} }
  }
  const holdsDiverted = () => queues.holdsDiverted()
  const deps = reconcileDeps(config, db, log, clock, { record, tracing, holdsDiverted })
  const budget = sharedBudget(db, config.apiBudgetShare)
  const access = openAccess(config, { budget, filter: deps.filter, log, record, tracing, clock })
  const problems = openIssueTracker(log)
  const tasks: TaskParts = {
    deps,
    access,
    queues,
    problems,
    hotEveryMs: config.reconcileIntervalMs,
    following: new Set(),
  }
  const handle = (job: ReconcileJob, signal: AbortSignal) => handleJob(tasks, job, signal)
  const stop = new AbortController()
  const cycles = queues.workReconcile(handle, CYCLES_AT_ONCE)
  const backfills = queues.workBackfill(handle, BACKFILLS_AT_ONCE)
  const scheduling = keepScheduled(tasks, stop.signal)

  return {
    problems: () => problems.all(),
    access,
    get lastProgressAt() {
      return Math.min(cycles.lastProgressAt, backfills.lastProgressAt)
    },
    async close(deadlineMs) {
      stop.abort()
      await Promise.all([cycles.close(deadlineMs), backfills.close(deadlineMs)])
      await access.close()
      await scheduling
    },
  }
}

/** Runs one job. Rethrows only the failure of an unavailable store; after any other, the next tick is the retry. */
async function handleJob(parts: TaskParts, job: ReconcileJob, signal: AbortSignal): Promise<void> {
  const { access, problems, deps } = parts
  const key = `${job.task} ${job.organization ?? ''}`
  try {
    await runTask(parts, job, signal)
    // A backfill that was cut short has not failed, but is not done either: the next process resumes it at once.
    signal.throwIfAborted()
    problems.replace(key, [])
  } catch (error) {
    if (signal.aborted) throw error
    const failure = classify(error, `run the task "${job.task}"`)
    // A refusal, or an organization that was renamed: check the tokens again.
    if (failure instanceof BuildkiteError && failure.code !== 'unavailable') access.doubt()
    const organization = job.organization && nameOf(access, job.organization)
    const problem = issueOf(organization ? `${job.task} of ${organization}` : job.task, failure)
    deps.record?.('task_failures_total', 1, { task: job.task, code: problem.code })
    // Nobody repeats a manual task, so nothing would ever resolve its problem; the row of its audit has the error.
    if (job.task !== 'verify') problems.replace(key, [problem])
    else deps.log.warn({ code: problem.code, from: job.from, to: job.to }, `${problem.subject}: ${problem.message}`)
    if (failure instanceof StoreError && failure.kind === 'transient') throw failure
    if (failure instanceof BuildkiteError) return
    deps.log.error({ err: failure, task: job.task, organization }, 'A task failed.')
  }
}

function nameOf(access: Access, organizationId: string): string {
  return access.known().find(({ id }) => id === organizationId)?.slug ?? organizationId
}

/** Repeats every schedule, because a queue that lost its data has lost its schedules too. */
async function keepScheduled(parts: TaskParts, signal: AbortSignal): Promise<void> {
  const { queues, problems, access, deps } = parts
  while (!signal.aborted) {
    try {
      await queues.schedule({ task: 'discover' }, MINUTE)
      await scheduleAll(parts, access.known())
      problems.replace('schedule', [])
    } catch (error) {
      problems.replace('schedule', [issueOf('queue', error)])
    }
    await storeBuildkiteClock(deps.db, access.known()).catch((error: unknown) =>
      deps.log.debug({ err: error }, "Could not store Buildkite's clock."),
    )
    await pause(SCHEDULE_AGAIN, signal)
  }
}
