import type { Job, JobsOptions, Processor, Queue, Worker } from 'bullmq'

export type QueueName = 'deliveries' | 'reconcile' | 'backfill'
export const queueNames: readonly QueueName[] = ['deliveries', 'reconcile', 'backfill']

/** What we use of a BullMQ queue: the same on both backends. */
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

/** What we use of a BullMQ worker: the same on both backends. */
export interface BareWorker
  extends Pick<Worker, 'waitUntilReady' | 'isRunning' | 'pause' | 'rateLimit' | 'close' | 'disconnect'> {}

export interface WorkerSettings {
  concurrency: number
  /** How long a job that may be retried waits, by the number of attempts made. */
  backoff: (attemptsMade: number) => number
}

/** Something in the set-up of the queue's store that may lose jobs, and what to do about it: a sentence or more each. */
export interface QueueWarning {
  readonly name: 'redis_eviction' | 'redis_persistence'
  readonly fact: string
  readonly remedy: string
}

/** Both parts of a warning. */
export function warningText({ fact, remedy }: QueueWarning): string {
  return `${fact} ${remedy}`
}

/** Where BullMQ keeps its jobs. The two implementations are the only files that know Redis or Postgres. */
export interface Engine {
  readonly backend: 'redis' | 'postgres'
  /** Brings the store to the form BullMQ expects. Safe to repeat and to run in many processes at once. */
  prepare(): Promise<void>
  /** `prefix` begins the names of keys in Redis. On Postgres it means nothing: the jobs are in the deployment's own database. */
  openQueue(name: QueueName, prefix: string, onError: (error: Error) => void): BareQueue
  openWorker(
    name: QueueName,
    prefix: string,
    processor: Processor<unknown, void>,
    settings: WorkerSettings,
    onError: (error: Error) => void,
  ): BareWorker
  /** Asks the store itself; rejects when it does not answer. Returns what is set up dangerously. */
  check(queue: BareQueue | undefined): Promise<QueueWarning[]>
  /** In one sentence why the store is out of reach, as far as is known now or `error` tells; undefined when it is not. */
  outOfReach(error?: unknown): string | undefined
  /** Drops connections that queues and workers share. Never waits. */
  close(): void
}

export type QueueJob = Job<unknown, void>

/** How a worker of every queue is run. */
export const workerOptions = {
  lockDuration: 15_000,
  stalledInterval: 10_000,
  // Every job is safe to repeat, and a stall only says that a process died: with BullMQ's default of 1, two kill -9 fail a job
  // for ever without its handler having been called.
  maxStalledCount: 1_000,
  // After an error of the store BullMQ would wait for 15 s.
  runRetryDelay: 1_000,
} as const
