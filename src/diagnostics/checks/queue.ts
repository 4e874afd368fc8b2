import type { Queues, QueueWarning } from '../../queue/queues.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { type CheckResult, failure, ok, warning } from '../finding.ts'

/** What the queue's store reports, or why it does not answer. */
export type QueueState =
  | { readonly ok: true; readonly backend: 'redis' | 'postgres'; readonly warnings: readonly QueueWarning[] }
  | {
      readonly ok: false
      readonly backend: 'redis' | 'postgres'
      readonly why: string
      readonly remedy?: string | undefined
    }

/** Checks the queue (pure). */
export function checkQueueState(queue: QueueState): CheckResult[] {
  if (!queue.ok) {
    return [failure('queue_unreachable', '', queue.why, queue.remedy ?? usualRemedies[queue.backend])]
  }
  const answers = ok('queue_unreachable', '', `The queue answers; it is stored in ${storeNames[queue.backend]}.`)
  if (queue.backend === 'postgres') return [answers]
  return [
    answers,
    checkRedis(queue.warnings, 'redis_eviction', 'Redis does not evict jobs.'),
    checkRedis(queue.warnings, 'redis_persistence', 'Redis has an append-only file.'),
  ]
}

const usualRemedies = {
  redis:
    'Check REDIS_URL (rediss: only if this port has TLS), that Redis runs, and that it accepts connections from here.',
  postgres: 'See the checks of Postgres.',
} as const

const storeNames = { redis: 'Redis', postgres: 'Postgres' } as const

/** A managed Redis may hide its settings. Then there are no warnings, and the checks are ok. */
function checkRedis(warnings: readonly QueueWarning[], name: QueueWarning['name'], good: string): CheckResult {
  const found = warnings.find((one) => one.name === name)
  return found ? warning(name, '', found.fact, found.remedy) : ok(name, '', good)
}

/** Asks the queue for its state. Never rejects. */
export async function readQueue(queues: Queues): Promise<QueueState> {
  const { backend } = queues
  try {
    return { ok: true, backend, warnings: await queues.check() }
  } catch (error) {
    if (error instanceof StoreError) return { ok: false, backend, why: error.fact, remedy: error.remedy }
    return { ok: false, backend, why: messageOf(error) }
  }
}
