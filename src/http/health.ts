import type { FastifyInstance } from 'fastify'
import { type QueueWarning, warningText } from '../queue/queues.ts'
import type { Problem } from '../reconcile/problem.ts'
import { type Clock, formatDuration, MINUTE, SECOND } from '../time.ts'
import type { Facts } from './facts.ts'

export type HealthStatus = 'ok' | 'degraded' | 'unavailable'

/** Something that is wrong. For the private listener only: the text may name stores, organizations and figures. */
export interface HealthReason {
  readonly code:
    | 'shutting_down'
    | 'database_unreachable'
    | 'migrations_pending'
    | 'queue_unreachable'
    | 'worker_idle'
    | 'delivery_waiting'
    | 'unknown'
    | QueueWarning['name']
    | Problem['code']
  /** In sentences, for people. */
  readonly text: string
}

export interface Readiness {
  status: HealthStatus
  reasons: HealthReason[]
}

/** A worker that stood still for so long, while its stores answer, is stuck. */
const STUCK = 5 * MINUTE
/** A delivery that waited for so long was passed by. */
const LATE = 5 * MINUTE

/**
 * Decides whether this process should be sent work (pure).
 *
 * `unavailable` (503) means that it cannot do what it is for. For a receiver that is: it can keep a delivery nowhere. Taking it out
 * of the load balancer for anything less would lose webhooks, which Buildkite does not send again, so a receiver with one store
 * left, on a schema older than it (what that does not take, the queue keeps), or with a Buildkite token that no longer works, is
 * `degraded` and stays in (200).
 */
export function readiness(facts: Facts): Readiness {
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
  // A queue that is badly set up (eviction, no persistence) works, so its warnings are told but degrade nothing.
  const degraded = Boolean(database || queue || stuck || facts.problems.length > 0)
  return { status: unavailable ? 'unavailable' : degraded ? 'degraded' : 'ok', reasons }
}

function reason(code: HealthReason['code'], text: string): HealthReason {
  return { code, text }
}

function faultOfDatabase({ database }: Facts): HealthReason | undefined {
  if (!database.ok) return reason('database_unreachable', database.why)
  if (database.value === 0) return undefined
  const text = `The database lacks ${database.value} migration(s) that this program needs. Run buildkite-mirror migrate.`
  return reason('migrations_pending', text)
}

function faultOfProgress({ idleMs, oldestPendingMs }: Facts): HealthReason | undefined {
  if (idleMs !== undefined && idleMs > STUCK) {
    return reason('worker_idle', `A worker has made no progress for ${formatDuration(idleMs)}.`)
  }
  if (idleMs !== undefined && oldestPendingMs !== undefined && oldestPendingMs > LATE) {
    return reason('delivery_waiting', `The oldest delivery has been waiting for ${formatDuration(oldestPendingMs)}.`)
  }
  return undefined
}

/** Gives the facts, gathered anew at most once in `ageMs`: however often strangers ask, the stores are asked once a second. */
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

/** Adds `/health/live` (the process answers) and `/health/ready` (it can do its work): a status each, nothing that strangers could use. */
export function healthRoutes(app: FastifyInstance, facts: () => Promise<Facts>): void {
  app.get('/health/live', async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' }))
  app.get('/health/ready', async (_request, reply) => {
    const { status } = readiness(await facts())
    return reply
      .header('cache-control', 'no-store')
      .code(status === 'unavailable' ? 503 : 200)
      .send({ status })
  })
}
