import { and, asc, inArray, isNotNull, isNull, lt, or, type SQL, sql } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { deleteOldRows } from '../database/retention.ts'
import { deliveries } from '../database/schema.ts'
import type { Log } from '../log.ts'
import type { OnOccurrence } from '../occurrence.ts'
import type { Queues } from '../queue/queues.ts'
import { type Clock, DAY, HOUR, MINUTE, pause, SECOND } from '../time.ts'
import { asked } from './query.ts'

export interface SweeperParts {
  db: Db
  queues: Pick<Queues, 'addDeliveries' | 'depth'>
  /** How long the payload of a settled delivery is kept, in days. */
  payloadRetentionDays: number
  /** How long the row of a settled delivery is kept, in days. */
  deliveryRetentionDays: number
  log: Log
  clock?: Clock
  on?: OnOccurrence
  /** Time between sweeps, in milliseconds. */
  everyMs?: number
}

export interface Sweeper {
  stop(deadlineMs: number): Promise<void>
}

/** How many deliveries one job carries, and one claim. */
const chunk = 200
const enqueueWithin = 2 * SECOND
/** A job not done after this long is taken for lost; in a backlog, jobs wait longer without being lost. */
const overdue = 15 * SECOND
const overdueInBacklog = 10 * MINUTE
/** How many old rows one statement takes: each is over soon, and holds up nobody. */
const step = 500
/** What the retentions are about: the others are still to be applied, or to be replayed. Written out for the partial index, as below. */
const settled = sql`${deliveries.status} in ('applied', 'ignored')`

/**
 * Runs every 10 s and enqueues deliveries whose job was lost or never created. Hourly, it drops old payloads, and deletes older rows of
 * the inbox and of the other log tables.
 */
export function startSweeper(parts: SweeperParts): Sweeper {
  const { log, clock = Date.now, everyMs = 10 * SECOND } = parts
  const stop = new AbortController()
  let droppedAt = Number.NEGATIVE_INFINITY
  let warnedAt = Number.NEGATIVE_INFINITY

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
        if (clock() - warnedAt < MINUTE) return
        warnedAt = clock()
        log.warn({ err: error }, 'Sweeping the inbox or deleting old rows failed; trying again soon.')
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
 * Enqueues every pending delivery that has no job or whose job is overdue, except deferred ones; returns how many.
 * @throws StoreError when Postgres or the queue is away; what was not enqueued is left to the next round.
 */
export async function sweep(parts: SweeperParts, signal?: AbortSignal): Promise<number> {
  const { db, queues, clock = Date.now, on = () => {} } = parts
  const { deliveries: depth } = await queues.depth()
  const patience = depth.waiting > 0 ? overdueInBacklog : overdue
  let swept = 0
  for (;;) {
    if (signal?.aborted) return swept
    const now = new Date(clock())
    const lost = and(
      // Written out: with a parameter in its place the partial index would not be used.
      sql`${deliveries.status} = 'pending'`,
      isNull(deliveries.next_try_at),
      or(isNull(deliveries.enqueued_at), lt(deliveries.enqueued_at, new Date(now.getTime() - patience))),
    )
    const ids = await asked('sweep up deliveries', () => claim(db, lost, now))
    if (ids.length > 0) {
      await enqueue(parts, ids)
      on('swept', ids.length)
    }
    swept += ids.length
    if (ids.length < chunk) return swept
  }
}

/**
 * Marks some of `lost` as enqueued and returns their ids; replicas skip each other's. Committed before they are enqueued: a worker that
 * found the rows still locked would pass them by.
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
    // For the next round; without this mark it would first wait for their job to be overdue.
    const unmark = db.update(deliveries).set({ enqueued_at: null }).where(inArray(deliveries.id, ids))
    await unmark.catch(() => {})
    throw error
  }
}

/** Drops the payloads of settled deliveries older than the retention, in small batches; failed ones keep theirs, for replay. */
export async function dropPayloads(
  { db, payloadRetentionDays, clock = Date.now }: Pick<SweeperParts, 'db' | 'payloadRetentionDays' | 'clock'>,
  signal?: AbortSignal,
): Promise<void> {
  const cutoff = new Date(clock() - payloadRetentionDays * DAY)
  const { id, payload } = deliveries
  while (!signal?.aborted) {
    const old = oldest(db, cutoff, isNotNull(payload))
    const dropped = await asked('drop old payloads', async () =>
      db.update(deliveries).set({ payload: null }).where(old).returning({ id }),
    )
    if (dropped.length < step) return
  }
}

/**
 * Deletes settled deliveries older than the retention whose payloads are gone, in small batches; what failed stays until it is replayed.
 * Nothing refers to them: what they told stands in the mirror. Returns how many.
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
    const gone = await asked('delete old deliveries', async () => db.delete(deliveries).where(old).returning({ id }))
    deleted += gone.length
    if (gone.length < step) break
  }
  return deleted
}

/** Those of the next step, locked; what others hold is passed by: a replay may be making it pending. */
function oldest(db: Db, cutoff: Date, condition: SQL): SQL {
  const { id, received_at } = deliveries
  const some = db
    .select({ id })
    .from(deliveries)
    .where(and(lt(received_at, cutoff), settled, condition))
    .orderBy(asc(received_at))
    .limit(step)
    .for('update', { skipLocked: true })
  // As an array they are looked up by their key, whatever Postgres knows of the table's size.
  return sql`${id} = any (array${some})`
}
