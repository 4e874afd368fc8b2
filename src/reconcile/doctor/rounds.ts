import { and, asc, eq, isNotNull, isNull, max, notInArray } from 'drizzle-orm'
import { asStoreError, type Database, type Db } from '../../database/connection.ts'
import { withLease } from '../../database/leases.ts'
import { findings, pipelines } from '../../database/schema.ts'
import type { Log } from '../../log.ts'
import type { Queues } from '../../queue/queues.ts'
import type { Scope } from '../../scope.ts'
import { type Clock, HOUR, MINUTE, pause, withDeadline } from '../../time.ts'
import type { Access } from '../access.ts'
import { readWatermark } from '../watermark.ts'
import { keepFindings } from './book.ts'
import {
  type DoctorConfig,
  type Examination,
  examineBuildkite,
  examinePostgres,
  examineQueue,
  ofStores,
} from './examine.ts'
import { type Finding, findingNames, isFindingName } from './finding.ts'
import type { PipelineFacts } from './pipelines.ts'

export interface RoundsParts {
  readonly config: DoctorConfig
  readonly database: Database
  readonly queues: Queues
  /** What the tokens may read; undefined without a token. */
  readonly access: Access | undefined
  readonly scope: Scope
  readonly log: Log
  readonly clock: Clock
  /** Milliseconds from the start to the first look (default a minute), from one to the next (an hour), and between looks at the stores. */
  readonly firstAfterMs?: number
  readonly everyMs?: number
  readonly storesEveryMs?: number
}

/** The service's own look at itself: hourly at all, every minute at its stores. */
export interface Rounds {
  close(deadlineMs: number): Promise<void>
}

/**
 * Looks a minute after the start and then hourly at all that is cheap to look at, and keeps it in sync.findings. Of many replicas one
 * looks. It costs a request for each organization, at the lowest rank of the budget. In between it looks every minute at what costs
 * none, so that a fault that was mended is not told for an hour.
 */
export function startRounds(parts: RoundsParts): Rounds {
  const { firstAfterMs = MINUTE, everyMs = HOUR, storesEveryMs = Math.min(MINUTE, everyMs), log } = parts
  const stop = new AbortController()
  const running = (async () => {
    await pause(firstAfterMs, stop.signal)
    // Whoever restarts the service wants to see it looked at anew; replicas that start together look once.
    for (let freshMs = firstAfterMs; !stop.signal.aborted; freshMs = everyMs / 2) {
      await lookAlone(parts, freshMs, stop.signal).catch((error: unknown) => {
        if (!stop.signal.aborted) log.warn({ err: error }, 'The hourly look at the set-up failed; it is tried again.')
      })
      const next = performance.now() + everyMs
      for (let left = everyMs; left > 0 && !stop.signal.aborted; left = next - performance.now()) {
        await pause(Math.min(storesEveryMs, left), stop.signal)
        if (stop.signal.aborted || performance.now() >= next) break
        // The hourly look warns when the stores are away.
        await lookAtStoresAlone(parts, everyMs).catch((error: unknown) =>
          log.debug({ err: error }, 'The look at the stores failed; it is tried again.'),
        )
      }
    }
  })()
  return {
    async close(deadlineMs) {
      stop.abort()
      await withDeadline(running, deadlineMs, 'The hourly look')
    },
  }
}

/** Looks, unless another process does, or has within `freshMs`. */
async function lookAlone(parts: RoundsParts, freshMs: number, signal: AbortSignal): Promise<void> {
  const { database, clock, log } = parts
  const turn = await withLease(database.db, 'doctor', async () => {
    const ofAll = notInArray(findings.name, [...ofStores])
    const [last] = await database.db
      .select({ at: max(findings.checked_at) })
      .from(findings)
      .where(ofAll)
    const age = last?.at ? clock() - last.at.getTime() : Number.POSITIVE_INFINITY
    if (age >= 0 && age < freshMs) return false
    await keepFindings(database.db, await lookOnce(parts, signal), new Date(clock()), log)
    return true
  })
  if (!turn.held || !turn.value) log.debug('Another process looked already.')
}

/** Looks at the stores unless another process looks; writes only what has changed, or is `restMs` old. */
async function lookAtStoresAlone(parts: RoundsParts, restMs: number): Promise<void> {
  const { database, clock, log } = parts
  await withLease(database.db, 'doctor', async () => {
    const findings = (await lookAtStores(parts)).filter(({ name }) => ofStores.includes(name))
    const unseen = Object.keys(findingNames)
      .filter(isFindingName)
      .filter((name) => !ofStores.includes(name))
    await keepFindings(database.db, { findings, unseen }, new Date(clock()), log, restMs)
  })
}

async function lookAtStores({ queues, database, config, scope, clock }: RoundsParts): Promise<Finding[]> {
  return [...(await examineQueue(queues)), ...(await examinePostgres(database, config, scope, clock()))]
}

/** One look at everything that is cheap to look at. @throws StoreError, or the signal's reason. */
export async function lookOnce(parts: RoundsParts, signal?: AbortSignal): Promise<Examination> {
  const { config, database, access, scope } = parts
  const buildkite = await examineBuildkite({
    config,
    scope,
    discovery: await access?.current(signal),
    pipelines: ({ id }) =>
      mirroredPipelines(database.db, id).catch((error: unknown) => {
        throw asStoreError(error, 'look up the pipelines')
      }),
    priority: 'dimensions',
    signal,
  })
  return { findings: [...buildkite.findings, ...(await lookAtStores(parts))], unseen: buildkite.unseen }
}

/** The pipelines that REST listed last, which is a few minutes ago at most and costs no request. */
async function mirroredPipelines(db: Db, organizationId: string): Promise<PipelineFacts[] | undefined> {
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
