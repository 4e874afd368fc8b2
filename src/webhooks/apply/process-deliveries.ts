import { isOutage, isTooMuch, type Transaction, withStoreError } from '../../database/connection.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import type { DeliveriesJob } from '../../queue/queues.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { MINUTE, SECOND } from '../../runtime/time.ts'
import { span } from '../../runtime/tracing.ts'
import { coalesceRuns } from '../coalesce.ts'
import { openFromQueue } from '../inbox/from-queue.ts'
import { isPoison } from '../poison.ts'
import { type Batch, batchSize, claimAmong, claimBatch, takeDue } from './claim.ts'
import { deferDelivery } from './defer.ts'
import { type ApplyParts, applyClaimed, fail, recordOutcome, type Timeouts } from './settle.ts'

export type { ApplyParts } from './settle.ts'

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
