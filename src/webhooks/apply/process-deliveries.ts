import { sql } from 'drizzle-orm'
import { type Db, isOutage, isTooMuch, type Transaction } from '../../database/connection.ts'
import { clearFailure } from '../../database/failures.ts'
import { type DeliveryStatus, deliveries } from '../../database/schema.ts'
import { inOneTransaction, type MergeReport, mergeObservations, recordRows, rowsOfReport } from '../../mirror/apply.ts'
import { combine, type Observations } from '../../mirror/observation.ts'
import type { DeliveriesJob } from '../../queue/queues.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { type Clock, MINUTE, SECOND } from '../../runtime/time.ts'
import { span, type Tracing } from '../../runtime/tracing.ts'
import { coalesceRuns } from '../coalesce.ts'
import { openFromQueue } from '../inbox/from-queue.ts'
import { isPoison } from '../poison.ts'
import { withStoreError } from '../query.ts'
import { type Batch, batchSize, type Claimed, claimAmong, claimBatch, pendingAmong, takeDue } from './claim.ts'
import { deferDelivery, deferredUnit } from './defer.ts'
import { readDelivery } from './read.ts'

export interface ApplyParts {
  db: Db
  scope: MirrorFilter
  storeEnv: boolean
  log: Log
  clock?: Clock
  record?: RecordMetric
  tracing?: Tracing | undefined
  /** For tests. */
  timeouts?: Timeouts
}

/** Time limit of each statement, in milliseconds. */
interface Timeouts {
  /** For a batch. A thousand deliveries take less than a second; a slower batch is split. */
  readonly batch: number
  /** For a single delivery. Also how long the parts of one batch may use the `batch` and `single` limits. */
  readonly single: number
  /** For batches and single deliveries after that, because the deliveries behind the batch wait. */
  readonly hurried: number
}

/** A job ends after this many batches, so that the queue sees that its worker is alive. The jobs behind it continue. */
const batchesPerJob = 20
const usualTimeouts: Timeouts = { batch: 10 * SECOND, single: MINUTE, hurried: SECOND }
/** A batch that failed is retried in this many parts. */
const partsOfBatch = 8
/** Once a batch has taken too long, a part of at most this size is not split further: all of it is deferred. */
const smallestHurried = 16
/** If Postgres becomes unavailable this many times in a row at the same batch, the batch may be the cause. */
const outagesInARow = 5

/**
 * The delivery worker's handler. It merges pending deliveries into the mirror, oldest first. It settles each delivery as `applied`,
 * `ignored` or `failed`, in the transaction that writes its rows. A job only says that there is work, and applies everything that is
 * pending. So a job may run again or be lost, and jobs that arrive during a run share the next one.
 * A delivery that can never be applied does not throw: it is settled as `failed`, with its error. A delivery that cannot be applied
 * now, although Postgres is available, is deferred. In both cases the others continue.
 * @throws StoreError `transient` when the database is unavailable; nothing is lost then.
 */
export function deliveryHandler(parts: ApplyParts): (job: DeliveriesJob, signal?: AbortSignal) => Promise<void> {
  const state: BatchState = { batchLimit: batchSize, outages: { first: undefined, times: 0 }, culprit: undefined }
  const runs = coalesceRuns((signal: AbortSignal | undefined) => applyPending(parts, state, signal))
  const fromQueue = openFromQueue(parts)
  return (job, signal) => {
    const deliveries = 'kept' in job ? job.kept.length : job.ids.length
    const work = async () => {
      if ('kept' in job) {
        await fromQueue.move(job.kept)
        // A run that has not begun will apply what was just moved, and another job waits for it. So this job can end.
        if (runs.isNextAwaited()) return
      }
      await runs.take(signal)
    }
    return span(parts.tracing, 'deliveries apply', { deliveries }, work, { kind: 'consumer', from: job.trace })
  }
}

interface BatchState {
  /** Maximum number of deliveries in the next batch. */
  batchLimit: number
  /** The first delivery of the last batch at which Postgres became unavailable, and how many times in a row. */
  outages: { first: number | undefined; times: number }
  /** A delivery at which Postgres becomes unavailable every time. */
  culprit: { id: number; error: unknown } | undefined
}

/** Applies one batch. While more is pending, runs two lanes: one reads payloads while Postgres writes the rows of the other. */
async function applyPending(parts: ApplyParts, state: BatchState, signal: AbortSignal | undefined): Promise<void> {
  const more = await applyNextBatch(parts, state)
  if (!more) return
  const lane = async () => {
    for (let batch = 1; batch < batchesPerJob && !signal?.aborted; batch++) {
      if (!(await applyNextBatch(parts, state))) return
    }
  }
  const ends = await Promise.allSettled([lane(), lane()])
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** Applies the oldest deliveries that no other worker has locked. Returns true if there may be more. */
async function applyNextBatch(parts: ApplyParts, state: BatchState): Promise<boolean> {
  await deferCulprit(parts, state)
  let batch: Batch = { claimed: [], more: false }
  try {
    const work = async (tx: Transaction) => {
      batch = await claimBatch(tx, state.batchLimit)
      return batch.claimed.length > 0 ? applyClaimed(parts, tx, batch.claimed) : undefined
    }
    const outcome = await inOneTransaction(parts.db, 'apply deliveries', work, timeoutsOf(parts).batch)
    if (outcome) {
      recordOutcome(parts, outcome)
      state.batchLimit = Math.min(batchSize, state.batchLimit * 2)
      state.outages = { first: undefined, times: 0 }
    }
  } catch (error) {
    const ids = batch.claimed.map(({ id }) => id)
    if (ids.length === 0) throw error
    if (isOutage(error)) suspect(state, ids, error)
    if (isGeneral(error)) throw error
    // A single delivery may take longer than a batch.
    const until = performance.now() + timeoutsOf(parts).single
    const culprits = ids.length === 1 ? await applyBatch(parts, ids) : await applyParts(parts, ids, error, until)
    // Each delivery succeeds, but together they took too long.
    if (culprits === 0 && isTooMuch(error)) state.batchLimit = Math.ceil(ids.length / partsOfBatch)
  }
  return batch.more
}

/**
 * Records that Postgres became unavailable at a batch. If that repeats at the same batch, the next batches are smaller, until a single
 * delivery is left. That delivery is deferred when Postgres is available again.
 */
function suspect(state: BatchState, ids: readonly number[], error: unknown): void {
  const [first] = ids
  if (first === undefined) return
  state.outages = { first, times: state.outages.first === first ? state.outages.times + 1 : 1 }
  if (state.outages.times < outagesInARow) return
  if (ids.length === 1) state.culprit = { id: first, error }
  else state.batchLimit = Math.ceil(ids.length / partsOfBatch)
}

async function deferCulprit(parts: ApplyParts, state: BatchState): Promise<void> {
  const { culprit } = state
  if (!culprit) return
  // So that the other lane does not defer it too.
  state.culprit = undefined
  try {
    await deferDelivery(parts, culprit.id, culprit.error)
  } catch (error) {
    state.culprit = culprit
    throw error
  }
}

/** Whether an error is not caused by the deliveries: Postgres is unavailable, or its schema or permissions are wrong. */
function isGeneral(error: unknown): boolean {
  return isOutage(error) || (error instanceof StoreError && error.kind === 'permanent' && !isPoison(error))
}

function timeoutsOf({ timeouts = usualTimeouts }: ApplyParts): Timeouts {
  return timeouts
}

/**
 * Applies the pending deliveries among these, all at once. If that fails, in parts, down to single deliveries: those at fault are settled
 * as `failed` or deferred. After `until` (on the monotonic clock) it uses the `hurried` limit and defers small parts without splitting.
 * Returns how many were settled or deferred. @throws StoreError when the database is unavailable.
 */
export async function applyBatch(
  parts: ApplyParts,
  ids: readonly number[],
  until = performance.now() + timeoutsOf(parts).single,
): Promise<number> {
  try {
    const work = async (tx: Transaction) => applyClaimed(parts, tx, await claimAmong(tx, ids))
    const { batch, single, hurried } = timeoutsOf(parts)
    const timeoutMs = performance.now() > until ? hurried : ids.length === 1 ? single : batch
    recordOutcome(parts, await inOneTransaction(parts.db, `apply ${ids.length} deliveries`, work, timeoutMs))
    return 0
  } catch (error) {
    if (isGeneral(error)) throw error
    return applyParts(parts, ids, error, until)
  }
}

/** Applies deliveries in parts, after the whole batch failed with `error`. */
async function applyParts(parts: ApplyParts, ids: readonly number[], error: unknown, until: number): Promise<number> {
  const isLate = performance.now() > until && ids.length <= smallestHurried && !isPoison(error)
  if (ids.length === 1 || isLate) {
    for (const id of ids) await takeOut(parts, id, error)
    return ids.length
  }
  let culprits = 0
  const size = Math.ceil(ids.length / partsOfBatch)
  for (let start = 0; start < ids.length; start += size) {
    culprits += await applyBatch(parts, ids.slice(start, start + size), until)
  }
  return culprits
}

/** Settles a delivery as `failed` or defers it, so that the deliveries behind it continue. */
async function takeOut(parts: ApplyParts, id: number, error: unknown): Promise<void> {
  if (isPoison(error)) await fail(parts, id, messageOf(error))
  else await deferDelivery(parts, id, error)
}

/**
 * Retries the deferred delivery that has been due the longest, alone; false when none is due.
 * @throws StoreError when the database is unavailable.
 */
export async function applyDue(parts: ApplyParts): Promise<boolean> {
  const now = new Date((parts.clock ?? Date.now)())
  const id = await withStoreError('claim a deferred delivery', () => takeDue(parts.db, now))
  if (id !== undefined) await applyBatch(parts, [id])
  return id !== undefined
}

/** The results of the deliveries of one transaction. */
interface DeliveryResult {
  readonly settled: readonly { status: DeliveryStatus; event: string; receivedAt: Date }[]
  readonly report: MergeReport
}

function recordOutcome({ record, clock = Date.now }: ApplyParts, { settled, report }: DeliveryResult): void {
  if (!record) return
  for (const { status, event, receivedAt } of settled) {
    record('deliveries_processed_total', 1, { status, event })
    // Another replica may have received it, with a clock ahead of ours.
    if (status === 'applied') record('delivery_apply_seconds', Math.max(0, clock() - receivedAt.getTime()) / SECOND)
  }
  recordRows(record, 'webhook', report)
}

/** Merges deliveries that we have locked, and settles them. */
async function applyClaimed(parts: ApplyParts, tx: Transaction, claimed: readonly Claimed[]): Promise<DeliveryResult> {
  const now = new Date((parts.clock ?? Date.now)())
  const applied: number[] = []
  const ignored: number[] = []
  const observed: Observations[] = []
  const settled: DeliveryResult['settled'][number][] = []
  const record = (row: Claimed, status: DeliveryStatus) =>
    settled.push({ status, event: row.event, receivedAt: row.received_at })
  for (const row of claimed) {
    const reading = readDelivery(row, parts)
    if ('observed' in reading) {
      applied.push(row.id)
      observed.push(reading.observed)
      record(row, 'applied')
    } else if ('ignored' in reading) {
      ignored.push(row.id)
      record(row, 'ignored')
    } else {
      record(row, 'failed')
      await settle(tx, [row.id], 'failed', now, reading.error)
      parts.log.warn(
        { delivery: row.id, error: reading.error },
        'A delivery cannot be applied and is recorded as failed.',
      )
    }
  }
  const report = await span(parts.tracing, 'merge', { via: 'webhook' }, async (traced) => {
    const merged = await mergeObservations(tx, combine(observed), now)
    traced.set(rowsOfReport(merged))
    return merged
  })
  await settle(tx, applied, 'applied', now)
  await settle(tx, ignored, 'ignored', now)
  for (const row of claimed) if (row.next_try_at) await clearFailure(tx, deferredUnit(row))
  return { settled, report }
}

async function fail(parts: ApplyParts, id: number, error: string): Promise<void> {
  const now = new Date((parts.clock ?? Date.now)())
  const [row] = await withStoreError('record a failed delivery', () =>
    parts.db.transaction(async (tx) => {
      const claimed = await claimAmong(tx, [id])
      await settle(tx, [id], 'failed', now, error)
      for (const row of claimed) if (row.next_try_at) await clearFailure(tx, deferredUnit(row))
      return claimed
    }),
  )
  if (!row) return
  parts.log.warn({ delivery: id, error }, 'A delivery cannot be applied and is recorded as failed.')
  parts.record?.('deliveries_processed_total', 1, { status: 'failed', event: row.event })
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
      // A delivery that was applied before and fails in a replay keeps its applied_at.
      ...(status === 'applied' && { applied_at: now }),
      failed_at: status === 'failed' ? now : null,
      next_try_at: null,
      attempts: sql`${deliveries.attempts} + 1`,
    })
    .where(pendingAmong(ids))
}
