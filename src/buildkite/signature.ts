import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** `at` is the time in the signature: when Buildkite sent the delivery. `reason` is for our log only, never for the sender. */
export type SignatureCheck = { ok: true; at: Date } | Refused
type Refused = { ok: false; reason: string }

/**
 * Checks an `X-Buildkite-Signature` header (`timestamp=<unix seconds>,signature=<hex>`) against the raw body.
 *
 * Every secret is tried, so that a webhook's token can be rotated without losing a delivery. `now` and `toleranceMs` are
 * milliseconds; the timestamp may differ by the tolerance in both directions. Never throws.
 */
export function verifySignature(
  raw: Buffer,
  header: string | undefined,
  secrets: readonly string[],
  now: number,
  toleranceMs: number,
): SignatureCheck {
  const read = readSignature(header, now, toleranceMs)
  if (!read.ok) return read
  const given = Buffer.from(read.signature, 'hex')
  let matches = false
  for (const secret of secrets) {
    // No early exit: the duration must not reveal which secret matches.
    if (timingSafeEqual(given, digest(raw, secret, read.timestamp))) matches = true
  }
  return matches ? { ok: true, at: read.at } : refuse('The signature matches none of the configured secrets.')
}

/** What an `X-Buildkite-Signature` header says, if it is well-formed and its time is within the tolerance. It proves nothing yet. */
export function readSignature(
  header: string | undefined,
  now: number,
  toleranceMs: number,
): { ok: true; at: Date; timestamp: string; signature: string } | Refused {
  if (!header) return refuse('There is no X-Buildkite-Signature header.')
  const parts = parseHeader(header)
  if (!parts) return refuse('The X-Buildkite-Signature header is not "timestamp=<seconds>,signature=<64 hex digits>".')
  const at = Number(parts.timestamp) * 1000
  const offMs = at - now
  if (Math.abs(offMs) > toleranceMs) {
    const direction = offMs < 0 ? 'behind' : 'ahead of'
    return refuse(`The signature's time is ${Math.round(Math.abs(offMs) / 1000)} s ${direction} our clock.`)
  }
  return { ok: true, at: new Date(at), ...parts }
}

/** The header value that Buildkite would send for this body; `at` is in milliseconds and is written in whole seconds. */
export function sign(raw: Buffer | string, secret: string, at: number): string {
  const timestamp = String(Math.floor(at / 1000))
  return `timestamp=${timestamp},signature=${digest(raw, secret, timestamp).toString('hex')}`
}

/** Whether an `X-Buildkite-Token` header contains one of the secrets. Takes the same time for each of them, or for none. */
export function verifyToken(header: string | undefined, secrets: readonly string[]): boolean {
  if (!header) return false
  // Hashing first gives both sides the same length, so that not even the secret's length can be measured.
  const given = sha256(header)
  let matches = false
  for (const secret of secrets) {
    if (timingSafeEqual(given, sha256(secret))) matches = true
  }
  return matches
}

function refuse(reason: string): Refused {
  return { ok: false, reason }
}

function digest(raw: Buffer | string, secret: string, timestamp: string): Buffer {
  // The timestamp is signed as it was written, so a header with leading zeros still verifies.
  return createHmac('sha256', secret).update(`${timestamp}.`).update(raw).digest()
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function parseHeader(header: string): { timestamp: string; signature: string } | undefined {
  const found = new Map<string, string>()
  for (const part of header.split(',')) {
    const equals = part.indexOf('=')
    if (equals < 0) return undefined
    const name = part.slice(0, equals).trim()
    // A repeated name is ambiguous; Buildkite never sends one.
    if (found.has(name)) return undefined
    found.set(name, part.slice(equals + 1).trim())
  }
  const timestamp = found.get('timestamp')
  const signature = found.get('signature')
  if (!timestamp || !signature) return undefined
  if (!/^\d{1,12}$/.test(timestamp) || !/^[0-9a-f]{64}$/i.test(signature)) return undefined
  return { timestamp, signature }
}
