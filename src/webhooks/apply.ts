import { and, asc, eq, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../database/connection.ts'
import { type DeliveryStatus, deliveries } from '../database/schema.ts'
import { messageOf, StoreError } from '../errors.ts'
import type { Log } from '../log.ts'
import { inOneTransaction, type MergeReport, mergeObservations, rowsOfReport, tellRows } from '../mirror/apply.ts'
import { combine, type Observations } from '../mirror/observation.ts'
import type { OnOccurrence } from '../occurrence.ts'
import type { DeliveriesJob, KeptDelivery } from '../queue/queues.ts'
import type { Scope } from '../scope.ts'
import { type Clock, SECOND } from '../time.ts'
import { span, type Tracing } from '../tracing.ts'
import { asked } from './query.ts'
import { type Pending, readDelivery } from './read.ts'
import { sharedTurns } from './turns.ts'

export interface ApplyParts {
  db: Db
  scope: Scope
  storeEnv: boolean
  log: Log
  clock?: Clock
  on?: OnOccurrence
  tracing?: Tracing | undefined
}

/** How much payload is held in memory and applied in one transaction. */
const batchBytes = 4 * 1024 * 1024
/** A build's webhooks lie close together: the more of them one batch holds, the fewer times its rows are written. */
export const batchSize = 1_000
/** After so many batches a job ends, for the queue to see that its worker lives; the jobs behind it go on. */
const batchesPerJob = 20

/**
 * The delivery worker's handler: brings what is pending in the inbox into the mirror, oldest first, and settles each delivery as
 * `applied`, `ignored` or `failed`, in the transaction that writes its rows. A job says that there is something to do, and takes
 * along whatever waits: so any job may run again or be lost, and jobs that come while others are at work share the next turn.
 * @throws StoreError `transient` when the database is away; nothing is lost then. A delivery that can never be applied does not
 * throw: it is settled as `failed`, with its error, and the others go on.
 */
export function deliveryHandler(parts: ApplyParts): (job: DeliveriesJob, signal?: AbortSignal) => Promise<void> {
  const pace: Pace = { most: batchSize }
  const turn = sharedTurns((signal: AbortSignal | undefined) => applyPending(parts, pace, signal))
  let moving = Promise.resolve()
  // One job after another: each may hold megabytes, and they come in numbers when Postgres is back, which then has enough to do.
  const move = (kept: readonly KeptDelivery[], signal: AbortSignal | undefined) => {
    const moved = moving.then(() => moveToInbox(parts, pace, kept, signal))
    moving = moved.catch(() => {})
    return moved
  }
  return (job, signal) => {
    const deliveries = 'kept' in job ? job.kept.length : job.ids.length
    const work = async () => {
      if ('kept' in job) await move(job.kept, signal)
      await turn(signal)
    }
    return span(parts.tracing, 'deliveries apply', { deliveries }, work, { kind: 'consumer', from: job.trace })
  }
}

/** How many deliveries the next batch takes at most. */
interface Pace {
  most: number
}

/** Batch after batch while one is not enough: two at once then, so that one reads payloads while Postgres writes the other's rows. */
async function applyPending(parts: ApplyParts, pace: Pace, signal: AbortSignal | undefined): Promise<void> {
  const more = await applyNextBatch(parts, pace)
  if (!more) return
  const lane = async () => {
    for (let batch = 1; batch < batchesPerJob && !signal?.aborted; batch++) {
      if (!(await applyNextBatch(parts, pace))) return
    }
  }
  const ends = await Promise.allSettled([lane(), lane()])
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** Applies the oldest deliveries that nobody else has in hand; true when there may be more. */
async function applyNextBatch(parts: ApplyParts, pace: Pace): Promise<boolean> {
  let batch: Batch = { claimed: [], more: false }
  try {
    const outcome = await inOneTransaction(parts.db, 'apply deliveries', async (tx) => {
      batch = await claimBatch(tx, pace.most)
      return batch.claimed.length > 0 ? applyClaimed(parts, tx, batch.claimed) : undefined
    })
    if (outcome) {
      tellOutcome(parts, outcome)
      pace.most = Math.min(batchSize, pace.most * 2)
    }
  } catch (error) {
    if (batch.claimed.length === 0) throw error
    // The oldest come first again: all at once they would be too much the next time, too, and hold up whatever is behind them.
    if (isTooMuch(error)) pace.most = Math.ceil(batch.claimed.length / 2)
    if (!isPoison(error)) throw error
    const ids = batch.claimed.map(({ id }) => id)
    await applyBatch(parts, ids)
  }
  return batch.more
}

/** A delivery locked by us. */
type Claimed = Pending & { received_at: Date }

interface Batch {
  claimed: readonly Claimed[]
  /** Whether others may be waiting still. */
  more: boolean
}

const columns = {
  id: deliveries.id,
  event: deliveries.event,
  received_at: deliveries.received_at,
  observed_at: deliveries.observed_at,
}

/** Locks the oldest pending deliveries that are free, and returns as many of them as fit into memory. */
async function claimBatch(tx: Transaction, most: number): Promise<Batch> {
  const bytes = sql<number>`coalesce(octet_length(${deliveries.payload}), 0)`.as('bytes')
  const free = tx.$with('free').as(
    tx
      .select({ ...columns, bytes, payload: deliveries.payload })
      .from(deliveries)
      // Written out: with a parameter in its place the partial index would not be used.
      .where(sql`${deliveries.status} = 'pending'`)
      .orderBy(asc(deliveries.id))
      .limit(most)
      .for('update', { skipLocked: true }),
  )
  const { id, event, received_at, observed_at } = free
  // The others' payloads are not even read.
  const fits = sql`sum(${free.bytes}) over (order by ${id}) <= ${batchBytes} or row_number() over (order by ${id}) = 1`
  const payload = sql<string | null>`case when ${fits} then ${free.payload} end`
  const rows = await tx
    .with(free)
    .select({ id, event, received_at, observed_at, bytes: free.bytes, payload })
    .from(free)
    .orderBy(asc(id))
  const claimed = fitting(rows)
  return { claimed, more: rows.length === most || claimed.length < rows.length }
}

/** The first of the rows whose payloads fit into one batch together; one at least. */
export function fitting<Row extends { bytes: number }>(rows: readonly Row[]): readonly Row[] {
  let size = 0
  const end = rows.findIndex((row, index) => {
    size += row.bytes
    return index > 0 && size > batchBytes
  })
  return end < 0 ? rows : rows.slice(0, end)
}

/**
 * Deliveries that came while Postgres was away get their rows now. Each is tried alone when all together are refused: the job is
 * their only copy, and one must not keep the others out.
 */
async function moveToInbox(
  parts: ApplyParts,
  pace: Pace,
  kept: readonly KeptDelivery[],
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await insertKept(parts, kept)
  } catch (error) {
    if (kept.length === 1 || !isPoison(error)) throw error
    for (const delivery of kept) await insertKept(parts, [delivery]).catch(() => {})
    await applyPending(parts, pace, signal)
    throw error
  }
}

async function insertKept({ db, clock = Date.now }: ApplyParts, kept: readonly KeptDelivery[]): Promise<void> {
  const rows = kept.map((delivery) => ({
    ...delivery,
    received_at: new Date(delivery.received_at),
    observed_at: new Date(delivery.observed_at),
    enqueued_at: new Date(clock()),
  }))
  const unique = [...new Map(rows.map((row) => [row.key, row])).values()]
  await asked(`move ${unique.length} deliveries from the queue to the inbox`, async () =>
    db.insert(deliveries).values(unique).onConflictDoNothing({ target: deliveries.key }),
  )
}

/** Those of `ids` that are pending. As one parameter: a statement of a thousand would be planned anew for each number of them. */
function pendingAmong(ids: readonly number[]) {
  return and(sql`${deliveries.id} = any(${sql.param(ids)}::bigint[])`, eq(deliveries.status, 'pending'))
}

/**
 * Applies those of the deliveries that are pending, all at once; when one of them cannot be, halves until it is found alone and settles
 * it as `failed`. @throws StoreError `transient`
 */
export async function applyBatch(parts: ApplyParts, ids: readonly number[]): Promise<void> {
  try {
    const outcome = await inOneTransaction(parts.db, `apply ${ids.length} deliveries`, async (tx) =>
      applyClaimed(parts, tx, await claimAmong(tx, ids)),
    )
    tellOutcome(parts, outcome)
  } catch (error) {
    if (!isPoison(error)) throw error
    if (ids.length === 1) return fail(parts, ids, messageOf(error))
    const middle = Math.ceil(ids.length / 2)
    await applyBatch(parts, ids.slice(0, middle))
    await applyBatch(parts, ids.slice(middle))
  }
}

/** What became of the deliveries of one transaction. */
interface Outcome {
  readonly settled: readonly { status: DeliveryStatus; event: string; receivedAt: Date }[]
  readonly report: MergeReport
}

function tellOutcome({ on, clock = Date.now }: ApplyParts, { settled, report }: Outcome): void {
  if (!on) return
  for (const { status, event, receivedAt } of settled) {
    on('settled', 1, { status, event })
    // A replica received it, whose clock may be ahead of ours.
    if (status === 'applied') on('apply_seconds', Math.max(0, clock() - receivedAt.getTime()) / SECOND)
  }
  tellRows(on, 'webhook', report)
}

/** Locks those of the deliveries that are pending and that nobody else has in hand. */
function claimAmong(tx: Transaction, ids: readonly number[]): Promise<Claimed[]> {
  return tx
    .select({ ...columns, payload: deliveries.payload })
    .from(deliveries)
    .where(pendingAmong(ids))
    .orderBy(asc(deliveries.id))
    .for('update', { skipLocked: true })
}

/** Merges deliveries that we have locked, and settles them. */
async function applyClaimed(parts: ApplyParts, tx: Transaction, claimed: readonly Claimed[]): Promise<Outcome> {
  const now = new Date((parts.clock ?? Date.now)())
  const applied: number[] = []
  const ignored: number[] = []
  const observed: Observations[] = []
  const settled: Outcome['settled'][number][] = []
  const tell = (row: (typeof claimed)[number], status: DeliveryStatus) =>
    settled.push({ status, event: row.event, receivedAt: row.received_at })
  for (const row of claimed) {
    const reading = readDelivery(row, parts)
    if ('observed' in reading) {
      applied.push(row.id)
      observed.push(reading.observed)
      tell(row, 'applied')
    } else if ('ignored' in reading) {
      ignored.push(row.id)
      tell(row, 'ignored')
    } else {
      tell(row, 'failed')
      await settle(tx, [row.id], 'failed', now, reading.error)
      parts.log.warn({ delivery: row.id, error: reading.error }, 'A delivery cannot be applied and is set aside.')
    }
  }
  const report = await span(parts.tracing, 'merge', { via: 'webhook' }, async (traced) => {
    const merged = await mergeObservations(tx, combine(observed), now)
    traced.set(rowsOfReport(merged))
    return merged
  })
  await settle(tx, applied, 'applied', now)
  await settle(tx, ignored, 'ignored', now)
  return { settled, report }
}

/** Whether the data is at fault, and not the database's reach, state, schema or permissions (SQLSTATE class 42, 3D, 3F). */
function isPoison(error: unknown): boolean {
  if (!(error instanceof StoreError)) return true
  return error.kind === 'permanent' && !/^(42|3D|3F|28)/.test(error.code ?? '')
}

/** Whether Postgres gave up for want of time (57014) or memory (53200). */
function isTooMuch(error: unknown): boolean {
  return error instanceof StoreError && (error.code === '57014' || error.code === '53200')
}

async function fail(parts: ApplyParts, ids: readonly number[], error: string): Promise<void> {
  const now = new Date((parts.clock ?? Date.now)())
  const [event] = await asked('set a delivery aside', async () => {
    await settle(parts.db, ids, 'failed', now, error)
    return parts.db
      .select({ event: deliveries.event })
      .from(deliveries)
      .where(sql`${deliveries.id} = any(${sql.param(ids)}::bigint[])`)
  })
  parts.log.warn({ delivery: ids[0], error }, 'A delivery could not be applied and is set aside.')
  parts.on?.('settled', ids.length, { status: 'failed', event: event?.event ?? 'unknown' })
}

async function settle(
  db: Db | Transaction,
  ids: readonly number[],
  status: DeliveryStatus,
  now: Date,
  error?: string,
): Promise<void> {
  if (ids.length === 0) return
  await db
    .update(deliveries)
    .set({
      status,
      error: error?.slice(0, 1_000) ?? null,
      // One that was applied before and fails in a replay still says when it was applied.
      ...(status === 'applied' && { applied_at: now }),
      failed_at: status === 'failed' ? now : null,
      attempts: sql`${deliveries.attempts} + 1`,
    })
    .where(pendingAmong(ids))
}
