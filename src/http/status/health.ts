import type { FastifyInstance } from 'fastify'
import { type QueueWarning, warningText } from '../../queue/queues.ts'
import type { Issue } from '../../reconcile/issue.ts'
import { type Clock, formatDuration, MINUTE, SECOND } from '../../runtime/time.ts'
import type { Probes } from './probes.ts'

export type HealthStatus = 'ok' | 'degraded' | 'unavailable'

/** Something that is wrong. For the private listener only: the text may name stores and organizations. */
export interface HealthReason {
  readonly code:
    | 'shutting_down'
    | 'database_unreachable'
    | 'migrations_pending'
    | 'queue_unreachable'
    | 'worker_stalled'
    | 'delivery_waiting'
    | 'unknown'
    | QueueWarning['name']
    | Issue['code']
  /** In sentences, for people. */
  readonly text: string
}

export interface Readiness {
  status: HealthStatus
  reasons: HealthReason[]
}

/** A worker without progress for this long is stuck, if its stores answer. */
const STUCK = 5 * MINUTE
/** A delivery that waited this long was overlooked. */
const LATE = 5 * MINUTE

/**
 * Decides whether this process should get work (pure).
 *
 * `unavailable` (503) means that it cannot do its job. For a receiver that means that no store can take a delivery. Removing it from
 * the load balancer for anything less would lose webhooks, which Buildkite does not send again. So a receiver is `degraded` (200)
 * with one store left, or with a token that no longer works. On an older schema it is `degraded` too: the queue stores what the older
 * inbox does not accept.
 */
export function readiness(facts: Probes): Readiness {
  const database = faultOfDatabase(facts)
  const queue = facts.queue.ok ? undefined : reason('queue_unreachable', facts.queue.why)
  const stuck = database || queue ? undefined : faultOfProgress(facts)
  const receives = facts.roles.has('web')
  const unavailable = receives ? Boolean(database && queue) : Boolean(database || queue || stuck)
  const reasons = [database, queue, stuck].filter((one) => one !== undefined)
  if (facts.queue.ok) reasons.push(...facts.queue.value.map((one) => reason(one.name, warningText(one))))
  reasons.push(...facts.problems.map(({ code, message }) => reason(code, message)))
  if (facts.closing) {
    return { status: 'unavailable', reasons: [reason('shutting_down', 'This process is shutting down.'), ...reasons] }
  }
  // A queue with bad settings (eviction, no persistence) works, so its warnings are listed but degrade nothing.
  const degraded = Boolean(database || queue || stuck || facts.problems.length > 0)
  return { status: unavailable ? 'unavailable' : degraded ? 'degraded' : 'ok', reasons }
}

function reason(code: HealthReason['code'], text: string): HealthReason {
  return { code, text }
}

function faultOfDatabase({ database }: Probes): HealthReason | undefined {
  if (!database.ok) return reason('database_unreachable', database.why)
  if (database.value === 0) return undefined
  const text = `The database needs ${database.value} more ${database.value === 1 ? 'migration' : 'migrations'} for this version. Run buildkite-mirror migrate.`
  return reason('migrations_pending', text)
}

function faultOfProgress({ idleMs, oldestPendingMs }: Probes): HealthReason | undefined {
  if (idleMs !== undefined && idleMs > STUCK) {
    return reason('worker_stalled', `A worker has made no progress for ${formatDuration(idleMs)}.`)
  }
  if (idleMs !== undefined && oldestPendingMs !== undefined && oldestPendingMs > LATE) {
    return reason('delivery_waiting', `The oldest delivery has been waiting for ${formatDuration(oldestPendingMs)}.`)
  }
  return undefined
}

/** A version of `gather` that runs at most once in `ageMs`, so that frequent public requests do not load the stores. */
export function cached<T>(gather: () => Promise<T>, clock: Clock, ageMs = SECOND): () => Promise<T> {
  let last: { at: number; value: Promise<T> } | undefined
  return () => {
    if (last && clock() - last.at < ageMs) return last.value
    const value = gather()
    last = { at: clock(), value }
    value.catch(() => {
      if (last?.value === value) last = undefined
    })
    return value
  }
}

/** Adds `/health/live` (the process answers) and `/health/ready` (it can work). They are public, so they show only a status. */
export function healthRoutes(app: FastifyInstance, facts: () => Promise<Probes>): void {
  app.get('/health/live', async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }))
  app.get('/health/ready', async (_request, reply) => {
    const { status } = readiness(await facts())
    return reply
      .header('cache-control', 'no-store')
      .code(status === 'unavailable' ? 503 : 200)
      .send({ status })
  })
}
