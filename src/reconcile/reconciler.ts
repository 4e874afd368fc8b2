import { asStoreError, type Db } from '../database/connection.ts'
import { BuildkiteError, StoreError } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Queues, ReconcileJob } from '../queue/queues.ts'
import { type Clock, HOUR, MINUTE, pause, SECOND } from '../time.ts'
import { type Access, openAccess } from './access.ts'
import { backfillOwed } from './backfill.ts'
import { type CycleReport, reconcileOnce } from './cycle.ts'
import { type ReconcileConfig, reconcileDeps } from './deps.ts'
import { discover } from './discover.ts'
import { refusalOf } from './pages.ts'
import { refreshPipelines } from './pipelines.ts'
import { type Problem, problemOf, unstorable } from './problem.ts'
import { sharedBudget } from './shared-budget.ts'
import { readWatermark } from './watermark.ts'

export interface ReconcilerParts {
  readonly config: ReconcileConfig
  readonly db: Db
  readonly queues: Queues
  readonly log: Log
  readonly clock: Clock
  /** Told of every cycle that ran to its end; for metrics. */
  readonly onCycle?: (report: CycleReport) => void
}

/** The reconciler of one process. */
export interface Reconciler {
  /** What is wrong now, as far as this process has met it; empty when all is well. */
  problems(): Problem[]
  /** When a worker of this process last made progress (ms since the epoch); `undefined` without a token. */
  readonly lastProgressAt: number | undefined
  close(deadlineMs: number): Promise<void>
}

// Each task holds one connection for its lock and needs one or two more to write: together they stay within a pool of ten.
const CYCLES_AT_ONCE = 2
const BACKFILLS_AT_ONCE = 1
const BACKFILL_TURN = 5 * MINUTE
const FIRST_CYCLE_WAIT = MINUTE

const noToken: Problem = {
  subject: 'BUILDKITE_API_TOKEN',
  code: 'invalid_credentials',
  message: 'No API token is set: webhooks are received, but nothing is reconciled and no history is fetched.',
  remedy: 'Set BUILDKITE_API_TOKEN to a token with the scopes read_builds, read_pipelines and read_organizations.',
}

/**
 * Starts the workers of the queues `reconcile` and `backfill`, and keeps the schedules of every organization that the tokens can
 * read. Nothing here stops the service: what Buildkite refuses is logged once, told by `problems()`, and tried again.
 */
export function startReconciler(parts: ReconcilerParts): Reconciler {
  const { config, db, queues, log, clock } = parts
  if (config.apiTokens.length === 0) {
    log.warn(`${noToken.message} ${noToken.remedy}`)
    return { problems: () => [noToken], lastProgressAt: undefined, close: async () => {} }
  }
  const deps = reconcileDeps(config, db, log, clock)
  const budget = sharedBudget(db, config.apiBudgetShare)
  const access = openAccess(config, { budget, scope: deps.scope, log, clock })
  const problems = problemBook(log)
  const stop = new AbortController()

  async function arrange(signal: AbortSignal): Promise<void> {
    const { sources, problems: found } = await discover(deps, access, signal)
    problems.replace('access', found)
    for (const { id } of sources) {
      await queues.schedule({ task: 'hot', organization: id }, config.reconcileIntervalMs)
      await queues.schedule({ task: 'warm', organization: id }, HOUR)
      await queues.schedule({ task: 'pipelines', organization: id }, 5 * MINUTE)
      await queues.schedule({ task: 'backfill', organization: id }, MINUTE)
    }
  }

  async function run(job: ReconcileJob, signal: AbortSignal): Promise<void> {
    if (job.task === 'discover') return arrange(signal)
    if (job.organization === undefined) return
    const source = await access.source(job.organization, signal)
    if (!source) return dropUnlessInDoubt(queues, access, job, signal)
    if (job.task === 'pipelines') await refreshPipelines(deps, source, signal)
    else if (job.task === 'backfill') {
      await firstCycle(source.id, signal)
      const progress = await backfillOwed(deps, source, signal, { yieldAfterMs: BACKFILL_TURN })
      if (progress) log.info(progress, 'Fetched history.')
    } else {
      const report = await reconcileOnce(deps, source, job.task, signal)
      if (report) noteCycle(report)
    }
  }

  function noteCycle(report: CycleReport): void {
    log.debug(report, 'Ran a cycle.')
    parts.onCycle?.(report)
    const refused = refusalOf(report.refused)
    const subject = `builds of ${report.organization}`
    problems.replace(`refused ${report.kind} ${report.organization}`, refused ? [unstorable(subject, refused)] : [])
  }

  /** A backfill ends where the first cycle began: it waits for that one, which is scheduled beside it. */
  async function firstCycle(organizationId: string, signal: AbortSignal): Promise<void> {
    const until = clock() + FIRST_CYCLE_WAIT
    while (!signal.aborted && clock() < until && !(await readWatermark(db, organizationId))?.watermark) {
      await pause(SECOND / 2, signal)
    }
  }

  /** Runs one job; every failure but a store's that is away ends here, for the next tick is the retry. */
  async function handle(job: ReconcileJob, signal: AbortSignal): Promise<void> {
    const key = `${job.task} ${job.organization ?? ''}`
    try {
      await run(job, signal)
      // A backfill that was cut short has not failed, but must not count as done either: the next process takes it up at once.
      signal.throwIfAborted()
      problems.replace(key, [])
    } catch (error) {
      if (signal.aborted) throw error
      const failure = classify(error, `run the task "${job.task}"`)
      // A refusal, or an organization under another name: the tokens are looked at again.
      if (failure instanceof BuildkiteError && failure.code !== 'unavailable') access.doubt()
      const slug = job.organization && (await nameOf(access, job.organization))
      problems.replace(key, [problemOf(slug ? `${job.task} of ${slug}` : job.task, failure)])
      if (failure instanceof StoreError && failure.kind === 'transient') throw failure
      if (!(failure instanceof BuildkiteError))
        log.error({ err: failure, task: job.task, organization: slug }, 'A task failed.')
    }
  }

  /** Schedules the discovery again and again, because a Redis that lost its data has forgotten it. */
  async function keepScheduled(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        await queues.schedule({ task: 'discover' }, MINUTE)
        problems.replace('schedule', [])
      } catch (error) {
        problems.replace('schedule', [problemOf('queue', error)])
      }
      await pause(MINUTE, stop.signal)
    }
  }

  const cycles = queues.workReconcile(handle, CYCLES_AT_ONCE)
  const backfills = queues.workBackfill(handle, BACKFILLS_AT_ONCE)
  const scheduling = keepScheduled()

  return {
    problems: () => problems.all(),
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

/** An organization that no token sees any more is left alone; while a token could not be asked, that is no finding. */
async function dropUnlessInDoubt(
  queues: Queues,
  access: Access,
  job: ReconcileJob,
  signal: AbortSignal,
): Promise<void> {
  const { complete } = await access.current(signal)
  if (complete) await queues.unschedule(job)
}

async function nameOf(access: Access, organizationId: string): Promise<string> {
  const source = await access.source(organizationId).catch(() => undefined)
  return source?.slug ?? organizationId
}

/** Our own queries throw what the driver throws: made a StoreError where it is one; a fault of ours stays what it is. */
function classify(error: unknown, doing: string): unknown {
  if (error instanceof BuildkiteError || error instanceof StoreError) return error
  const failure = asStoreError(error, doing)
  return failure.kind === 'transient' || failure.code !== undefined ? failure : error
}

/** Keeps the problems of each source of problems, and logs each when it comes and when it goes. */
function problemBook(log: Log) {
  const book = new Map<string, readonly Problem[]>()
  const same = (one: Problem) => (other: Problem) =>
    one.subject === other.subject && one.code === other.code && one.message === other.message
  return {
    replace(key: string, problems: readonly Problem[]): void {
      const before = book.get(key) ?? []
      for (const one of problems) {
        if (!before.some(same(one))) log.warn({ code: one.code }, `${one.subject}: ${one.message} ${one.remedy}`)
      }
      if (problems.length === 0 && before.length > 0) log.info(`${before[0]?.subject}: all is well again.`)
      if (problems.length === 0) book.delete(key)
      else book.set(key, problems)
    },
    all: (): Problem[] => [...book.values()].flat(),
  }
}
