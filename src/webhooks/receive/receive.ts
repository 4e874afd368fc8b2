import { createHash } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isObject } from '../../buildkite/payload-reader.ts'
import { cleanText, redact } from '../../buildkite/redact.ts'
import { verifySignature, verifyToken } from '../../buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../buildkite/webhook-path.ts'
import type { WebhookAuth } from '../../runtime/config.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { type Log, throttledWarn } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import { type Clock, DeadlineError, MINUTE, withDeadline } from '../../runtime/time.ts'
import { type Span, span, type Tracing } from '../../runtime/tracing.ts'
import type { Inbox, NewDelivery } from '../inbox/inbox.ts'

export interface ReceiverSettings {
  /** All secrets that are valid now. Without any the receiver is off. */
  secrets: readonly string[]
  auth: WebhookAuth
  /** Maximum difference between a signature's time and ours, in milliseconds. */
  toleranceMs: number
  storeEnv: boolean
}

export interface ReceiverParts extends ReceiverSettings {
  inbox: Pick<Inbox, 'keep'>
  /** Whether an address may send webhooks. If it is not given, every address may. */
  lets?: ((address: string) => boolean) | undefined
  log: Log
  clock?: Clock
  /** Buildkite's current time, for deliveries without a signature; `undefined` while it is unknown. */
  buildkiteNow?: (() => Date | undefined) | undefined
  record?: RecordMetric
  tracing?: Tracing | undefined
}

/** The parts of a request that matter: header values as received, and the body's bytes. */
export interface WebhookRequest {
  raw: Buffer
  event: string | undefined
  signature: string | undefined
  token: string | undefined
  requestId: string | undefined
}

export type ReadRequest =
  | { ok: true; delivery: NewDelivery }
  | { ok: false; status: 400 | 401 | 503; error: string; reason: string }

const bodyLimit = 10 * 1024 * 1024
/** Buildkite's timeout is about 5 s. */
const answerWithin = 4_000
const failuresPerMinute = 60

/**
 * Authenticates a request and reads it into a delivery; pure. `now` is our clock. `receivedAt` is the same time on Buildkite's clock,
 * and dates deliveries without a signature. `error` may be sent to the client; `reason` is only logged.
 * The bytes are verified before they are parsed.
 */
export function readRequest(
  request: WebhookRequest,
  settings: ReceiverSettings,
  now: number,
  receivedAt = new Date(now),
): ReadRequest {
  if (settings.secrets.length === 0) {
    const error = 'The receiver of webhooks is off, because WEBHOOK_SECRET is not set.'
    return { ok: false, status: 503, error, reason: error }
  }
  const proof = authenticate(request, settings, now, receivedAt)
  if (!proof.ok) return { ok: false, status: 401, error: 'unauthorized', reason: proof.reason }
  const payload = parseObject(request.raw)
  if (!payload) {
    const error = 'The body is not a JSON object.'
    return { ok: false, status: 400, error, reason: error }
  }
  const named = request.event ?? payload.event
  const event = typeof named === 'string' && named !== '' ? cleanText(named).slice(0, 200) : 'unknown'
  const delivery: NewDelivery = {
    key: deliveryKey(event, proof.signed ? proof.at.toISOString() : (request.requestId ?? ''), request.raw),
    event,
    request_id: request.requestId === undefined ? null : cleanText(request.requestId).slice(0, 200),
    received_at: new Date(now),
    observed_at: proof.at,
    payload: JSON.stringify(redact(payload, settings)),
  }
  return { ok: true, delivery }
}

type Proof = { ok: true; at: Date; signed: boolean } | { ok: false; reason: string }

/** In signature mode a token is not accepted. Otherwise a client that has seen a token would need no signature. */
function authenticate(request: WebhookRequest, settings: ReceiverSettings, now: number, receivedAt: Date): Proof {
  if (settings.auth === 'token') {
    if (verifyToken(request.token, settings.secrets)) return { ok: true, at: receivedAt, signed: false }
    return { ok: false, reason: 'X-Buildkite-Token is missing or matches none of the configured secrets.' }
  }
  const verdict = verifySignature(request.raw, request.signature, settings.secrets, now, settings.toleranceMs)
  return verdict.ok ? { ok: true, at: verdict.at, signed: true } : verdict
}

function parseObject(raw: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(raw.toString('utf8'))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

/**
 * Buildkite gives deliveries no id. A delivery that Buildkite sends again has the same bytes and a new time, so it gets a new key. A
 * request that somebody else replays has the same bytes and the same time, so it gets the same key and is a duplicate.
 */
function deliveryKey(event: string, moment: string, raw: Buffer): string {
  return createHash('sha256').update(`${event}\n${moment}\n`).update(raw).digest('hex')
}

/** A Fastify plugin: `POST /webhooks/buildkite`, with its own body parser and errors. */
export async function webhookRoute(app: FastifyInstance, parts: ReceiverParts): Promise<void> {
  const { inbox, lets, log, secrets, clock = Date.now, buildkiteNow, record = () => {} } = parts
  const mayLogAddress = throttledWarn(MINUTE, clock)
  const mayLogRefusal = throttledWarn(MINUTE, clock)
  const mayLogFlood = throttledWarn(MINUTE, clock)

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit }, (_request, body, done) =>
    done(null, body),
  )
  // Counts only requests that fail authentication: Buildkite never resends a refused delivery, and its deliveries may share an
  // address with other clients behind the same proxy. Verifying first costs only an HMAC.
  await app.register(rateLimit, { global: false, max: failuresPerMinute, timeWindow: MINUTE })
  const failures = app.createRateLimit()

  const refuseStranger = async (request: FastifyRequest, reply: FastifyReply, reason: string) => {
    const spent = await failures(request)
    if (spent.isAllowed || !spent.isExceeded) {
      // The usual cause is a wrong WEBHOOK_SECRET, and then this line explains why webhooks are lost.
      if (mayLogRefusal())
        log.warn({ reason, address: request.ip }, 'A webhook was refused with 401; logged at most once a minute.')
      return reply.code(401).send({ error: 'unauthorized' })
    }
    if (mayLogFlood())
      log.warn({ reason, address: request.ip }, 'Too many webhooks fail authentication; refused with 429.')
    return reply.code(429).header('retry-after', spent.ttlInSeconds).send({ error: 'too many requests' })
  }

  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error)
    if (status >= 500) log.error({ err: error }, 'A webhook request failed.')
    return reply.code(status).send({ error: status < 500 ? messageOf(error) : 'The delivery was not stored.' })
  })
  app.addHook('onResponse', async (_request, reply) => {
    // A receiver that is off loses no delivery that it should store, so its 503 is counted separately.
    const off = secrets.length === 0 && reply.statusCode === 503
    record('webhook_requests_total', 1, { status: off ? 'off' : String(reply.statusCode) })
  })

  if (lets) {
    // Checked before the body is read. Closing the connection ensures that it never is.
    app.addHook('onRequest', async (request, reply) => {
      if (lets(request.ip)) return undefined
      if (mayLogAddress()) {
        log.warn(
          { address: request.ip },
          'A webhook came from an address that is not in WEBHOOK_ALLOWED_IPS; logged at most once a minute.',
        )
      }
      return reply.code(403).header('connection', 'close').send({ error: 'forbidden' })
    })
  }

  app.post(WEBHOOK_PATH, { bodyLimit }, (request, reply) =>
    span(
      parts.tracing,
      `POST ${WEBHOOK_PATH}`,
      { 'http.request.method': 'POST', 'http.route': WEBHOOK_PATH },
      async (traced) => {
        await receive(request, reply, traced)
        traced.set({ 'http.response.status_code': reply.statusCode })
        return reply
      },
      { kind: 'server' },
    ),
  )

  const receive = async (request: FastifyRequest, reply: FastifyReply, traced: Span): Promise<FastifyReply> => {
    const reading = readRequest(partsOf(request), parts, clock(), buildkiteNow?.())
    if (!reading.ok) {
      if (reading.status === 401) return refuseStranger(request, reply, reading.reason)
      return reply.code(reading.status).send({ error: reading.error })
    }
    traced.set({ 'buildkite.event': reading.delivery.event })
    try {
      const kept = await withDeadline(inbox.keep(reading.delivery), answerWithin, 'The inbox')
      if (kept === 'known') record('deliveries_duplicate_total', 1)
    } catch (error) {
      if (!(error instanceof StoreError) && !(error instanceof DeadlineError)) throw error
      return reply
        .code(503)
        .header('retry-after', 5)
        .send({ error: 'The delivery could not be stored. Send it again.' })
    }
    return reply.code(202).send({ status: 'accepted' })
  }
}

function partsOf(request: FastifyRequest): WebhookRequest {
  const header = (name: string) => {
    const value = request.headers[name]
    return typeof value === 'string' ? value : undefined
  }
  return {
    raw: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
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
