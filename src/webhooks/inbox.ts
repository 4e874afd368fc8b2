import { inArray, sql } from 'drizzle-orm'
import { asStoreError, type Db } from '../database/connection.ts'
import { deliveries } from '../database/schema.ts'
import { StoreError } from '../errors.ts'
import { type Log, sparingly } from '../log.ts'
import type { OnOccurrence } from '../occurrence.ts'
import type { DeliveriesJob, KeptDelivery, Queues } from '../queue/queues.ts'
import { type Clock, MINUTE, pause, SECOND } from '../time.ts'
import { span, type Tracing } from '../tracing.ts'
import { Breaker } from './breaker.ts'

/** One authentic webhook request, ready to be kept: `payload` is JSON text without secrets, `key` the same for the same request. */
export type NewDelivery = Pick<
  typeof deliveries.$inferSelect,
  'key' | 'event' | 'request_id' | 'received_at' | 'observed_at'
> & { payload: string }

/** Where a delivery is now: `new` or `known` in Postgres, or `queued` while Postgres is away. */
export type Kept = 'new' | 'known' | 'queued'

export interface Inbox {
  /** Resolves once the delivery is safe. @throws StoreError when neither Postgres nor the queue took it. Never waits above 4 s. */
  keep(delivery: NewDelivery): Promise<Kept>
  /** Waits for what is being kept. */
  close(deadlineMs: number): Promise<void>
}

export interface InboxParts {
  db: Db
  queues: Pick<Queues, 'addDeliveries'>
  log: Log
  clock?: Clock
  on?: OnOccurrence
  tracing?: Tracing | undefined
}

interface Waiting {
  delivery: NewDelivery
  /** The request's span. */
  trace: string | undefined
  resolve: (kept: Kept) => void
  reject: (error: unknown) => void
}

/** How many requests share one insert at most: by number, and by characters of payload. */
const groupSize = 200
const groupChars = 8 * 1024 * 1024
/** Of a large group only so many requests are traced on through the queue: a job must stay small. */
const groupTraces = 20
/** Two, so that one group gathers, inserts or is enqueued while the other's insert is on its way. */
const lanes = 2

// A request may wait for the group before its own, then for its insert, then for the queue: in all it must stay under 4 s.
const insertWithin = 1_200
const enqueueWithin = 1_000
const rest = 3 * SECOND

/**
 * Opens the inbox: `sync.deliveries`, written by group commit. Requests that come while an insert is on its way share the next
 * one, and one queue job; a lone request waits for nobody.
 */
export function openInbox({ db, queues, log, clock = Date.now, on = () => {}, tracing }: InboxParts): Inbox {
  const postgres = new Breaker('Postgres', rest, clock)
  const queue = new Breaker('The queue', rest, clock)
  const waiting: Waiting[] = []
  let inserting = 0
  let atWork = 0
  let scheduled = false
  const mayWarn = sparingly(MINUTE, clock)
  const mayComplain = sparingly(MINUTE, clock)

  const warn = (error: unknown, message: string) => {
    if (mayWarn()) log.warn({ err: error }, message)
  }

  const schedule = () => {
    if (scheduled || waiting.length === 0 || inserting >= lanes) return
    scheduled = true
    // The requests of one turn of the event loop belong together.
    setImmediate(() => {
      scheduled = false
      const group = takeGroup(waiting)
      if (group.length > 0) {
        const from = group.flatMap(({ trace }) => trace ?? []).slice(0, groupTraces)
        const work = () => keepGroup(group, from)
        void span(tracing, 'inbox keep', { deliveries: group.length }, work, { kind: 'producer', from })
      }
      schedule()
    })
  }

  const keepGroup = async (group: readonly Waiting[], from: readonly string[]) => {
    atWork += 1
    inserting += 1
    let ids: Map<string, number>
    try {
      ids = await insert(group.map((one) => one.delivery))
    } catch (error) {
      inserting -= 1
      schedule()
      await keepInQueue(group, from, error)
      atWork -= 1
      return
    }
    inserting -= 1
    schedule()
    const fresh = [...ids.values()]
    const enqueued = await enqueue(fresh, from)
    if (ids.size > 0) on('kept', ids.size, { via: 'postgres' })
    for (const { delivery, resolve } of group) resolve(ids.delete(delivery.key) ? 'new' : 'known')
    if (!enqueued) await leaveToSweeper(fresh)
    atWork -= 1
  }

  /** Inserts what is new and returns its ids by key. */
  const insert = async (group: readonly NewDelivery[]): Promise<Map<string, number>> => {
    const unique = [...new Map(group.map((delivery) => [delivery.key, delivery])).values()]
    const enqueued_at = queue.broken ? null : new Date(clock()) // null: the sweeper need not wait for the job to be overdue
    try {
      const { rows } = await postgres.attempt(
        async () =>
          db.execute<{ id: string; key: string }>(sql`
            insert into ${deliveries} (key, event, request_id, received_at, observed_at, payload, enqueued_at)
            values ${sql.join(
              unique.map((delivery) => asValues(delivery, enqueued_at)),
              comma,
            )}
            on conflict (key) do nothing
            returning id, key`),
        insertWithin,
      )
      return new Map(rows.map(({ id, key }) => [key, Number(id)]))
    } catch (error) {
      throw asStoreError(error, `keep ${unique.length} deliveries in the inbox`)
    }
  }

  /** Whether the queue took them. A failure is no harm: the rows are there, and the sweeper enqueues them. */
  const enqueue = async (ids: number[], from: readonly string[]): Promise<boolean> => {
    if (ids.length === 0) return true
    try {
      await queue.attempt(() => queues.addDeliveries({ ids, ...traced(from) }, enqueueWithin), enqueueWithin)
      return true
    } catch (error) {
      warn(error, 'Deliveries are kept in Postgres but could not be enqueued; the sweeper does that later.')
      return false
    }
  }

  /** Without this the sweeper would first wait for their job to be overdue. */
  const leaveToSweeper = async (ids: readonly number[]) => {
    const mark = () =>
      db
        .update(deliveries)
        .set({ enqueued_at: null })
        .where(inArray(deliveries.id, [...ids]))
    await postgres.attempt(async () => mark(), insertWithin).catch(() => {})
  }

  const keepInQueue = async (group: readonly Waiting[], from: readonly string[], cause: unknown) => {
    const kept = group.map((one) => asKept(one.delivery))
    try {
      await queue.attempt(() => queues.addDeliveries({ kept, ...traced(from) }, enqueueWithin), enqueueWithin)
    } catch (error) {
      const message = 'Deliveries could be kept neither in Postgres nor in the queue, and were refused.'
      if (mayComplain()) log.error({ err: cause, queue: error }, message)
      for (const { reject } of group) reject(new StoreError('transient', message, { cause }))
      return
    }
    warn(cause, 'Postgres did not take deliveries; the queue keeps them until it does.')
    on('kept', group.length, { via: 'queue' })
    for (const { resolve } of group) resolve('queued')
  }

  return {
    keep(delivery) {
      return new Promise((resolve, reject) => {
        waiting.push({ delivery, trace: tracing?.current(), resolve, reject })
        schedule()
      })
    },
    async close(deadlineMs) {
      const until = Date.now() + deadlineMs
      while ((atWork > 0 || waiting.length > 0) && Date.now() < until) await pause(10)
    },
  }
}

/** What a job carries so that its trace goes on where it is worked on. */
function traced(from: readonly string[]): Pick<DeliveriesJob, 'trace'> {
  return from.length > 0 ? { trace: [...from] } : {}
}

function takeGroup(waiting: Waiting[]): Waiting[] {
  let chars = 0
  const end = waiting.findIndex(({ delivery }, index) => {
    chars += delivery.payload.length
    return index >= groupSize || (index > 0 && chars > groupChars)
  })
  return waiting.splice(0, end === -1 ? waiting.length : end)
}

const comma = sql`, `

/** Written out: Drizzle's own insert names every column of the table for every row, which costs more than Postgres takes for it. */
function asValues(
  { key, event, request_id, received_at, observed_at, payload }: NewDelivery,
  enqueued_at: Date | null,
) {
  return sql`(${key}, ${event}, ${request_id}, ${received_at}, ${observed_at}, ${payload}, ${enqueued_at})`
}

function asKept(delivery: NewDelivery): KeptDelivery {
  return {
    key: delivery.key,
    event: delivery.event,
    request_id: delivery.request_id,
    received_at: delivery.received_at.toISOString(),
    observed_at: delivery.observed_at.toISOString(),
    payload: delivery.payload,
  }
}
