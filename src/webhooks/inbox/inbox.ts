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
import { openToQueue, type ToQueue, tracesInJob } from './to-queue.ts'

export type { NewDelivery } from './insert.ts'

/** Where a delivery is now: `new` or `known` in Postgres, or `queued` while Postgres is unavailable. */
export type Kept = 'new' | 'known' | 'queued'

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
 * The inbox: `sync.deliveries`, written by group commit. Requests that arrive while an insert runs share the next insert and one queue
 * job. A lone request does not wait for others.
 */
export class Inbox {
  readonly #parts: InboxParts
  readonly #clock: Clock
  readonly #record: RecordMetric
  readonly #postgres: Breaker
  readonly #queue: Breaker
  readonly #toQueue: ToQueue
  readonly #mayWarn: () => boolean
  readonly #mayLogError: () => boolean
  readonly #waiting: Waiting[] = []
  #scheduled = false
  /** Groups that are being inserted. */
  #inserting = 0
  /** Groups that are being inserted or enqueued. */
  #storing = 0

  constructor(parts: InboxParts) {
    const { clock = Date.now, record = () => {} } = parts
    this.#parts = parts
    this.#clock = clock
    this.#record = record
    this.#postgres = new Breaker('Postgres', postgresRest, clock)
    this.#queue = new Breaker('The queue', queueRest, clock)
    this.#toQueue = openToQueue((job) => this.#addJob(job))
    this.#mayWarn = throttledWarn(MINUTE, clock)
    this.#mayLogError = throttledWarn(MINUTE, clock)
  }

  /** Resolves once the delivery is safe. @throws StoreError when neither Postgres nor the queue took it. Takes at most 4 s. */
  keep(delivery: NewDelivery): Promise<Kept> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ delivery, trace: this.#parts.tracing?.current(), resolve, reject })
      this.#schedule()
    })
  }

  /** Waits for deliveries that are being stored. */
  async close(deadlineMs: number): Promise<void> {
    const until = Date.now() + deadlineMs
    while ((this.#storing > 0 || this.#waiting.length > 0) && Date.now() < until) await pause(10)
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0 || this.#inserting >= concurrency) return
    this.#scheduled = true
    // Groups the requests of one turn of the event loop.
    setImmediate(() => {
      this.#scheduled = false
      const group = takeGroup(this.#waiting, groupLimit, sizeOf)
      if (group.length > 0) {
        const from = group.flatMap(({ trace }) => trace ?? []).slice(0, tracesInJob)
        const work = () => this.#keepGroup(group, from)
        void span(this.#parts.tracing, 'inbox keep', { deliveries: group.length }, work, { kind: 'producer', from })
      }
      this.#schedule()
    })
  }

  async #keepGroup(group: readonly Waiting[], from: readonly string[]): Promise<void> {
    this.#storing += 1
    this.#inserting += 1
    const ids = await this.#insert(group.map(({ delivery }) => delivery))
    this.#inserting -= 1
    this.#schedule()
    if (ids instanceof StoreError) await Promise.all(group.map((one) => this.#keepInQueue(one, ids)))
    else await this.#enqueueGroup(group, ids, from)
    this.#storing -= 1
  }

  /** Inserts deliveries. Returns the ids of the new ones by key, or why Postgres did not accept them. */
  async #insert(group: readonly NewDelivery[]): Promise<Map<string, number> | StoreError> {
    const enqueuedAt = this.#queue.broken ? null : new Date(this.#clock()) // null: the sweeper enqueues it without waiting
    try {
      return await this.#postgres.attempt(() => insertDeliveries(this.#parts.db, group, enqueuedAt), insertWithin)
    } catch (error) {
      return asStoreError(error, `store ${group.length} deliveries in the inbox`)
    }
  }

  /** Enqueues the new deliveries. A failure loses nothing: the rows are stored, and the sweeper enqueues them. */
  async #enqueueGroup(group: readonly Waiting[], idOf: Map<string, number>, from: readonly string[]): Promise<void> {
    const ids = [...idOf.values()]
    const enqueued = ids.length === 0 || (await this.#enqueue(ids, from))
    if (ids.length > 0) this.#record('deliveries_accepted_total', ids.length, { via: 'postgres' })
    for (const { delivery, resolve } of group) resolve(idOf.delete(delivery.key) ? 'new' : 'known')
    if (!enqueued) await this.#leaveToSweeper(ids)
  }

  /** Whether the queue accepted the ids. */
  async #enqueue(ids: number[], from: readonly string[]): Promise<boolean> {
    try {
      await this.#addJob({ ids, ...(from.length > 0 ? { trace: [...from] } : {}) })
      return true
    } catch (error) {
      this.#warn(error, 'Deliveries are stored in Postgres but could not be enqueued; the sweeper enqueues them later.')
      return false
    }
  }

  /** Marks deliveries as not enqueued. Otherwise the sweeper would wait until their job is overdue. */
  async #leaveToSweeper(ids: readonly number[]): Promise<void> {
    const { db } = this.#parts
    const mark = async () =>
      db
        .update(deliveries)
        .set({ enqueued_at: null })
        .where(inArray(deliveries.id, [...ids]))
    await this.#postgres.attempt(mark, insertWithin).catch(() => {})
  }

  /** Stores a delivery in the queue, because Postgres did not accept it. */
  async #keepInQueue({ delivery, trace, resolve, reject }: Waiting, cause: StoreError): Promise<void> {
    try {
      await this.#toQueue.divert(delivery, trace)
    } catch (error) {
      const message = 'Deliveries refused: neither Postgres nor the queue could store them.'
      if (this.#mayLogError()) this.#parts.log.error({ err: cause, queue: error }, message)
      return reject(new StoreError('transient', message, { cause }))
    }
    this.#warn(cause, 'Postgres did not accept deliveries; the queue stores them until it does.')
    this.#record('deliveries_accepted_total', 1, { via: 'queue' })
    resolve('queued')
  }

  #addJob(job: DeliveriesJob): Promise<void> {
    return this.#queue.attempt(() => this.#parts.queues.addDeliveries(job, enqueueWithin), enqueueWithin)
  }

  #warn(error: unknown, message: string): void {
    if (this.#mayWarn()) this.#parts.log.warn({ err: error }, message)
  }
}

function sizeOf({ delivery }: Waiting): GroupLimit {
  return { deliveries: 1, chars: delivery.payload?.length ?? 0 }
}
