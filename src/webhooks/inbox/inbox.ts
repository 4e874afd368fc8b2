import { inArray } from 'drizzle-orm'
import { asStoreError, type Db } from '../../database/connection.ts'
import { deliveries } from '../../database/schema.ts'
import type { DeliveriesJob, Queues } from '../../queue/queues.ts'
import { StoreError } from '../../runtime/errors.ts'
import { type Log, throttledWarn } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import { type Clock, MINUTE, pause, SECOND } from '../../runtime/time.ts'
import { span, type Tracing } from '../../runtime/tracing.ts'
import { Breaker } from './circuit-breaker.ts'
import { type GroupLimit, takeGroup } from './group.ts'
import { insertDeliveries, type NewDelivery } from './insert.ts'
import { openToQueue, tracesInJob } from './to-queue.ts'

export type { NewDelivery } from './insert.ts'

/** Where a delivery is now: `new` or `known` in Postgres, or `queued` while Postgres is unavailable. */
export type Kept = 'new' | 'known' | 'queued'

export interface Inbox {
  /** Resolves once the delivery is safe. @throws StoreError when neither Postgres nor the queue took it. Never waits above 4 s. */
  keep(delivery: NewDelivery): Promise<Kept>
  /** Waits for deliveries that are being stored. */
  close(deadlineMs: number): Promise<void>
}

export interface InboxParts {
  db: Db
  queues: Pick<Queues, 'addDeliveries'>
  log: Log
  clock?: Clock
  record?: RecordMetric
  tracing?: Tracing | undefined
}

interface Waiting {
  delivery: NewDelivery
  /** The request's span. */
  trace: string | undefined
  resolve: (kept: Kept) => void
  reject: (error: unknown) => void
}

/** The requests that share one insert. */
const groupLimit: GroupLimit = { deliveries: 200, chars: 8 * 1024 * 1024 }
/** Two, so that one group is collected or enqueued while the insert of the other runs. */
const concurrency = 2

// A request may wait for the previous group, then for its insert, then for a job to fill, then for the queue: under 4 s in total.
const insertWithin = 1_300
const enqueueWithin = 1_000
/** How long Postgres is not tried after a failure. Then one request tries it, while all others go to the queue. */
const postgresRest = SECOND
const queueRest = 3 * SECOND

/**
 * Opens the inbox: `sync.deliveries`, written by group commit. Requests that arrive while an insert runs share the next insert and
 * one queue job. A lone request does not wait for others.
 */
export function openInbox({ db, queues, log, clock = Date.now, record = () => {}, tracing }: InboxParts): Inbox {
  const postgres = new Breaker('Postgres', postgresRest, clock)
  const queue = new Breaker('The queue', queueRest, clock)
  const waiting: Waiting[] = []
  let inserting = 0
  let atWork = 0
  let scheduled = false
  const addJob = (job: DeliveriesJob) => queue.attempt(() => queues.addDeliveries(job, enqueueWithin), enqueueWithin)
  const toQueue = openToQueue(addJob)
  const mayWarn = throttledWarn(MINUTE, clock)
  const mayLogError = throttledWarn(MINUTE, clock)

  const warn = (error: unknown, message: string) => {
    if (mayWarn()) log.warn({ err: error }, message)
  }

  const schedule = () => {
    if (scheduled || waiting.length === 0 || inserting >= concurrency) return
    scheduled = true
    // Groups the requests of one turn of the event loop.
    setImmediate(() => {
      scheduled = false
      const group = takeGroup(waiting, groupLimit, sizeOf)
      if (group.length > 0) {
        const from = group.flatMap(({ trace }) => trace ?? []).slice(0, tracesInJob)
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
      await keepInQueue(group, error)
      atWork -= 1
      return
    }
    inserting -= 1
    schedule()
    const fresh = [...ids.values()]
    const enqueued = await enqueue(fresh, from)
    if (ids.size > 0) record('deliveries_accepted_total', ids.size, { via: 'postgres' })
    for (const { delivery, resolve } of group) resolve(ids.delete(delivery.key) ? 'new' : 'known')
    if (!enqueued) await leaveToSweeper(fresh)
    atWork -= 1
  }

  /** Inserts new deliveries and returns their ids by key. */
  const insert = async (group: readonly NewDelivery[]): Promise<Map<string, number>> => {
    const enqueuedAt = queue.broken ? null : new Date(clock()) // null: the sweeper enqueues it without waiting
    try {
      return await postgres.attempt(() => insertDeliveries(db, group, enqueuedAt), insertWithin)
    } catch (error) {
      throw asStoreError(error, `store ${group.length} deliveries in the inbox`)
    }
  }

  /** Returns whether the queue accepted the ids. A failure loses nothing: the rows are stored, and the sweeper enqueues them. */
  const enqueue = async (ids: number[], from: readonly string[]): Promise<boolean> => {
    if (ids.length === 0) return true
    try {
      await addJob({ ids, ...(from.length > 0 ? { trace: [...from] } : {}) })
      return true
    } catch (error) {
      warn(error, 'Deliveries are stored in Postgres but could not be enqueued; the sweeper enqueues them later.')
      return false
    }
  }

  /** Marks deliveries as not enqueued. Otherwise the sweeper would wait until their job is overdue. */
  const leaveToSweeper = async (ids: readonly number[]) => {
    const mark = () =>
      db
        .update(deliveries)
        .set({ enqueued_at: null })
        .where(inArray(deliveries.id, [...ids]))
    await postgres.attempt(async () => mark(), insertWithin).catch(() => {})
  }

  const keepInQueue = async (group: readonly Waiting[], cause: unknown) => {
    const keepOne = async ({ delivery, trace, resolve, reject }: Waiting) => {
      try {
        await toQueue.divert(delivery, trace)
      } catch (error) {
        const message = 'Deliveries refused: neither Postgres nor the queue could store them.'
        if (mayLogError()) log.error({ err: cause, queue: error }, message)
        return reject(new StoreError('transient', message, { cause }))
      }
      warn(cause, 'Postgres did not accept deliveries; the queue stores them until it does.')
      record('deliveries_accepted_total', 1, { via: 'queue' })
      resolve('queued')
    }
    await Promise.all(group.map(keepOne))
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

function sizeOf({ delivery }: Waiting): GroupLimit {
  return { deliveries: 1, chars: delivery.payload.length }
}
