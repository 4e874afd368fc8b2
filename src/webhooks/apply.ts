import { and, asc, eq, inArray, sql } from 'drizzle-orm'
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
export const batchBytes = 4 * 1024 * 1024
export const batchSize = 200

/**
 * The delivery worker's handler: brings the deliveries of a job into the mirror and settles each as `applied`, `ignored` or
 * `failed`, in the transaction that writes its rows. Whatever is settled is passed over, so any job may run again. In a backlog a
 * job takes along what else is waiting, so that many small jobs make few large transactions.
 * @throws StoreError `transient` when the database is away; nothing is lost then. A delivery that can never be applied does not
 * throw: it is settled as `failed`, with its error, and the others go on.
 */
export function deliveryHandler(parts: ApplyParts): (job: DeliveriesJob) => Promise<void> {
  return (job) =>
    span(
      parts.tracing,
      'deliveries apply',
      { deliveries: 'kept' in job ? job.kept.length : job.ids.length },
      async () => {
        const ids = 'kept' in job ? await moveToInbox(parts, job.kept) : job.ids
        await applyAll(parts, ids)
      },
      { kind: 'consumer', from: job.trace },
    )
}

async function applyAll(parts: ApplyParts, ids: readonly number[]): Promise<void> {
  for (const batch of await pendingBatches(parts.db, ids)) await applyBatch(parts, batch)
}

/**
 * Deliveries that came while Postgres was away get their rows now. Returns the ids of all of them, also of those moved before.
 * Each is tried alone when all together are refused: the job is their only copy, and one must not keep the others out.
 */
async function moveToInbox(parts: ApplyParts, kept: readonly KeptDelivery[]): Promise<number[]> {
  try {
    return await insertKept(parts, kept)
  } catch (error) {
    if (kept.length === 1 || !isPoison(error)) throw error
    const moved: number[] = []
    for (const delivery of kept) moved.push(...(await insertKept(parts, [delivery]).catch(() => [])))
    await applyAll(parts, moved)
    throw error
  }
}

async function insertKept({ db, clock = Date.now }: ApplyParts, kept: readonly KeptDelivery[]): Promise<number[]> {
  const rows = kept.map((delivery) => ({
    ...delivery,
    received_at: new Date(delivery.received_at),
    observed_at: new Date(delivery.observed_at),
    enqueued_at: new Date(clock()),
  }))
  const unique = [...new Map(rows.map((row) => [row.key, row])).values()]
  return asked(`move ${unique.length} deliveries from the queue to the inbox`, async () => {
    await db.insert(deliveries).values(unique).onConflictDoNothing({ target: deliveries.key })
    const keys = unique.map((row) => row.key)
    const found = await db.select({ id: deliveries.id }).from(deliveries).where(inArray(deliveries.key, keys))
    return found.map((row) => row.id)
  })
}

/** The job's deliveries that are still pending, and then others that wait, oldest first, in batches that fit into memory. */
async function pendingBatches(db: Db, ids: readonly number[]): Promise<number[][]> {
  if (ids.length === 0) return []
  const bytes = sql<number>`coalesce(octet_length(${deliveries.payload}), 0)`
  const waiting = db.select({ id: deliveries.id, bytes }).from(deliveries).orderBy(asc(deliveries.id))
  const own = await asked('look up deliveries', async () => waiting.where(pendingAmong(ids)))
  if (own.length === 0) return []
  const all = await asked('look up deliveries', async () =>
    db
      .select({ id: deliveries.id, bytes })
      .from(deliveries)
      .where(eq(deliveries.status, 'pending'))
      .orderBy(asc(deliveries.id))
      .limit(batchSize),
  )
  const mine = new Set(own.map(({ id }) => id))
  return splitBatches(
    own,
    all.filter(({ id }) => !mine.has(id)),
  )
}

interface Sized {
  id: number
  bytes: number
}

/** Splits the job's own deliveries into batches, and fills up the last one with others; pure. */
function splitBatches(own: readonly Sized[], others: readonly Sized[]): number[][] {
  const batches: number[][] = []
  let batch: number[] = []
  let size = 0
  const fits = ({ bytes }: Sized) => batch.length === 0 || (batch.length < batchSize && size + bytes <= batchBytes)
  const take = ({ id, bytes }: Sized) => {
    batch.push(id)
    size += bytes
  }
  for (const one of own) {
    if (!fits(one)) {
      batches.push(batch)
      batch = []
      size = 0
    }
    take(one)
  }
  for (const one of others) {
    if (!fits(one)) break
    take(one)
  }
  batches.push(batch)
  return batches
}

function pendingAmong(ids: readonly number[]) {
  return and(inArray(deliveries.id, [...ids]), eq(deliveries.status, 'pending'))
}

/**
 * Applies those of the deliveries that are pending, all at once; when one of them cannot be, halves until it is found alone and settles
 * it as `failed`. @throws StoreError `transient`
 */
export async function applyBatch(parts: ApplyParts, ids: readonly number[]): Promise<void> {
  try {
    const outcome = await inOneTransaction(parts.db, `apply ${ids.length} deliveries`, (tx) =>
      applyClaimed(parts, tx, ids),
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

/** Locks the deliveries that nobody else has in hand, merges them and settles them. */
async function applyClaimed(parts: ApplyParts, tx: Transaction, ids: readonly number[]): Promise<Outcome> {
  const now = new Date((parts.clock ?? Date.now)())
  const claimed: (Pending & { received_at: Date })[] = await tx
    .select({
      id: deliveries.id,
      event: deliveries.event,
      received_at: deliveries.received_at,
      observed_at: deliveries.observed_at,
      payload: deliveries.payload,
    })
    .from(deliveries)
    .where(pendingAmong(ids))
    .orderBy(asc(deliveries.id))
    .for('update', { skipLocked: true })
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

async function fail(parts: ApplyParts, ids: readonly number[], error: string): Promise<void> {
  const now = new Date((parts.clock ?? Date.now)())
  const [event] = await asked('set a delivery aside', async () => {
    await settle(parts.db, ids, 'failed', now, error)
    return parts.db
      .select({ event: deliveries.event })
      .from(deliveries)
      .where(inArray(deliveries.id, [...ids]))
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
