import type { IncomingMessage } from 'node:http'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WEBHOOK_PATH } from '../../buildkite/webhook-path.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { type Log, throttledWarn } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import { type Clock, DeadlineError, MINUTE, withDeadline } from '../../runtime/time.ts'
import { type Span, span, type Tracing } from '../../runtime/tracing.ts'
import type { Inbox, NewDelivery } from '../inbox/inbox.ts'
import { BodyBudget, type BodyShare } from './body-budget.ts'
import { ProvenAddresses } from './proven-addresses.ts'
import { BodyError, readBody } from './read-body.ts'
import { type ReceiverSettings, readRequest, refusedByHeaders, type WebhookHeaders } from './read-request.ts'

export interface ReceiverParts extends ReceiverSettings {
  inbox: Pick<Inbox, 'keep'>
  /** Whether an address may send webhooks. If it is not given, every address may. */
  lets?: ((address: string) => boolean) | undefined
  /** Filled with the addresses that send authentic webhooks; the listener's limit of connections reads it. */
  proven?: ProvenAddresses
  log: Log
  clock?: Clock
  /** Buildkite's current time, for deliveries without a signature; `undefined` while it is unknown. */
  buildkiteNow?: (() => Date | undefined) | undefined
  record?: RecordMetric
  tracing?: Tracing | undefined
}

/** Buildkite's timeout is about 5 s. */
const answerWithin = 4_000
const failuresPerMinute = 60

/** A Fastify plugin: `POST /webhooks/buildkite`, with its own body parser and errors. */
export async function webhookRoute(app: FastifyInstance, parts: ReceiverParts): Promise<void> {
  const { clock = Date.now, buildkiteNow, tracing, proven = new ProvenAddresses(clock) } = parts
  answerErrors(app, parts)
  countAnswers(app, parts)
  refuseOtherAddresses(app, parts)
  const refuseStranger = await limitStrangers(app, parts)
  app.addHook('onRequest', async (request, reply) => {
    const refused = refusedByHeaders(headersOf(request), parts, clock())
    if (!refused) return undefined
    reply.header('connection', 'close')
    if (refused.status === 401) return refuseStranger(request, reply, refused.reason)
    return reply.code(refused.status).send({ error: refused.error })
  })
  readBodies(app, new BodyBudget(proven.has))

  const receive = async (request: FastifyRequest, reply: FastifyReply, traced: Span) => {
    const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
    const read = readRequest({ ...headersOf(request), raw }, parts, clock(), buildkiteNow?.())
    if (read.ok) {
      // The peer too: behind a proxy it is the address that opens connections.
      for (const address of [request.ip, request.socket.remoteAddress]) if (address) proven.add(address)
      traced.set({ 'buildkite.event': read.delivery.event })
      await store(parts, read.delivery, reply)
    } else if (read.status === 401) await refuseStranger(request, reply, read.reason)
    else await reply.code(read.status).send({ error: read.error })
    traced.set({ 'http.response.status_code': reply.statusCode })
    return reply
  }
  const about = { 'http.request.method': 'POST', 'http.route': WEBHOOK_PATH }
  app.post(WEBHOOK_PATH, (request, reply) =>
    span(tracing, `POST ${WEBHOOK_PATH}`, about, (traced) => receive(request, reply, traced), { kind: 'server' }),
  )
}

function answerErrors(app: FastifyInstance, { log, clock = Date.now }: ReceiverParts): void {
  const mayLogFull = throttledWarn(MINUTE, clock)
  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error)
    if (error instanceof BodyError && status === 503) {
      if (mayLogFull()) log.warn('Webhooks are refused with 503: the bodies in memory reach their limit.')
      return reply.code(status).header('retry-after', 5).send({ error: error.message })
    }
    if (status >= 500) log.error({ err: error }, 'A webhook request failed.')
    return reply.code(status).send({ error: status < 500 ? messageOf(error) : 'The delivery was not stored.' })
  })
}

/** Reads bodies raw, within the budget. A body counts until its connection has the answer or is closed. */
function readBodies(app: FastifyInstance, budget: BodyBudget): void {
  const shares = new WeakMap<FastifyRequest, BodyShare>()
  app.addHook('preParsing', async (request, reply) => {
    const share = budget.share(request.ip)
    shares.set(request, share)
    reply.raw.once('close', share.release)
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', (request: FastifyRequest, body: IncomingMessage) => {
    const share = shares.get(request)
    if (!share) throw new Error('The request has no share of the body budget.')
    const announced = request.headers['content-length']
    return readBody(body, announced === undefined ? undefined : Number(announced), share)
  })
}

function countAnswers(app: FastifyInstance, { secrets, record }: ReceiverParts): void {
  app.addHook('onResponse', async (_request, { statusCode }) => {
    // A receiver that is off loses no delivery that it should store, so its 503 is counted separately.
    const isOff = secrets.length === 0 && statusCode === 503
    record?.('webhook_requests_total', 1, { status: isOff ? 'off' : String(statusCode) })
  })
}

/** Checks the address before the body is read. Closing the connection ensures that it never is. */
function refuseOtherAddresses(app: FastifyInstance, { lets, log, clock = Date.now }: ReceiverParts): void {
  if (!lets) return
  const mayLog = throttledWarn(MINUTE, clock)
  app.addHook('onRequest', async (request, reply) => {
    if (lets(request.ip)) return undefined
    const message = 'A webhook came from an address that is not in WEBHOOK_ALLOWED_IPS; logged at most once a minute.'
    if (mayLog()) log.warn({ address: request.ip }, message)
    return reply.code(403).header('connection', 'close').send({ error: 'forbidden' })
  })
}

/**
 * Returns what refuses requests that fail authentication, at most 60 a minute with 401. Only those count: Buildkite never resends a
 * refused delivery, and its deliveries may share an address with other clients behind the same proxy. Verifying first costs only an HMAC.
 */
async function limitStrangers(app: FastifyInstance, { log, clock = Date.now }: ReceiverParts) {
  const mayLogRefusal = throttledWarn(MINUTE, clock)
  const mayLogFlood = throttledWarn(MINUTE, clock)
  await app.register(rateLimit, { global: false, max: failuresPerMinute, timeWindow: MINUTE })
  const failures = app.createRateLimit()

  return async (request: FastifyRequest, reply: FastifyReply, reason: string): Promise<FastifyReply> => {
    const spent = await failures(request)
    const about = { reason, address: request.ip }
    if (spent.isAllowed || !spent.isExceeded) {
      // The usual cause is a wrong WEBHOOK_SECRET, and then this line explains why webhooks are lost.
      if (mayLogRefusal()) log.warn(about, 'A webhook was refused with 401; logged at most once a minute.')
      return reply.code(401).send({ error: 'unauthorized' })
    }
    if (mayLogFlood()) log.warn(about, 'Too many webhooks fail authentication; refused with 429.')
    return reply.code(429).header('retry-after', spent.ttlInSeconds).send({ error: 'too many requests' })
  }
}

async function store(
  { inbox, record }: ReceiverParts,
  delivery: NewDelivery,
  reply: FastifyReply,
): Promise<FastifyReply> {
  try {
    const kept = await withDeadline(inbox.keep(delivery), answerWithin, 'The inbox')
    if (kept === 'known') record?.('deliveries_duplicate_total', 1)
  } catch (error) {
    if (!(error instanceof StoreError) && !(error instanceof DeadlineError)) throw error
    return reply.code(503).header('retry-after', 5).send({ error: 'The delivery could not be stored. Send it again.' })
  }
  return reply.code(202).send({ status: 'accepted' })
}

function headersOf(request: FastifyRequest): WebhookHeaders {
  const header = (name: string) => {
    const value = request.headers[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    event: header('x-buildkite-event'),
    signature: header('x-buildkite-signature'),
    token: header('x-buildkite-token'),
    requestId: header('x-buildkite-request'),
  }
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined
  return typeof status === 'number' && status >= 400 ? status : 500
}
