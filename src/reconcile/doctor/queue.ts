import { messageOf } from '../../errors.ts'
import type { Queues, QueueWarning } from '../../queue/queues.ts'
import { type Finding, failure, warning, well } from './finding.ts'

/** What the queue's store says of itself, or why it does not answer. */
export type QueueFacts =
  | { readonly ok: true; readonly backend: 'redis' | 'postgres'; readonly warnings: readonly QueueWarning[] }
  | { readonly ok: false; readonly backend: 'redis' | 'postgres'; readonly why: string }

/** What is found of the queue (pure). */
export function judgeQueue(facts: QueueFacts): Finding[] {
  if (!facts.ok) {
    const remedy =
      facts.backend === 'redis' ? 'Check REDIS_URL, and that Redis runs and lets us in from here.' : 'See Postgres.'
    return [failure('queue_unreachable', '', facts.why, remedy)]
  }
  const answers = well('queue_unreachable', '', `The queue answers; it lives in ${storeNames[facts.backend]}.`)
  if (facts.backend === 'postgres') return [answers]
  return [
    answers,
    judgeRedis(facts.warnings, 'redis_eviction', 'Redis throws no jobs away.'),
    judgeRedis(facts.warnings, 'redis_persistence', 'Redis keeps an append-only file.'),
  ]
}

const storeNames = { redis: 'Redis', postgres: 'Postgres' } as const

/** A managed Redis that does not tell its settings counts as well set up. */
function judgeRedis(warnings: readonly QueueWarning[], name: QueueWarning['name'], good: string): Finding {
  const told = warnings.find((one) => one.name === name)
  return told ? warning(name, '', told.fact, told.remedy) : well(name, '', good)
}

/** Asks the queue. Never rejects. */
export async function readQueue(queues: Queues): Promise<QueueFacts> {
  const { backend } = queues
  try {
    return { ok: true, backend, warnings: await queues.check() }
  } catch (error) {
    return { ok: false, backend, why: messageOf(error) }
  }
}
