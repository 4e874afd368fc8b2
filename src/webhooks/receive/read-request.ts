import { createHash } from 'node:crypto'
import { cleanText } from '../../buildkite/redact.ts'
import { readSignature, verifySignature, verifyToken } from '../../buildkite/signature.ts'
import type { WebhookAuth } from '../../runtime/config.ts'
import type { NewDelivery } from '../inbox/inbox.ts'
import { readPayload } from '../inbox/read-payload.ts'

export interface ReceiverSettings {
  /** All secrets that are valid now. Without any the receiver is off. */
  secrets: readonly string[]
  auth: WebhookAuth
  /** Maximum difference between a signature's time and ours, in milliseconds. */
  toleranceMs: number
  storeEnv: boolean
}

/** The headers that matter, as received. */
export interface WebhookHeaders {
  event: string | undefined
  signature: string | undefined
  token: string | undefined
  requestId: string | undefined
}

export interface WebhookRequest extends WebhookHeaders {
  /** The body's bytes. */
  raw: Buffer
}

/** `error` may be sent to the client; `reason` is only logged. */
export interface RefusedRequest {
  ok: false
  status: 400 | 401 | 503
  error: string
  reason: string
}

export type ReadRequest = { ok: true; delivery: NewDelivery } | RefusedRequest

/** Why a request is refused without its body: reading a body costs memory, so headers that cannot be authentic end it. Pure. */
export function refusedByHeaders(
  headers: WebhookHeaders,
  settings: ReceiverSettings,
  now: number,
): RefusedRequest | undefined {
  if (settings.secrets.length === 0) {
    const error = 'The receiver of webhooks is off, because WEBHOOK_SECRET is not set.'
    return { ok: false, status: 503, error, reason: error }
  }
  const read =
    settings.auth === 'token'
      ? checkToken(headers.token, settings.secrets)
      : readSignature(headers.signature, now, settings.toleranceMs)
  return read.ok ? undefined : unauthorized(read.reason)
}

/**
 * Authenticates a request that {@link refusedByHeaders} lets pass, and reads it into a delivery; pure. `now` is our clock. `receivedAt` is the same time on Buildkite's clock,
 * and dates deliveries without a signature. The bytes are verified before they are parsed.
 */
export function readRequest(
  request: WebhookRequest,
  settings: ReceiverSettings,
  now: number,
  receivedAt = new Date(now),
): ReadRequest {
  const proof = authenticate(request, settings, now, receivedAt)
  if (!proof.ok) return unauthorized(proof.reason)
  const read = readPayload(request.raw, settings)
  if (!read.ok && read.reason === 'not_an_object') {
    return { ok: false, status: 400, error: read.error, reason: read.error }
  }
  const delivery: NewDelivery = {
    key: deliveryKey(proof.signed ? proof.at.toISOString() : (request.requestId ?? ''), request.raw),
    event: eventOf(read.ok ? read.payload : {}, request.event),
    request_id: request.requestId === undefined ? null : cleanText(request.requestId).slice(0, 200),
    received_at: new Date(now),
    observed_at: proof.at,
    // An authentic body that is not read is stored without its content, and fails by name.
    payload: read.ok ? read.text : null,
    error: read.ok ? null : read.error,
  }
  return { ok: true, delivery }
}

type Proof = { ok: true; at: Date; signed: boolean } | { ok: false; reason: string }

/** In signature mode a token is not accepted. Otherwise a client that has seen a token would need no signature. */
function authenticate(request: WebhookRequest, settings: ReceiverSettings, now: number, receivedAt: Date): Proof {
  if (settings.auth === 'token') {
    const check = checkToken(request.token, settings.secrets)
    return check.ok ? { ok: true, at: receivedAt, signed: false } : check
  }
  const check = verifySignature(request.raw, request.signature, settings.secrets, now, settings.toleranceMs)
  return check.ok ? { ok: true, at: check.at, signed: true } : check
}

function checkToken(
  token: string | undefined,
  secrets: readonly string[],
): { ok: true } | { ok: false; reason: string } {
  if (verifyToken(token, secrets)) return { ok: true }
  return { ok: false, reason: 'X-Buildkite-Token is missing or matches none of the configured secrets.' }
}

function unauthorized(reason: string): RefusedRequest {
  return { ok: false, status: 401, error: 'unauthorized', reason }
}

/** The body's name of the event first: it is signed, and headers are not. */
function eventOf(payload: Record<string, unknown>, header: string | undefined): string {
  const named = typeof payload.event === 'string' && payload.event !== '' ? payload.event : header
  return named ? cleanText(named).slice(0, 200) : 'unknown'
}

/**
 * Buildkite gives deliveries no id. A delivery that Buildkite sends again has the same bytes and a new time, so it gets a new key. A
 * request that somebody else replays has the same bytes and the same time, so it gets the same key and is a duplicate, whatever its
 * other headers are. Without signatures the request's id takes the place of the time.
 */
function deliveryKey(moment: string, raw: Buffer): string {
  return createHash('sha256').update(`${moment}\n`).update(raw).digest('hex')
}
