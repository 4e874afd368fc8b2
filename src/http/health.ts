import type { FastifyInstance } from 'fastify'
import { type Clock, formatDuration, MINUTE, SECOND } from '../time.ts'
import type { Facts } from './facts.ts'

export type HealthStatus = 'ok' | 'degraded' | 'unavailable'

export interface Readiness {
  status: HealthStatus
  /** What is wrong, in sentences. For the private listener only: they may name stores, organizations and figures. */
  reasons: string[]
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
  const queue = facts.queue.ok ? undefined : facts.queue.why
  const stuck = database || queue ? undefined : faultOfProgress(facts)
  const receives = facts.roles.has('web')
  const unavailable = receives ? Boolean(database && queue) : Boolean(database || queue || stuck)
  const reasons = [database, queue, stuck].filter((reason) => reason !== undefined)
  if (facts.queue.ok) reasons.push(...facts.queue.value)
  reasons.push(...facts.problems.map((problem) => problem.message))
  if (facts.closing) return { status: 'unavailable', reasons: ['This process is shutting down.', ...reasons] }
  // A queue that is badly set up (eviction, no persistence) works, so its warnings are told but degrade nothing.
  const degraded = Boolean(database || queue || stuck || facts.problems.length > 0)
  return { status: unavailable ? 'unavailable' : degraded ? 'degraded' : 'ok', reasons }
}

function faultOfDatabase({ database }: Facts): string | undefined {
  if (!database.ok) return database.why
  if (database.value === 0) return undefined
  return `The database lacks ${database.value} migration(s) that this program needs. Run buildkite-mirror migrate.`
}

function faultOfProgress({ idleMs, oldestPendingMs }: Facts): string | undefined {
  if (idleMs !== undefined && idleMs > STUCK) return `A worker has made no progress for ${formatDuration(idleMs)}.`
  if (idleMs !== undefined && oldestPendingMs !== undefined && oldestPendingMs > LATE) {
    return `The oldest delivery has been waiting for ${formatDuration(oldestPendingMs)}.`
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
