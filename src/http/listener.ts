import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import { StoreError } from '../runtime/errors.ts'
import { type IpRange, withinRanges } from '../runtime/ip-range.ts'
import type { Log } from '../runtime/log.ts'
import { SECOND } from '../runtime/time.ts'

/**
 * Creates a Fastify instance with what both listeners share: all timeouts, errors as small JSON, and a log of our own errors only.
 * Requests, headers and bodies are never logged. It does not listen yet.
 */
export function buildListener(log: Log, trustProxy: readonly IpRange[] = []): FastifyInstance {
  // At "info" Fastify logs every address it listens on; serve logs one line instead.
  const logger: FastifyBaseLogger = log.child({}, { level: log.isLevelEnabled('info') ? 'warn' : log.level })
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    // Anyone can write X-Forwarded-For, so the peer counts as the client unless it is one of our own proxies.
    trustProxy: trustProxy.length > 0 && withinRanges(trustProxy),
    // Requests on open connections are still accepted while we stop, because a refused webhook is a lost webhook.
    return503OnClosing: false,
    // The webhook's route sets its own limit; all other bodies are small forms or JSON.
    bodyLimit: 64 * 1024,
    connectionTimeout: 30 * SECOND,
    requestTimeout: 10 * SECOND,
    keepAliveTimeout: 65 * SECOND,
    // By default Node checks for expired connections only every 30 s, so a timeout of 10 s could take 40 s.
    http: { headersTimeout: 5 * SECOND, connectionsCheckingInterval: SECOND },
  })
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? reply.statusCode
    if (status >= 400 && status < 500) return reply.code(status).send({ error: error.message })
    if (error instanceof StoreError && error.kind === 'transient') {
      log.warn({ code: error.code }, `A request failed: ${error.message}`)
      return reply.code(503).header('retry-after', 10).send({ error: 'A store is unavailable. Try again soon.' })
    }
    log.error({ err: error }, 'A request failed.')
    return reply.code(status === 503 ? 503 : 500).send({ error: 'Internal error. See the log.' })
  })
  return app
}

/** Answers requests that match no route. */
export function nothingHere(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.code(404).send({ error: 'Not found.' })
}
