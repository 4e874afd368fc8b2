import { withLease } from '../../database/leases.ts'
import { cycles } from '../../database/schema.ts'
import { messageOf } from '../../runtime/errors.ts'
import { HOUR } from '../../runtime/time.ts'
import { type Refused, refusalOf } from '../builds/build-writer.ts'
import { forgetJobReads } from '../builds/job-reads.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { pipelinesBackOff, tryRefreshPipelines } from '../pipelines/pipelines.ts'
import { isListedFor, moveWatermark, readWatermark, type Watermark } from '../progress/watermark.ts'
import { type CycleKind, CycleReader, type ReadLists } from './cycle-reader.ts'
import { Tally, type TallyColumns } from './tally.ts'

export type { CycleKind } from './cycle-reader.ts'

/** A cycle that does not count looks back at most this far. Its watermark does not move, so otherwise each cycle would read more. */
const UNCOUNTED_SPAN = HOUR

/** What one cycle read and found. */
export interface CycleReport extends TallyColumns {
  readonly organization: string
  readonly kind: CycleKind
  /** The watermark before; `null` for the first cycle. */
  readonly watermark_from: Date | null
  /** The watermark after: everything created or finished before it is verified. */
  readonly watermark_to: Date
  readonly started_at: Date
  readonly finished_at: Date
  /** Builds that Postgres rejected. The watermark still moves past them; the cycle's row names them in its error. */
  readonly refused: readonly Refused[]
}

/**
 * Runs one cycle for one organization. Reads every build created or finished since the watermark, every open one, and those that should
 * have been among them. `undefined` when another process runs one.
 * @throws BuildkiteError, StoreError; then the watermark does not move, and the cycle's row in sync.cycles has the error.
 */
export async function reconcileOnce(
  deps: ReconcileDeps,
  source: Source,
  kind: CycleKind = 'hot',
  signal?: AbortSignal,
): Promise<CycleReport | undefined> {
  let started = new Date(deps.clock())
  const tally = new Tally()
  try {
    const leased = await withLease(
      deps.db,
      `${kind}:${source.id}`,
      async (lease) => {
        // The cycle starts when it has the lease, so rows of sync.cycles never overlap.
        started = new Date(deps.clock())
        const own = { ...deps, db: lease.db }
        const unlisted = await listPipelines(own, source, tally, lease.signal)
        const before = await readWatermark(own.db, source.id)
        const reader = new CycleReader(own, source, kind, before, tally, lease.signal)
        const now = (source.client.now() ?? started).getTime()
        const read = await reader.read(unlisted === undefined ? undefined : now - UNCOUNTED_SPAN)
        return commitCycle(own, source, kind, { before, read, started, tally, unlisted })
      },
      { signal },
    )
    if (kind === 'warm') await forgetJobReads(deps.db, source)
    return leased.held ? leased.value : undefined
  } catch (error) {
    if (!signal?.aborted) await recordFailedCycle(deps, source, kind, started, tally, error)
    throw error
  }
}

/**
 * Lists the pipelines if they were last listed for another filter or token, or never. The cycle continues if the list fails. It does
 * not count if the previous list was for another filter or token; then this returns the reason.
 */
async function listPipelines(
  deps: ReconcileDeps,
  source: Source,
  tally: Tally,
  signal: AbortSignal,
): Promise<string | undefined> {
  const mark = await readWatermark(deps.db, source.id)
  if (isListedFor(mark, deps, source)) return undefined
  const failure = await pipelinesBackOff(deps, source)
  let reason = failure?.error
  if (!failure) {
    const listed = await tryRefreshPipelines(deps, source, signal)
    tally.requests += listed.requests
    reason = listed.failure
  }
  if (reason === undefined || !mark?.pipelines_read_at) return undefined
  return `The pipelines could not be listed for this token and filter, so nothing newer is confirmed. ${reason}`
}

/** Moves the watermark and records the cycle, after all its reads are committed. */
async function commitCycle(
  deps: ReconcileDeps,
  source: Source,
  kind: CycleKind,
  { before, read, started, tally, unlisted }: CycleResult,
): Promise<CycleReport> {
  const { to, until } = read
  return deps.db.transaction(async (tx) => {
    const finished = new Date(deps.clock())
    const reading = { kind, since: before?.watermark ?? null, to }
    const moved = unlisted === undefined && (await moveWatermark(tx, deps, source, reading, finished))
    const report: CycleReport = {
      organization: source.slug,
      kind,
      watermark_from: before?.watermark ?? null,
      watermark_to: moved ? to : (before?.watermark ?? to),
      started_at: started,
      finished_at: finished,
      ...tally.columns(),
      refused: tally.refused,
    }
    const { organization: _, refused, ...row } = report
    const read_until = moved ? until : null
    await tx
      .insert(cycles)
      .values({ organization_id: source.id, ...row, read_until, error: unlisted ?? refusalOf(refused) ?? null })
    return report
  })
}

interface CycleResult {
  readonly before: Watermark | undefined
  readonly read: ReadLists
  readonly started: Date
  readonly tally: Tally
  /** Why it does not count, if the pipelines are not listed for its token and filter. */
  readonly unlisted: string | undefined
}

async function recordFailedCycle(
  { db, clock, log }: ReconcileDeps,
  source: Source,
  kind: CycleKind,
  started: Date,
  tally: Tally,
  error: unknown,
): Promise<void> {
  const row = { started_at: started, finished_at: new Date(clock()), ...tally.columns(), error: messageOf(error) }
  try {
    await db.insert(cycles).values({ organization_id: source.id, kind, ...row })
  } catch (failure) {
    // The caller gets the error itself; a database that is down cannot record it.
    log.debug({ err: failure }, 'Could not record a failed cycle.')
  }
}
