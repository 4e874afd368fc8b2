import { and, asc, inArray, isNotNull, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import { type Db, withStoreError } from '../database/connection.ts'
import { deleteOldRows } from '../database/retention.ts'
import { deliveries } from '../database/schema.ts'
import type { Queues } from '../queue/queues.ts'
import { type Log, throttledWarn } from '../runtime/log.ts'
import type { RecordMetric } from '../runtime/record-metric.ts'
import { type Clock, DAY, HOUR, MINUTE, pause, SECOND } from '../runtime/time.ts'

export interface SweeperParts {
  db: Db
  queues: Pick<Queues, 'addDeliveries' | 'depth'>
  /** How long the payload of a settled delivery is stored, in days. */
  payloadRetentionDays: number
  /** How long the row of a settled delivery is stored, in days. */
  deliveryRetentionDays: number
  log: Log
  clock?: Clock
  record?: RecordMetric
  /** Time between sweeps, in milliseconds. */
  everyMs?: number
}

export interface Sweeper {
  stop(deadlineMs: number): Promise<void>
}

/** Maximum number of deliveries in one job, and in one claim. */
const chunk = 200
const enqueueWithin = 2 * SECOND
/** A job counts as lost if it is not done after this long. In a backlog, jobs wait longer without being lost. */
const overdue = 15 * SECOND
const overdueInBacklog = 10 * MINUTE
/** How many old rows one statement changes. Small, so that each statement is fast and blocks nobody. */
const step = 500
/** The retention applies only to these; others are still to be applied or replayed. A literal for the partial index, as below. */
const settled = sql`${deliveries.status} in ('applied', 'ignored')`

/**
 * Runs every 10 s and enqueues deliveries whose job was lost or never created. Once an hour it deletes old payloads, and old rows of the
 * inbox and of the other log tables.
 */
export function startSweeper(parts: SweeperParts): Sweeper {
  const { log, clock = Date.now, everyMs = 10 * SECOND } = parts
  const stop = new AbortController()
  let droppedAt = Number.NEGATIVE_INFINITY
  const mayWarn = throttledWarn(MINUTE, clock)

  const round = async () => {
    await sweep(parts, stop.signal)
    if (clock() - droppedAt < HOUR) return
    droppedAt = clock()
    try {
      await dropPayloads(parts, stop.signal)
    } finally {
      await deleteSettled(parts, stop.signal)
      await deleteOldRows(parts.db, new Date(clock()), stop.signal)
    }
  }
  const running = (async () => {
    while (!stop.signal.aborted) {
      await round().catch((error) => {
        if (mayWarn()) log.warn({ err: error }, 'Sweeping the inbox or deleting old rows failed; trying again soon.')
      })
      await pause(everyMs, stop.signal)
    }
  })()
  return {
    async stop(deadlineMs) {
      stop.abort()
      await Promise.race([running, pause(deadlineMs)])
    },
  }
}

/**
 * Enqueues every pending delivery that has no job or whose job is overdue, except deferred ones. Returns how many.
 * @throws StoreError when Postgres or the queue is unavailable. The next round enqueues the rest.
 */
export async function sweep(parts: SweeperParts, signal?: AbortSignal): Promise<number> {
  const { db, queues, clock = Date.now, record = () => {} } = parts
  const { deliveries: depth } = await queues.depth()
  const overdueMs = depth.waiting > 0 ? overdueInBacklog : overdue
  let swept = 0
  for (;;) {
    if (signal?.aborted) return swept
    const now = new Date(clock())
    const lost = and(
      // A literal: Postgres would not use the partial index with a parameter.
      sql`${deliveries.status} = 'pending'`,
      isNull(deliveries.next_try_at),
      or(isNull(deliveries.enqueued_at), lt(deliveries.enqueued_at, new Date(now.getTime() - overdueMs))),
    )
    const ids = await withStoreError('claim overdue deliveries', () => claim(db, lost, now))
    if (ids.length > 0) {
      await enqueue(parts, ids)
      record('deliveries_requeued_total', ids.length)
    }
    swept += ids.length
    if (ids.length < chunk) return swept
  }
}

/**
 * Marks some of `lost` as enqueued and returns their ids. Replicas skip each other's rows. The mark is committed before the job is
 * added, because a worker skips rows that are still locked.
 */
async function claim(db: Db, lost: SQL | undefined, now: Date): Promise<number[]> {
  const { id } = deliveries
  const some = db
    .$with('some')
    .as(
      db.select({ id }).from(deliveries).where(lost).orderBy(asc(id)).limit(chunk).for('update', { skipLocked: true }),
    )
  const rows = await db
    .with(some)
    .update(deliveries)
    .set({ enqueued_at: now })
    .where(inArray(id, db.select({ id: some.id }).from(some)))
    .returning({ id })
  return rows.map((row) => row.id)
}

async function enqueue({ db, queues }: Pick<SweeperParts, 'db' | 'queues'>, ids: number[]): Promise<void> {
  try {
    await queues.addDeliveries({ ids }, enqueueWithin)
  } catch (error) {
    // Lets the next round enqueue them; with the mark it would wait until their job is overdue.
    const unmark = db.update(deliveries).set({ enqueued_at: null }).where(inArray(deliveries.id, ids))
    await unmark.catch(() => {})
    throw error
  }
}

/** Deletes the payloads of settled deliveries after their retention, in small batches. Failed deliveries keep theirs for replay. */
export async function dropPayloads(
  { db, payloadRetentionDays, clock = Date.now }: Pick<SweeperParts, 'db' | 'payloadRetentionDays' | 'clock'>,
  signal?: AbortSignal,
): Promise<void> {
  const cutoff = new Date(clock() - payloadRetentionDays * DAY)
  const { id, payload } = deliveries
  while (!signal?.aborted) {
    const old = oldest(db, cutoff, isNotNull(payload))
    const dropped = await withStoreError('delete old payloads', async () =>
      db.update(deliveries).set({ payload: null }).where(old).returning({ id }),
    )
    if (dropped.length < step) return
  }
}

/**
 * Deletes settled deliveries after their retention once their payloads are deleted, in small batches. Failed deliveries stay until they
 * are replayed. Nothing refers to the deleted rows, and their data is in the mirror. Returns how many.
 */
export async function deleteSettled(
  { db, deliveryRetentionDays, clock = Date.now }: Pick<SweeperParts, 'db' | 'deliveryRetentionDays' | 'clock'>,
  signal?: AbortSignal,
): Promise<number> {
  const cutoff = new Date(clock() - deliveryRetentionDays * DAY)
  const { id, payload } = deliveries
  let deleted = 0
  while (!signal?.aborted) {
    const old = oldest(db, cutoff, isNull(payload))
    const gone = await withStoreError('delete old deliveries', async () =>
      db.delete(deliveries).where(old).returning({ id }),
    )
    deleted += gone.length
    if (gone.length < step) break
  }
  return deleted
}

/** Locks the next deliveries to change. Skips rows that others have locked, as a replay may be making them pending. */
function oldest(db: Db, cutoff: Date, condition: SQL): SQL {
  const { id, received_at } = deliveries
  const some = db
    .select({ id })
    .from(deliveries)
    .where(and(lt(received_at, cutoff), settled, condition))
    .orderBy(asc(received_at))
    .limit(step)
    .for('update', { skipLocked: true })
  // With an array Postgres uses the primary key, whatever its statistics say about the table's size.
  return sql`${id} = any (array${some})`
}
