import { and, asc, eq, isNotNull, isNull, max, notInArray } from 'drizzle-orm'
import { type Database, type Db, withStoreError } from '../database/connection.ts'
import { withLease } from '../database/leases.ts'
import { findings, pipelines } from '../database/schema.ts'
import type { Queues } from '../queue/queues.ts'
import type { Access } from '../reconcile/access/access.ts'
import { readWatermark } from '../reconcile/progress/watermark.ts'
import type { Log } from '../runtime/log.ts'
import type { MirrorFilter } from '../runtime/scope.ts'
import { type Clock, HOUR, MINUTE, pause, withDeadline } from '../runtime/time.ts'
import type { SeenPipeline } from './checks/pipelines.ts'
import { type CheckResult, checkNames, isCheckName } from './finding.ts'
import { type CheckConfig, checkBuildkite, checkPostgres, checkQueue, type Examination, ofStores } from './run.ts'
import { saveCheckResults } from './store.ts'

export interface SchedulerParts {
  readonly config: CheckConfig
  readonly database: Database
  readonly queues: Queues
  /** What the tokens may read; undefined without a token. */
  readonly access: Access | undefined
  readonly filter: MirrorFilter
  readonly log: Log
  readonly clock: Clock
  /** Delay from the start to the first run (default a minute), between runs (an hour), and between checks of the stores alone. */
  readonly firstAfterMs?: number
  readonly everyMs?: number
  readonly storesEveryMs?: number
}

/** The service's scheduled health checks: all of them hourly, those of the stores every minute. */
export interface CheckScheduler {
  close(deadlineMs: number): Promise<void>
}

/**
 * Runs the cheap checks a minute after the start and then hourly, on one replica only, and saves the results in sync.findings. A run
 * costs a request for each organization, at the lowest priority of the budget. Checks that need no request run every minute, so that
 * a fixed fault disappears soon.
 */
export function startCheckScheduler(parts: SchedulerParts): CheckScheduler {
  const { firstAfterMs = MINUTE, everyMs = HOUR, storesEveryMs = Math.min(MINUTE, everyMs), log } = parts
  const stop = new AbortController()
  const running = (async () => {
    await pause(firstAfterMs, stop.signal)
    // A restart repeats the checks; replicas that start together run them once.
    for (let freshMs = firstAfterMs; !stop.signal.aborted; freshMs = everyMs / 2) {
      await checkAlone(parts, freshMs, stop.signal).catch((error: unknown) => {
        if (!stop.signal.aborted) log.warn({ err: error }, 'The scheduled health check failed; it will be retried.')
      })
      const next = performance.now() + everyMs
      for (let left = everyMs; left > 0 && !stop.signal.aborted; left = next - performance.now()) {
        await pause(Math.min(storesEveryMs, left), stop.signal)
        if (stop.signal.aborted || performance.now() >= next) break
        // The hourly run warns when a store is unavailable.
        await checkStoresAlone(parts, everyMs).catch((error: unknown) =>
          log.debug({ err: error }, 'The check of the stores failed; it will be retried.'),
        )
      }
    }
  })()
  return {
    async close(deadlineMs) {
      stop.abort()
      await withDeadline(running, deadlineMs, 'The scheduled health check')
    },
  }
}

/** Runs the checks, unless another process is running them or has within `freshMs`. */
async function checkAlone(parts: SchedulerParts, freshMs: number, signal: AbortSignal): Promise<void> {
  const { database, clock, log } = parts
  const leased = await withLease(database.db, 'checks', async () => {
    const ofAll = notInArray(findings.name, [...ofStores])
    const [last] = await database.db
      .select({ at: max(findings.checked_at) })
      .from(findings)
      .where(ofAll)
    const age = last?.at ? clock() - last.at.getTime() : Number.POSITIVE_INFINITY
    if (age >= 0 && age < freshMs) return false
    await saveCheckResults(database.db, await checkOnce(parts, signal), new Date(clock()), log)
    return true
  })
  if (!leased.held || !leased.value) log.debug('Another process has already run the health check.')
}

/** Checks the stores, unless another process does; writes only results that changed or are `restMs` old. */
async function checkStoresAlone(parts: SchedulerParts, restMs: number): Promise<void> {
  const { database, clock, log } = parts
  await withLease(database.db, 'checks', async () => {
    const findings = (await checkStores(parts)).filter(({ name }) => ofStores.includes(name))
    const unseen = Object.keys(checkNames)
      .filter(isCheckName)
      .filter((name) => !ofStores.includes(name))
    await saveCheckResults(database.db, { findings, unseen }, new Date(clock()), log, restMs)
  })
}

async function checkStores({ queues, database, config, filter, clock }: SchedulerParts): Promise<CheckResult[]> {
  return [...(await checkQueue(queues)), ...(await checkPostgres(database, config, filter, clock()))]
}

/** Runs every cheap check once. @throws StoreError, or the signal's reason. */
export async function checkOnce(parts: SchedulerParts, signal?: AbortSignal): Promise<Examination> {
  const { config, database, access, filter } = parts
  const buildkite = await checkBuildkite({
    config,
    filter,
    discovery: await access?.current(signal),
    pipelines: ({ id }) => withStoreError('read the pipelines', () => mirroredPipelines(database.db, id)),
    priority: 'dimensions',
    signal,
  })
  return { findings: [...buildkite.findings, ...(await checkStores(parts))], unseen: buildkite.unseen }
}

/** The pipelines of REST's last list, which is a few minutes old at most; costs no request. */
async function mirroredPipelines(db: Db, organizationId: string): Promise<SeenPipeline[] | undefined> {
  if (!(await readWatermark(db, organizationId))?.pipelines_read_at) return undefined
  const { id, slug, archived_at, organization_id, deleted_at, verified_at } = pipelines
  const rows = await db
    .select({ id, slug, archived_at })
    .from(pipelines)
    .where(and(eq(organization_id, organizationId), isNull(deleted_at), isNotNull(verified_at)))
    .orderBy(asc(slug))
  return rows.flatMap((row) =>
    row.slug === null ? [] : [{ id: row.id, slug: row.slug, archived: row.archived_at !== null }],
  )
}
