import type { Queues, QueueWarning } from '../../queue/queues.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { type Finding, failure, warning, well } from '../finding.ts'

/** What the queue's store reports, or why it does not answer. */
export type QueueFacts =
  | { readonly ok: true; readonly backend: 'redis' | 'postgres'; readonly warnings: readonly QueueWarning[] }
  | {
      readonly ok: false
      readonly backend: 'redis' | 'postgres'
      readonly why: string
      readonly remedy?: string | undefined
    }

/** Checks the queue (pure). */
export function judgeQueue(facts: QueueFacts): Finding[] {
  if (!facts.ok) {
    return [failure('queue_unreachable', '', facts.why, facts.remedy ?? usualRemedies[facts.backend])]
  }
  const answers = well('queue_unreachable', '', `The queue answers; it is stored in ${storeNames[facts.backend]}.`)
  if (facts.backend === 'postgres') return [answers]
  return [
    answers,
    judgeRedis(facts.warnings, 'redis_eviction', 'Redis does not evict jobs.'),
    judgeRedis(facts.warnings, 'redis_persistence', 'Redis has an append-only file.'),
  ]
}

const usualRemedies = {
  redis: 'Check REDIS_URL, that Redis runs, and that it accepts connections from here.',
  postgres: 'See the checks of Postgres.',
} as const

const storeNames = { redis: 'Redis', postgres: 'Postgres' } as const

/** A managed Redis may hide its settings; it then has no warnings and counts as well configured. */
function judgeRedis(warnings: readonly QueueWarning[], name: QueueWarning['name'], good: string): Finding {
  const found = warnings.find((one) => one.name === name)
  return found ? warning(name, '', found.fact, found.remedy) : well(name, '', good)
}

/** Checks the queue's store. Never rejects. */
export async function readQueue(queues: Queues): Promise<QueueFacts> {
  const { backend } = queues
  try {
    return { ok: true, backend, warnings: await queues.check() }
  } catch (error) {
    if (error instanceof StoreError) return { ok: false, backend, why: error.fact, remedy: error.remedy }
    return { ok: false, backend, why: messageOf(error) }
  }
}
