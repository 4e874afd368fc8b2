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
    const { fact, remedy } = parted(facts.why)
    const usual =
      facts.backend === 'redis' ? 'Check REDIS_URL, and that Redis runs and lets us in from here.' : 'See Postgres.'
    return [failure('queue_unreachable', '', fact, remedy || usual)]
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
  if (!told) return well(name, '', good)
  const { fact, remedy } = parted(told.message)
  return warning(name, '', fact, remedy)
}

/** A message of the queue's in its two parts; the remedy is empty where it holds none. */
function parted(message: string): { fact: string; remedy: string } {
  const cut = message.lastIndexOf('. Set ') + 1
  return cut === 0 ? { fact: message, remedy: '' } : { fact: message.slice(0, cut), remedy: message.slice(cut).trim() }
}

/** Asks the queue. Never rejects. */
export async function readQueue(queues: Queues): Promise<QueueFacts> {
  const { backend } = queues
  try {
    return { ok: true, backend, warnings: await queues.inspect() }
  } catch (error) {
    return { ok: false, backend, why: messageOf(error) }
  }
}
