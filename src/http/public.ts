import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { IpRange } from '../runtime/ip-range.ts'
import type { Log } from '../runtime/log.ts'
import { MINUTE, SECOND } from '../runtime/time.ts'
import { limitConnections } from './connection-limit.ts'
import { buildListener, nothingHere } from './listener.ts'
import type { Meters } from './metrics/registry.ts'
import { healthRoutes } from './status/health.ts'
import type { Probes } from './status/probes.ts'

export interface PublicDeps {
  readonly log: Log
  /** The route of `POST /webhooks/buildkite`; undefined in a process that does not receive. */
  readonly webhooks: FastifyPluginAsync | undefined
  /** What readiness is decided record, cached. */
  readonly facts: () => Promise<Probes>
  /** Our own proxies in front of this listener. */
  readonly trustProxy?: readonly IpRange[]
  /** Whether an address sent an authentic webhook lately; it may then open more connections. */
  readonly isProven?: (address: string) => boolean
  /** Records how long each webhook request took (`answer_seconds`). */
  readonly record?: Meters['record']
}

/** How many requests a minute for unknown paths one address may send. */
const STRAYS_PER_MINUTE = 60

/** Builds the listener that faces the internet: only the webhook and the two health checks. It does not listen yet. */
export async function buildPublicApp(deps: PublicDeps): Promise<FastifyInstance> {
  const app = buildListener(deps.log, deps.trustProxy)
  limitConnections(app.server, deps.isProven ?? (() => false))
  await app.register(async (strays) => {
    // Not for every route: authentic deliveries all come from a few addresses, so a limit by address would refuse some.
    await strays.register(rateLimit, { global: false })
    const limit = strays.rateLimit({ max: STRAYS_PER_MINUTE, timeWindow: MINUTE })
    strays.setNotFoundHandler({ preHandler: limit }, nothingHere)
  })
  healthRoutes(app, deps.facts)
  const { webhooks, record } = deps
  // In its own context, because it takes bodies raw and no other route should.
  if (webhooks) {
    await app.register(async (own) => {
      own.addHook('onResponse', async (_request, reply) =>
        record?.('webhook_request_duration_seconds', reply.elapsedTime / SECOND),
      )
      await webhooks(own, {})
    })
  }
  return app
}
