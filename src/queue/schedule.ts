import { SECOND } from '../runtime/time.ts'
import type { BareQueue } from './engine.ts'
import { type ReconcileJob, reconcileOptions } from './jobs.ts'

/** Runs `job` now and then every `everyMs`. */
export async function setSchedule(queue: BareQueue, job: ReconcileJob, everyMs: number): Promise<void> {
  // Setting a schedule again runs the job at once, or moves a waiting one behind all others, so it is set only if needed.
  const id = schedulerId(job)
  const known = await queue.getJobScheduler(id)
  if (known?.every === everyMs && !(await hasLostItsJob(queue, id, known.next ?? 0, everyMs))) return
  await queue.upsertJobScheduler(id, { every: everyMs }, { name: job.task, data: job, opts: reconcileOptions })
}

export async function removeSchedule(queue: BareQueue, job: ReconcileJob): Promise<void> {
  await queue.removeJobScheduler(schedulerId(job))
}

function schedulerId({ task, organization }: ReconcileJob): string {
  return organization ? `${task}-${organization}` : task
}

/** Whether a schedule is overdue because its next job is lost, and not because all workers are busy. */
async function hasLostItsJob(queue: BareQueue, id: string, next: number, everyMs: number): Promise<boolean> {
  if (Date.now() - next <= 2 * everyMs + 15 * SECOND) return false
  const state = await queue.getJobState(`repeat:${id}:${next}`)
  return state === 'unknown' || state === 'failed' || state === 'completed'
}
