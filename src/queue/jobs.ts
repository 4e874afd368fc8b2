import { randomUUID } from 'node:crypto'
import type { JobsOptions } from 'bullmq'
import { z } from 'zod'
import { DAY } from '../runtime/time.ts'

const keptDelivery = z.object({
  key: z.string(),
  event: z.string(),
  request_id: z.string().nullable(),
  received_at: z.string(),
  observed_at: z.string(),
  payload: z.string(),
})
const trace = z.array(z.string()).exactOptional()
export const deliveriesJob = z.union([
  z.object({ ids: z.array(z.number()), trace }),
  z.object({ kept: z.array(keptDelivery), trace }),
])
export const reconcileJob = z.object({
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
