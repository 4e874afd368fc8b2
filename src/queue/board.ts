import type { BaseAdapter } from '@bull-board/api/baseAdapter'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { Queue } from 'bullmq'
import type { BareQueue } from './engine.ts'

/** A queue in the form that the queue board needs. */
export type BoardQueue = BaseAdapter

const adapters = new WeakMap<BareQueue, BoardQueue>()

/** The open queues for the board, read-only. Works on Redis and on Postgres. */
export function boardQueues(queues: readonly BareQueue[]): BoardQueue[] {
  return queues.flatMap((queue) => {
    if (!(queue instanceof Queue)) return []
    const known = adapters.get(queue)
    const adapter = known ?? new BullMQAdapter(queue, { readOnlyMode: true })
    if (!known) adapters.set(queue, adapter)
    return [adapter]
  })
}
