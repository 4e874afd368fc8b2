import { randomUUID } from 'node:crypto'
import type { JobsOptions } from 'bullmq'
import { z } from 'zod'
import { DAY } from '../runtime/time.ts'

/** A delivery that only the queue holds, as a receiver adds it. Times are ISO 8601. */
export interface KeptDelivery {
  key: string
  event: string
  request_id: string | null
  received_at: string
  observed_at: string
  /** Null if the body could not be read; `error` then has the reason. */
  payload: string | null
  error?: string | null
}

/** More ids or traces than any process adds to one job. */
const MOST_IDS = 10_000
const trace = z.array(z.string().max(200)).max(MOST_IDS).exactOptional()
// Each delivery of a job is checked on its own when it is moved to the inbox, so that a bad one does not hold up the others.
export const deliveriesJob = z.union([
  z.object({ ids: z.array(z.int().positive()).max(MOST_IDS), trace }),
  z.object({ kept: z.array(z.unknown()).max(MOST_IDS), trace }),
])
export const reconcileJob = z.object({
  task: z.enum(['hot', 'warm', 'pipelines', 'discover', 'backfill', 'audit', 'verify', 'dimensions']),
  organization: z.string().max(100).exactOptional(),
  /** For `verify`: the range of `created_at` to audit, ISO 8601. */
  from: z.string().max(40).exactOptional(),
  to: z.string().max(40).exactOptional(),
})

/** `ids` of rows in the inbox, or the deliveries themselves if they arrived while Postgres was down; `trace` holds their spans. */
export type DeliveriesJob = z.infer<typeof deliveriesJob>
/** One piece of reconciliation; `organization` is an organization's id, absent for `discover`. */
export type ReconcileJob = z.infer<typeof reconcileJob>
export type ReconcileTask = ReconcileJob['task']

/** Tasks that may take minutes and must not delay the cycles. */
const longRunning: ReadonlySet<ReconcileTask> = new Set(['backfill', 'audit', 'verify', 'dimensions'])

/** The queue that a job belongs to. */
export function queueNameOf({ task }: ReconcileJob): 'reconcile' | 'backfill' {
  return longRunning.has(task) ? 'backfill' : 'reconcile'
}

/** Prefix of the ids of jobs that hold deliveries themselves. */
export const DIVERTED = 'diverted-'
/** Prefix of the ids of jobs that a person requested. */
export const MANUAL = 'asked-'

/** The id of a job that a person requests. */
export const manualJobId = () => `${MANUAL}${randomUUID()}`

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

export function deliveryOptions(job: DeliveriesJob): JobsOptions {
  return 'kept' in job ? { ...keptOptions, jobId: `${DIVERTED}${randomUUID()}` } : idsOptions
}

/** The next scheduled run is the retry. */
export const reconcileOptions: JobsOptions = {
  attempts: 1,
  removeOnComplete: true,
  removeOnFail: { age: DAY / 1_000, count: 100 },
  stackTraceLimit: 1,
}
