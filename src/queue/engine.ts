import type { Job, JobsOptions, Processor, Queue, Worker } from 'bullmq'

export type QueueName = 'deliveries' | 'reconcile' | 'backfill'
export const queueNames: readonly QueueName[] = ['deliveries', 'reconcile', 'backfill']

/** The part of a BullMQ queue that we use. It is the same on both backends. */
export interface BareQueue
  extends Pick<
    Queue,
    | 'waitUntilReady'
    | 'upsertJobScheduler'
    | 'getJobScheduler'
    | 'removeJobScheduler'
    | 'getJobCounts'
    | 'getJobs'
    | 'getJobState'
    | 'getRanges'
    | 'remove'
    | 'close'
  > {
  add(name: string, data: unknown, options: JobsOptions): Promise<unknown>
}

/** The part of a BullMQ worker that we use. It is the same on both backends. */
export interface BareWorker
  extends Pick<Worker, 'waitUntilReady' | 'isRunning' | 'pause' | 'rateLimit' | 'close' | 'disconnect'> {}

export interface WorkerSettings {
  concurrency: number
  /** How long a failed job waits for its retry, by the number of attempts made. */
  backoff: (attemptsMade: number) => number
}

/** A setting of the queue's store that may lose jobs, and what to do about it; one or more sentences each. */
export interface QueueWarning {
  readonly name: 'redis_eviction' | 'redis_persistence'
  readonly fact: string
  readonly remedy: string
}

/** Both parts of a warning as one text. */
export function warningText({ fact, remedy }: QueueWarning): string {
  return `${fact} ${remedy}`
}

/** Why a store is unavailable, and what to do if that is known: a sentence or more each. */
export interface Outage {
  readonly fact: string
  readonly remedy?: string
}

/** Where BullMQ stores its jobs. Only the two implementations know Redis or Postgres. */
export interface Engine {
  readonly backend: 'redis' | 'postgres'
  /** Creates or updates what BullMQ needs in the store. Safe to repeat and to run in many processes at once. */
  prepare(): Promise<void>
  /** `prefix` begins the names of keys in Redis. Postgres ignores it: the jobs are in the deployment's own database. */
  openQueue(name: QueueName, prefix: string, onError: (error: Error) => void): BareQueue
  openWorker(
    name: QueueName,
    prefix: string,
    processor: Processor<unknown, void>,
    settings: WorkerSettings,
    onError: (error: Error) => void,
  ): BareWorker
  /** Queries the store; rejects when it does not answer. Returns settings that may lose jobs. */
  check(queue: BareQueue | undefined): Promise<QueueWarning[]>
  /** Why the store is unavailable, from `error` or from what is known now; undefined if it is available. */
  outOfReach(error?: unknown): Outage | undefined
  /** Closes connections that queues and workers share. Never waits. */
  close(): void
}

export type QueueJob = Job<unknown, void>

/** The options of the workers of all queues. */
export const workerOptions = {
  lockDuration: 15_000,
  stalledInterval: 10_000,
  // Every job is safe to repeat, and a stall only means that a process died. With BullMQ's default of 1, two kill -9 would fail a
  // job for ever, although its handler never ran.
  maxStalledCount: 1_000,
  // After an error of the store BullMQ would otherwise wait for 15 s.
  runRetryDelay: 1_000,
} as const
