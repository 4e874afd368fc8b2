import type { BareQueue, QueueJob } from './engine.ts'
import { DIVERTED, MANUAL, type ReconcileJob, reconcileJob } from './jobs.ts'

export interface QueueDepth {
  waiting: number
  active: number
  delayed: number
  failed: number
}

/** A reconcile job that a person requested and that is not done yet. */
export interface ManualJob {
  readonly job: ReconcileJob
  readonly active: boolean
}

/** How many jobs are searched for diverted ones. */
const SEARCHED = 2_000

export async function countJobs(queue: BareQueue): Promise<QueueDepth> {
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed', 'failed')
  return {
    waiting: (counts.waiting ?? 0) + (counts.prioritized ?? 0),
    active: counts.active ?? 0,
    delayed: counts.delayed ?? 0,
    failed: counts.failed ?? 0,
  }
}

export function sumOf(a: QueueDepth, b: QueueDepth): QueueDepth {
  return {
    waiting: a.waiting + b.waiting,
    active: a.active + b.active,
    delayed: a.delayed + b.delayed,
    failed: a.failed + b.failed,
  }
}

/** The jobs that people requested, next one first; at most 50 active and 50 waiting jobs are searched. */
export async function manualJobs(queue: BareQueue): Promise<ManualJob[]> {
  const [active, waiting] = await Promise.all([
    queue.getJobs(['active'], 0, 49),
    queue.getJobs(['waiting'], 0, 49, true),
  ])
  const read = (jobs: readonly QueueJob[], isActive: boolean) =>
    jobs.flatMap((one) => {
      // A job that has just finished leaves a hole in the list.
      if (!one?.id?.startsWith(MANUAL)) return []
      const job = reconcileJob.safeParse(one.data).data
      return job ? [{ job, active: isActive }] : []
    })
  return [...read(active, true), ...read(waiting, false)]
}

/** Whether the queue holds, or may hold, jobs that hold deliveries themselves. */
export async function mayHoldDiverted(queue: BareQueue): Promise<boolean> {
  const states = ['waiting', 'active', 'delayed', 'prioritized', 'failed'] as const
  const lists = await Promise.all(states.map((state) => queue.getRanges([state], 0, SEARCHED - 1)))
  return lists.some((ids) => ids.length >= SEARCHED || ids.some((id) => id.startsWith(DIVERTED)))
}
