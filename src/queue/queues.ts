import { randomUUID } from 'node:crypto'
import type { JobsOptions } from 'bullmq'
import { z } from 'zod'
import { messageOf, StoreError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { DAY, MINUTE, SECOND, withDeadline } from '../runtime/time.ts'
import { type BoardQueue, boardQueues } from './board.ts'
import { type BareQueue, type Engine, type QueueJob, type QueueName, type QueueWarning, queueNames } from './engine.ts'
import { type JobLocation, locationReader, SHARED_PREFIX } from './job-location.ts'
import { openLocatedQueues } from './located-queues.ts'
import type { Opening } from './opening.ts'
import { postgresEngine } from './postgres.ts'
import { redisEngine } from './redis.ts'
import { type RunningWorker, startWorker } from './worker.ts'

export type { BoardQueue } from './board.ts'
export { type QueueWarning, warningText } from './engine.ts'
export type { RunningWorker } from './worker.ts'

const keptDelivery = z.object({
  key: z.string(),
  event: z.string(),
  request_id: z.string().nullable(),
  received_at: z.string(),
  observed_at: z.string(),
  payload: z.string(),
})
const trace = z.array(z.string()).exactOptional()
const deliveriesJob = z.union([
  z.object({ ids: z.array(z.number()), trace }),
  z.object({ kept: z.array(keptDelivery), trace }),
])
const reconcileJob = z.object({
  task: z.enum(['hot', 'warm', 'pipelines', 'discover', 'backfill', 'audit', 'verify', 'dimensions']),
  organization: z.string().exactOptional(),
  /** For `verify`: the range of `created_at` to audit, ISO 8601. */
  from: z.string().exactOptional(),
  to: z.string().exactOptional(),
})

/** A delivery that only the queue holds. Times are ISO 8601. */
export type KeptDelivery = z.infer<typeof keptDelivery>
/** `ids` of rows in the inbox, or the deliveries themselves if they arrived while Postgres was down; `trace` holds their spans. */
export type DeliveriesJob = z.infer<typeof deliveriesJob>
/** One piece of reconciliation; `organization` is an organization's id, absent for `discover`. */
export type ReconcileJob = z.infer<typeof reconcileJob>
export type ReconcileTask = ReconcileJob['task']

/** A reconcile job that a person requested and that is not done yet. */
export interface ManualJob {
  readonly job: ReconcileJob
  readonly active: boolean
}

export interface QueueDepth {
  waiting: number
  active: number
  delayed: number
  failed: number
}

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
  /** Replaces the deployment's own prefix of keys in Redis; for tests. */
  prefix?: string
}

const answerWithin = 3_000
/** Prefix of the ids of jobs that hold deliveries themselves. */
const DIVERTED = 'diverted-'
/** How many jobs are searched for these ids. */
const DIVERTED_AMONG = 2_000
/** Prefix of the ids of jobs that a person requested. */
const ASKED = 'asked-'

/** Tasks that may take minutes and must not delay the cycles. */
const longRunning: ReadonlySet<ReconcileTask> = new Set(['backfill', 'audit', 'verify', 'dimensions'])

// If the job of a delivery in the inbox is lost, the sweeper enqueues the delivery again.
const idsOptions: JobsOptions = {
  attempts: 5,
  backoff: { type: 'capped' },
  removeOnComplete: true,
  removeOnFail: { age: (7 * DAY) / 1_000, count: 1_000 },
  stackTraceLimit: 1,
}
// The job holds the only copy of its deliveries, so it is retried for years, and kept even if it fails.
const keptOptions: JobsOptions = { ...idsOptions, attempts: 1_000_000, removeOnFail: false }
// The next scheduled run is the retry.
const tickOptions: JobsOptions = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: { age: DAY / 1_000, count: 100 },
  stackTraceLimit: 1,
}

/**
 * Opens the queues on Redis if there is a `redisUrl`, else on Postgres. Returns within some seconds even when the store is down. It
 * then opens the queues as soon as possible, and until then every call fails as transient.
 */
export async function openQueues(config: QueueConfig, log: Log): Promise<Queues> {
  const complain = throttledError(log)
  const engine: Engine = config.redisUrl ? redisEngine(config.redisUrl, complain) : postgresEngine(config.databaseUrl)
  let preparing: Promise<void> | undefined
  const prepared = () => {
    preparing ??= engine.prepare().catch((error) => {
      preparing = undefined
      throw error
    })
    return preparing
  }
  const located = await openLocatedQueues({
    read: readerOf(config, complain),
    async open(name, prefix) {
      await prepared()
      return engine.openQueue(name, prefix, complain)
    },
    onError: complain,
  })
  await Promise.all(queueNames.map((name) => located.current()[name].within(answerWithin))).catch(() => {
    log.warn({ backend: engine.backend }, 'The queue is unavailable; it will be opened as soon as it answers.')
  })

  const work = <T>(name: QueueName, shape: z.ZodType<T>, handler: Handler<T>, concurrency: number, older = false) =>
    startWorker({
      engine,
      prepared,
      prefix: () => located.settled.then((location) => (older ? sharedPrefix(location) : location.prefix)),
      name,
      queue: () => located.current()[name],
      concurrency,
      handle: (data, signal) => handler(shape.parse(data), signal),
      onError: complain,
    })

  /** Runs `command` on the queue. Waits at most `ms` for the queue to open and answer; fails at once if it is known to be unavailable. */
  const confirmed = <T>(
    opening: Opening<BareQueue>,
    ms: number,
    doing: string,
    command: (queue: BareQueue) => Promise<T>,
  ): Promise<T> => {
    const run = async () => command(opening.current ?? (await opening.within(ms)))
    const outage = opening.current ? undefined : engine.outOfReach()
    if (outage) {
      const { fact, remedy } = outage
      return Promise.reject(new StoreError('transient', fact, { store: engine.backend, remedy }))
    }
    return asTransient(engine, doing, () => withDeadline(run(), ms, 'The queue'))
  }

  const check = () =>
    asTransient(engine, 'answering', () =>
      withDeadline(engine.check(located.current().deliveries.current), answerWithin, 'The queue'),
    )

  return {
    backend: engine.backend,
    async addDeliveries(job, deadlineMs) {
      const options = 'kept' in job ? { ...keptOptions, jobId: `${DIVERTED}${randomUUID()}` } : idsOptions
      await confirmed(located.current().deliveries, deadlineMs, 'taking a delivery', (queue) =>
        queue.add('apply', job, options),
      )
    },
    async schedule(job, everyMs) {
      await confirmed(queueOf(job), answerWithin, 'taking a schedule', async (queue) => {
        // Setting a schedule again runs the job at once, or moves a waiting one behind all others, so it is set only if needed.
        const known = await queue.getJobScheduler(schedulerId(job))
        if (known?.every === everyMs && !(await hasLostItsJob(queue, job, known.next ?? 0, everyMs))) return
        await queue.upsertJobScheduler(
          schedulerId(job),
          { every: everyMs },
          { name: job.task, data: job, opts: tickOptions },
        )
      })
    },
    async unschedule(job) {
      const forget = (queue: BareQueue) => queue.removeJobScheduler(schedulerId(job))
      await confirmed(queueOf(job), answerWithin, 'removing a schedule', forget)
    },
    async ask(job) {
      const options = { ...tickOptions, jobId: `${ASKED}${randomUUID()}` }
      await confirmed(queueOf(job), answerWithin, 'taking a job', (queue) => queue.add(job.task, job, options))
    },
    async asked() {
      const { reconcile, backfill } = located.current()
      const lists = [reconcile, backfill].map((queue) => confirmed(queue, answerWithin, 'listing its jobs', manualJobs))
      return (await Promise.all(lists)).flat()
    },
    board: () => boardQueues(Object.values(located.current()).flatMap((queue) => queue.current ?? [])),
    check,
    async holdsDiverted() {
      const states = ['waiting', 'active', 'delayed', 'prioritized', 'failed'] as const
      const lists = located
        .all()
        .map(({ deliveries }) =>
          confirmed(deliveries, answerWithin, 'listing its jobs', (queue) =>
            Promise.all(states.map((state) => queue.getRanges([state], 0, DIVERTED_AMONG - 1))),
          ),
        )
      const ids = (await Promise.all(lists)).flat()
      return ids.some((some) => some.length >= DIVERTED_AMONG || some.some((id) => id.startsWith(DIVERTED)))
    },
    async depth() {
      const count = async (queue: Opening<BareQueue>) => confirmed(queue, answerWithin, 'counting its jobs', countJobs)
      const { reconcile, backfill } = located.current()
      const counts = await Promise.all([
        count(reconcile),
        count(backfill),
        ...located.all().map((set) => count(set.deliveries)),
      ])
      const [ofReconcile, ofBackfill, ...ofDeliveries] = counts
      return { deliveries: ofDeliveries.reduce(sumOf), reconcile: ofReconcile, backfill: ofBackfill }
    },
    workDeliveries(handler, concurrency) {
      const own = work('deliveries', deliveriesJob, handler, concurrency)
      return withOlder(own, work('deliveries', deliveriesJob, handler, concurrency, true))
    },
    workReconcile: (handler, concurrency) => work('reconcile', reconcileJob, handler, concurrency),
    workBackfill: (handler, concurrency) => work('backfill', reconcileJob, handler, concurrency),
    async close(deadlineMs) {
      await withDeadline(located.close(), deadlineMs, 'The queue').catch(complain)
      engine.close()
    },
  }

  function queueOf(job: ReconcileJob): Opening<BareQueue> {
    const { backfill, reconcile } = located.current()
    return longRunning.has(job.task) ? backfill : reconcile
  }
}

function readerOf(config: QueueConfig, onError: (error: Error) => void): () => Promise<JobLocation> {
  if (config.redisUrl && config.prefix === undefined) return locationReader(config, onError)
  return async () => ({ prefix: config.prefix ?? '', settled: true, recorded: true, sources: [] })
}

/** Where processes of the previous version add deliveries. Never resolves if this deployment had none. */
function sharedPrefix({ sources }: JobLocation): string | Promise<never> {
  return sources.includes(SHARED_PREFIX) ? SHARED_PREFIX : new Promise<never>(() => {})
}

/** The worker of this deployment's queue, and a second one for the queue of the previous version. */
function withOlder(own: RunningWorker, older: RunningWorker): RunningWorker {
  return {
    pause() {
      own.pause()
      older.pause()
    },
    async close(deadlineMs) {
      await Promise.all([own.close(deadlineMs), older.close(deadlineMs)])
    },
    get lastProgressAt() {
      return own.lastProgressAt
    },
  }
}

function sumOf(a: QueueDepth, b: QueueDepth): QueueDepth {
  return {
    waiting: a.waiting + b.waiting,
    active: a.active + b.active,
    delayed: a.delayed + b.delayed,
    failed: a.failed + b.failed,
  }
}

function schedulerId(job: ReconcileJob): string {
  return job.organization ? `${job.task}-${job.organization}` : job.task
}

/** Whether a schedule is overdue because its next job is lost, and not because all workers are busy. */
async function hasLostItsJob(queue: BareQueue, job: ReconcileJob, next: number, everyMs: number): Promise<boolean> {
  if (Date.now() - next <= 2 * everyMs + 15 * SECOND) return false
  const state = await queue.getJobState(`repeat:${schedulerId(job)}:${next}`)
  return state === 'unknown' || state === 'failed' || state === 'completed'
}

async function manualJobs(queue: BareQueue): Promise<ManualJob[]> {
  const [active, waiting] = await Promise.all([
    queue.getJobs(['active'], 0, 49),
    queue.getJobs(['waiting'], 0, 49, true),
  ])
  const read = (jobs: readonly QueueJob[], isActive: boolean) =>
    jobs.flatMap((one) => {
      // A job that has just finished leaves a hole in the list.
      if (!one?.id?.startsWith(ASKED)) return []
      const job = reconcileJob.safeParse(one.data).data
      return job ? [{ job, active: isActive }] : []
    })
  return [...read(active, true), ...read(waiting, false)]
}

async function countJobs(queue: BareQueue): Promise<QueueDepth> {
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')
  return {
    waiting: (counts.waiting ?? 0) + (counts.prioritized ?? 0),
    active: counts.active ?? 0,
    delayed: counts.delayed ?? 0,
    failed: counts.failed ?? 0,
  }
}

async function asTransient<T>(engine: Engine, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
    // If the store is unavailable, the message is the same whatever the command was, so that a page can show it once.
    const outage = engine.outOfReach(error) ?? { fact: `The queue failed while ${doing}: ${messageOf(error)}` }
    throw new StoreError('transient', outage.fact, { code, store: engine.backend, remedy: outage.remedy, cause: error })
  }
}

/** Broken connections report errors several times a second, so each message is logged at most once a minute. */
function throttledError(log: Log): (error: Error) => void {
  const lastLogged = new Map<string, number>()
  return (error) => {
    const now = Date.now()
    const cause = `${error.name} ${error.message}`
    if (now - (lastLogged.get(cause) ?? 0) < MINUTE) return
    if (lastLogged.size >= 100) lastLogged.clear()
    lastLogged.set(cause, now)
    log.warn({ err: error }, 'Queue error.')
  }
}
