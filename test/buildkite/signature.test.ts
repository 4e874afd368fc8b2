import { describe, expect, it } from 'vitest'
import { sign, verifySignature, verifyToken } from '../../src/buildkite/signature.ts'

// Both made with `openssl dgst -sha256 -hmac`, not with the code under test.
const secret = 'a-webhook-token'
const at = 1_700_000_000_000
const body = Buffer.from('{"event":"ping"}')
const header = 'timestamp=1700000000,signature=af9c57e4848587b23376782f462d62616e7acfb76eeabcbc3b42409de49e1d1a'
const bytes = Buffer.from([...Buffer.from('{"name":"'), 0xff, 0x00, 0xfe, ...Buffer.from('"}')])
const bytesHeader = 'timestamp=1700000000,signature=657f7d5428173e48292573c3e67ce8eaf9f3fafdf88e6e80d53811d81c86f0a1'

const tolerance = 300_000
const verdict = (given: string | undefined, secrets = [secret], now = at, raw = body) =>
  verifySignature(raw, given, secrets, now, tolerance)

describe('a webhook signature', () => {
  it('is accepted when it fits the body, and gives the time in it', () => {
    expect(verdict(header)).toEqual({ ok: true, at: new Date(at) })
  })

  it('is computed over the raw bytes, whatever they are', () => {
    expect(verdict(bytesHeader, [secret], at, bytes).ok).toBe(true)
  })

  it('is accepted under any of several secrets, so that they can be rotated', () => {
    expect(verdict(header, ['the-new-one', secret]).ok).toBe(true)
    expect(verdict(header, [secret, 'the-new-one']).ok).toBe(true)
  })

  it('is accepted with spaces, in any order, in capitals', () => {
    const [timestamp, signature = ''] = header.split(',')
    expect(verdict(` ${signature} , ${timestamp} `).ok).toBe(true)
    expect(verdict(`${timestamp},signature=${signature.slice(10).toUpperCase()}`).ok).toBe(true)
  })

  it('is refused when a byte of the body, of the time or of the signature differs', () => {
    expect(verdict(header, [secret], at, Buffer.from('{"event":"pong"}')).ok).toBe(false)
    expect(verdict(header.replace('1700000000', '1700000001')).ok).toBe(false)
    const last = header.endsWith('0') ? '1' : '0'
    expect(verdict(header.slice(0, -1) + last).ok).toBe(false)
  })

  it('is refused whichever bit of the body is flipped', () => {
    for (let bit = 0; bit < body.length * 8; bit++) {
      const flipped = Buffer.from(body)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(verdict(header, [secret], at, flipped).ok).toBe(false)
    }
  })

  it('is refused for the same JSON written otherwise', () => {
    const spaced = Buffer.from('{ "event": "ping", "b": 1 }')
    const given = sign(spaced, secret, at)
    expect(verdict(given, [secret], at, spaced).ok).toBe(true)
    const again = Buffer.from(JSON.stringify(JSON.parse(spaced.toString())))
    expect(verdict(given, [secret], at, again).ok).toBe(false)
    expect(verdict(given, [secret], at, Buffer.from('{ "b": 1, "event": "ping" }')).ok).toBe(false)
  })

  it('is refused once its secret has been rotated out', () => {
    const old = sign(body, 'old', at)
    expect(verdict(old, ['new', 'old']).ok).toBe(true)
    expect(verdict(old, ['new']).ok).toBe(false)
  })

  it('is refused under a wrong secret and under none', () => {
    expect(verdict(header, ['another']).ok).toBe(false)
    expect(verdict(header, []).ok).toBe(false)
  })

  it.each([
    undefined,
    '',
    'nonsense',
    'timestamp=1700000000',
    'signature=00',
    'timestamp=1700000000,signature=lmnop',
    `timestamp=,signature=${'0'.repeat(64)}`,
    `timestamp=-1,signature=${'0'.repeat(64)}`,
    `timestamp=1e9,signature=${'0'.repeat(64)}`,
    `timestamp=1700000000,signature=${'0'.repeat(63)}`,
    `timestamp=1700000000,signature=${'0'.repeat(66)}`,
    `timestamp=1700000000,signature=${'0'.repeat(62)}zz`,
    `${header},timestamp=1`,
    `${header},${header}`,
  ])('is refused, not thrown at, when the header is %j', (given) => {
    expect(verdict(given).ok).toBe(false)
  })

  it('is accepted up to the tolerance before and after our time, and refused beyond it', () => {
    expect(verdict(header, [secret], at + tolerance).ok).toBe(true)
    expect(verdict(header, [secret], at - tolerance).ok).toBe(true)
    expect(verdict(header, [secret], at + tolerance + 1)).toEqual({
      ok: false,
      reason: "The signature's time is 300 s behind our clock.",
    })
    expect(verdict(header, [secret], at - tolerance - 1).ok).toBe(false)
  })

  it('never repeats a secret or the signature in the reason for a refusal', () => {
    const result = verdict(header, ['another-secret'])
    expect(JSON.stringify(result)).not.toMatch(/another-secret|[0-9a-f]{16}/)
  })

  it('can be made for any body', () => {
    expect(sign(body, secret, at + 999)).toBe(header)
    expect(sign(body.toString(), secret, at)).toBe(header)
  })
})

describe('a webhook token', () => {
  it('is accepted when it is one of the secrets', () => {
    expect(verifyToken('b', ['a', 'b'])).toBe(true)
  })

  it('is refused when it is none of them, part of one, or absent', () => {
    expect(verifyToken('abc', ['abcd', 'ab'])).toBe(false)
    expect(verifyToken(undefined, ['a'])).toBe(false)
    expect(verifyToken('', [''])).toBe(false)
    expect(verifyToken('a', [])).toBe(false)
  })
})
