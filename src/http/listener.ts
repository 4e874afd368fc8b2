import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import { StoreError } from '../errors.ts'
import { type IpRange, withinRanges } from '../ip-range.ts'
import type { Log } from '../log.ts'
import { SECOND } from '../time.ts'

/**
 * A Fastify instance with what both listeners share: every timeout set, errors as small JSON, and a log of our own faults only
 * (requests, headers and bodies are never logged). It does not listen yet.
 */
export function buildListener(log: Log, trustProxy: readonly IpRange[] = []): FastifyInstance {
  // Fastify says at "info" where it listens, once for each address of the machine; serve says it once.
  const logger: FastifyBaseLogger = log.child({}, { level: log.isLevelEnabled('info') ? 'warn' : log.level })
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    // Whoever stands before us is the client, for X-Forwarded-For can be written by anyone: unless it is a proxy of our own.
    trustProxy: trustProxy.length > 0 && withinRanges(trustProxy),
    // What comes on an open connection while we stop is still taken: a webhook refused is a webhook lost.
    return503OnClosing: false,
    // The webhook's route sets its own; no other takes a body.
    bodyLimit: 64 * 1024,
    connectionTimeout: 30 * SECOND,
    requestTimeout: 10 * SECOND,
    keepAliveTimeout: 65 * SECOND,
    // Node looks for connections beyond their time every 30 s unless told otherwise, which would make 10 s up to 40.
    http: { headersTimeout: 5 * SECOND, connectionsCheckingInterval: SECOND },
  })
  app.setErrorHandler((error: FastifyError, _request, reply) => {
    const status = error.statusCode ?? reply.statusCode
    if (status >= 400 && status < 500) return reply.code(status).send({ error: error.message })
    if (error instanceof StoreError && error.kind === 'transient') {
      log.warn({ code: error.code }, `A request could not be answered: ${error.message}`)
      return reply.code(503).header('retry-after', 10).send({ error: 'A store is out of reach now. Try again soon.' })
    }
    log.error({ err: error }, 'A request failed.')
    return reply.code(status === 503 ? 503 : 500).send({ error: 'Something failed here. The log says what.' })
  })
  return app
}

/** The answer to whatever has no route. */
export function nothingHere(_request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return reply.code(404).send({ error: 'There is nothing here.' })
}
