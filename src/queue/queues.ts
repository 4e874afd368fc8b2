import { UnrecoverableError } from 'bullmq'
import type { z } from 'zod'
import { messageOf, StoreError } from '../runtime/errors.ts'
import { type Log, throttledWarn } from '../runtime/log.ts'
import { MINUTE, SECOND, withDeadline } from '../runtime/time.ts'
import { type BoardQueue, boardQueues } from './board.ts'
import { countJobs, type ManualJob, manualJobs, mayHoldDiverted, type QueueDepth, sumOf } from './contents.ts'
import { type BareQueue, type Engine, type QueueName, type QueueWarning, queueNames } from './engine.ts'
import { type JobLocation, locationReader, SHARED_PREFIX } from './job-location.ts'
import {
  type DeliveriesJob,
  deliveriesJob,
  deliveryOptions,
  manualJobId,
  queueNameOf,
  type ReconcileJob,
  reconcileJob,
  reconcileOptions,
} from './jobs.ts'
import { type LocatedQueues, openLocatedQueues } from './located-queues.ts'
import type { Opening } from './opening.ts'
import { postgresEngine } from './postgres.ts'
import { redisEngine } from './redis.ts'
import { removeSchedule, setSchedule } from './schedule.ts'
import { bothWorkers, type RunningWorker, startWorker } from './worker.ts'

export type { BoardQueue } from './board.ts'
export type { ManualJob, QueueDepth } from './contents.ts'
export { type QueueWarning, warningText } from './engine.ts'
export type { DeliveriesJob, KeptDelivery, ReconcileJob, ReconcileTask } from './jobs.ts'
export type { RunningWorker } from './worker.ts'

type Handler<T> = (job: T, signal: AbortSignal) => Promise<void>

/**
 * The service's queues. If a handler throws a transient StoreError, the queue pauses and the job comes back without using up an
 * attempt. Any other error is a failed attempt and is retried with back-off. The handler's signal aborts when its worker is closed.
 */
export interface Queues {
  readonly backend: 'redis' | 'postgres'
  /** @throws StoreError (transient) if the queue does not confirm within `deadlineMs`; it may still have taken the job. */
  addDeliveries(job: DeliveriesJob, deadlineMs: number): Promise<void>
  /** Runs `job` now and then every `everyMs`. Repeated calls change nothing, but restore a schedule that Redis has lost. */
  schedule(job: ReconcileJob, everyMs: number): Promise<void>
  unschedule(job: ReconcileJob): Promise<void>
  /** Runs `job` once, as soon as a worker is free. @throws StoreError (transient) when the queue is unavailable. */
  ask(job: ReconcileJob): Promise<void>
  /** The jobs requested by {@link ask} that are not done, next one first; at most 50. @throws StoreError (transient) as above. */
  asked(): Promise<ManualJob[]>
  /** The open queues for the queue board, which may not change them. */
  board(): BoardQueue[]
  /** Warnings about the settings of the queue's store. @throws StoreError (transient) when it is unavailable. */
  check(): Promise<QueueWarning[]>
  /** Whether the queue holds, or may hold, deliveries that Postgres did not accept. @throws StoreError (transient) as above. */
  holdsDiverted(): Promise<boolean>
  /** @throws StoreError (transient) when the queue is unavailable. */
  depth(): Promise<Record<QueueName, QueueDepth>>
  workDeliveries(handler: Handler<DeliveriesJob>, concurrency: number): RunningWorker
  workReconcile(handler: Handler<ReconcileJob>, concurrency: number): RunningWorker
  workBackfill(handler: Handler<ReconcileJob>, concurrency: number): RunningWorker
  /** Closes the queues. Close the workers first. */
  close(deadlineMs: number): Promise<void>
}

export interface QueueConfig {
  redisUrl: string | undefined
  databaseUrl: string
  /** The first webhook secret. It distinguishes deployments whose databases have the same address. Only a hash of it is stored. */
  webhookSecret?: string | undefined
  /** Whether to create or update the queue's schema in Postgres where it is missing. Default: true. */
  mayMigrate?: boolean
  /** Replaces the deployment's own prefix of keys in Redis; for tests. */
  prefix?: string
}

const ANSWER_WITHIN_MS = 3 * SECOND

/**
 * Opens the queues on Redis if there is a `redisUrl`, else on Postgres. Returns within some seconds even when the store is down. It
 * then opens the queues as soon as possible, and until then every call fails as transient.
 */
export async function openQueues(config: QueueConfig, log: Log): Promise<Queues> {
  // Broken connections report errors several times a second.
  const mayWarn = throttledWarn(MINUTE, Date.now)
  const onError = (error: Error) => {
    if (mayWarn(`${error.name} ${error.message}`)) log.warn({ err: error }, 'Queue error.')
  }
  const { redisUrl, databaseUrl, mayMigrate = true } = config
  const engine = redisUrl ? redisEngine(redisUrl, onError) : postgresEngine(databaseUrl, mayMigrate)
  let preparing: Promise<void> | undefined
  const prepared = () => {
    preparing ??= engine.prepare().catch((error) => {
      preparing = undefined
      throw error
    })
    return preparing
  }
  const located = await openLocatedQueues({
    read: readerOf(config, onError),
    async open(name, prefix) {
      await prepared()
      return engine.openQueue(name, prefix, onError)
    },
    onError,
  })
  await Promise.all(queueNames.map((name) => located.current()[name].within(ANSWER_WITHIN_MS))).catch(() => {
    log.warn({ backend: engine.backend }, 'The queue is unavailable; it will be opened as soon as it answers.')
  })
  return new OpenQueues({ engine, prepared, located, onError })
}

function readerOf(config: QueueConfig, onError: (error: Error) => void): () => Promise<JobLocation> {
  if (config.redisUrl && config.prefix === undefined) return locationReader(config, onError)
  return async () => ({ prefix: config.prefix ?? '', settled: true, recorded: true, sources: [] })
}

interface QueueParts {
  readonly engine: Engine
  /** Resolves when the engine's store is ready for use. */
  readonly prepared: () => Promise<void>
  readonly located: LocatedQueues
  readonly onError: (error: Error) => void
}

class OpenQueues implements Queues {
  readonly backend: Engine['backend']
  readonly #parts: QueueParts

  constructor(parts: QueueParts) {
    this.backend = parts.engine.backend
    this.#parts = parts
  }

  async addDeliveries(job: DeliveriesJob, deadlineMs: number): Promise<void> {
    const { deliveries } = this.#current
    const add = (queue: BareQueue) => queue.add('apply', job, deliveryOptions(job))
    await this.#run(deliveries, 'taking a delivery', add, deadlineMs)
  }

  async schedule(job: ReconcileJob, everyMs: number): Promise<void> {
    await this.#run(this.#current[queueNameOf(job)], 'taking a schedule', (queue) => setSchedule(queue, job, everyMs))
  }

  async unschedule(job: ReconcileJob): Promise<void> {
    await this.#run(this.#current[queueNameOf(job)], 'removing a schedule', (queue) => removeSchedule(queue, job))
  }

  async ask(job: ReconcileJob): Promise<void> {
    const options = { ...reconcileOptions, jobId: manualJobId() }
    await this.#run(this.#current[queueNameOf(job)], 'taking a job', (queue) => queue.add(job.task, job, options))
  }

  async asked(): Promise<ManualJob[]> {
    const { reconcile, backfill } = this.#current
    const lists = [reconcile, backfill].map((queue) => this.#run(queue, 'listing its jobs', manualJobs))
    return (await Promise.all(lists)).flat()
  }

  board(): BoardQueue[] {
    return boardQueues(Object.values(this.#current).flatMap((queue) => queue.current ?? []))
  }

  check(): Promise<QueueWarning[]> {
    const check = async () => this.#parts.engine.check(this.#current.deliveries.current)
    return this.#asTransient('answering', check, ANSWER_WITHIN_MS)
  }

  async holdsDiverted(): Promise<boolean> {
    const all = this.#parts.located.all()
    const found = all.map(({ deliveries }) => this.#run(deliveries, 'listing its jobs', mayHoldDiverted))
    return (await Promise.all(found)).includes(true)
  }

  async depth(): Promise<Record<QueueName, QueueDepth>> {
    const count = (queue: Opening<BareQueue>) => this.#run(queue, 'counting its jobs', countJobs)
    const [reconcile, backfill, ...deliveries] = await Promise.all([
      count(this.#current.reconcile),
      count(this.#current.backfill),
      ...this.#parts.located.all().map((set) => count(set.deliveries)),
    ])
    return { deliveries: deliveries.reduce(sumOf), reconcile, backfill }
  }

  workDeliveries(handler: Handler<DeliveriesJob>, concurrency: number): RunningWorker {
    const own = this.#work('deliveries', deliveriesJob, handler, concurrency)
    return bothWorkers(own, this.#work('deliveries', deliveriesJob, handler, concurrency, sharedPrefix))
  }

  workReconcile(handler: Handler<ReconcileJob>, concurrency: number): RunningWorker {
    return this.#work('reconcile', reconcileJob, handler, concurrency)
  }

  workBackfill(handler: Handler<ReconcileJob>, concurrency: number): RunningWorker {
    return this.#work('backfill', reconcileJob, handler, concurrency)
  }

  async close(deadlineMs: number): Promise<void> {
    const { engine, located, onError } = this.#parts
    await withDeadline(located.close(), deadlineMs, 'The queue').catch(onError)
    engine.close()
  }

  get #current() {
    return this.#parts.located.current()
  }

  #work<T>(
    name: QueueName,
    shape: z.ZodType<T>,
    handler: Handler<T>,
    concurrency: number,
    prefixOf: (location: JobLocation) => string | Promise<never> = ({ prefix }) => prefix,
  ): RunningWorker {
    const { engine, prepared, located, onError } = this.#parts
    return startWorker({
      engine,
      prepared,
      prefix: () => located.settled.then(prefixOf),
      name,
      queue: () => this.#current[name],
      concurrency,
      handle: (data, signal) => {
        const read = shape.safeParse(data)
        if (read.success) return handler(read.data, signal)
        const error = malformedJob(name, read.error)
        onError(error)
        throw error
      },
      onError,
    })
  }

  /** Runs `command` on the queue. Waits at most `ms` for the queue to open and answer; fails at once if it is known to be unavailable. */
  #run<T>(
    opening: Opening<BareQueue>,
    doing: string,
    command: (queue: BareQueue) => Promise<T>,
    ms = ANSWER_WITHIN_MS,
  ): Promise<T> {
    const outage = opening.current ? undefined : this.#parts.engine.outOfReach()
    if (outage) {
      const { fact, remedy } = outage
      return Promise.reject(new StoreError('transient', fact, { store: this.backend, remedy }))
    }
    return this.#asTransient(doing, async () => command(opening.current ?? (await opening.within(ms))), ms)
  }

  async #asTransient<T>(doing: string, work: () => Promise<T>, ms: number): Promise<T> {
    try {
      return await withDeadline(work(), ms, 'The queue')
    } catch (error) {
      const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
      // If the store is unavailable, the message is the same whatever the command was, so that a page can show it once.
      const known = this.#parts.engine.outOfReach(error)
      const { fact, remedy } = known ?? { fact: `The queue failed while ${doing}: ${messageOf(error)}` }
      throw new StoreError('transient', fact, { code, store: this.backend, remedy, cause: error })
    }
  }
}

/** A job that no process of the service added. It is not retried, and stays in the queue as failed. */
function malformedJob(queue: QueueName, { issues }: z.ZodError): Error {
  const faults = issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': '))
  const fact = `A job in the queue ${queue} is malformed (${faults.join('; ').slice(0, 200)}) and was not run.`
  return new UnrecoverableError(`${fact} Only the service may write to its queue: check who can reach its store.`)
}

/** Where processes of the previous version add deliveries. Never resolves if this deployment had none. */
function sharedPrefix({ sources }: JobLocation): string | Promise<never> {
  return sources.includes(SHARED_PREFIX) ? SHARED_PREFIX : new Promise<never>(() => {})
}
