import type { BaseAdapter } from '@bull-board/api/baseAdapter'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { Queue } from 'bullmq'
import type { BareQueue } from './engine.ts'

/** A queue as the queue board looks at it. */
export type BoardQueue = BaseAdapter

const adapters = new WeakMap<BareQueue, BoardQueue>()

/** The open queues as the board wants them, to be looked at and not changed. Works on Redis and on Postgres alike. */
export function boardQueues(queues: readonly BareQueue[]): BoardQueue[] {
  return queues.flatMap((queue) => {
    if (!(queue instanceof Queue)) return []
    const known = adapters.get(queue)
    const adapter = known ?? new BullMQAdapter(queue, { readOnlyMode: true })
    if (!known) adapters.set(queue, adapter)
    return [adapter]
  })
}
