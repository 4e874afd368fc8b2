import type { Random } from '../../src/simulator/random.ts'

/** JSON text that no JavaScript value writes, such as `1e999`. */
export class RawJson {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

const TEN_MIB = 10 * 1024 * 1024

const texts: readonly [string, ...string[]] = [
  '',
  ' ',
  '\0',
  'a\0b',
  '\ud800',
  'x\udc00y',
  '\udbff\udbff',
  '👩‍👩‍👧‍👦 e\u0301 \u202e \ufeff \u2028',
  "'; drop table buildkite.builds; --",
  '{{7*7}} <script>',
  '%ZZ',
  '../../access-token',
  '__proto__',
  'null',
  'NaN',
  'passed',
  'blocked',
  'not-a-uuid',
  '00000000-0000-0000-0000-000000000000',
  'FFFFFFFF-FFFF-4FFF-8FFF-FFFFFFFFFFFF',
  '{0190a1b2-0000-7000-8000-000000000003}',
  'https://api.buildkite.com/v2/organizations/%ZZ/pipelines/%00/builds/99999999999999999999999',
  'https://api.buildkite.com/v2/organizations/../pipelines/../builds/-1',
  `https://api.buildkite.com/v2/organizations/${'o'.repeat(5_000)}/pipelines/${'p'.repeat(5_000)}/builds/1`,
  'https://[::1',
  '9'.repeat(400),
  '-9223372036854775809',
]

const dates: readonly [string, ...string[]] = [
  '0000-00-00T00:00:00.000Z',
  '0000-01-01T00:00:00.000Z',
  '0001-01-01T00:00:00.000Z',
  '2026-02-30T10:00:00.000Z',
  '2026-13-01T10:00:00.000Z',
  '2026-05-01T24:00:00.000Z',
  '2026-05-01T23:59:60.000Z',
  '9999-12-31T23:59:59.999Z',
  '9999-12-31T23:59:59.999-12:00',
  '0001-01-01T00:00:00.000+14:00',
  '+010000-01-01T00:00:00.000Z',
  '+275760-09-13T00:00:00.000Z',
  '-000001-01-01T00:00:00.000Z',
  '2013-09-03 13:24:38 UTC',
  '2013-09-03 25:61:61 UTC',
  '2026-05-01T10:00:00.123456789Z',
  '2026-05-01',
  '1',
  'now',
  'infinity',
  'epoch',
  'Thu, 01 Jan 1970 00:00:00 GMT',
]

const numbers: readonly [number | string, ...(number | string)[]] = [
  0,
  '-0',
  -1,
  1.5,
  2_147_483_647,
  2_147_483_648,
  -2_147_483_649,
  9_007_199_254_740_991,
  '9007199254740993',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775809',
  1e21,
  1e308,
  '1e999',
  '-1e999',
  '1e-999',
  `1${'0'.repeat(400)}`,
]

export const prototypeKeys: readonly [string, ...string[]] = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  'toJSON',
  'then',
  'length',
  '',
  '\0',
  '\ud800',
  'k'.repeat(5_000),
]

/** A value that stands where another was expected. */
export function nasty(random: Random): unknown {
  const kind = random.int(0, 99)
  if (kind < 26) return random.pick(texts)
  if (kind < 42) return random.pick(dates)
  if (kind < 60) return nastyNumber(random)
  if (kind < 72) return random.pick([null, true, false])
  if (kind < 80) return random.pick([[], {}, [null], [[]], [{}], [1, 'a', null], { id: null }])
  if (kind < 86) return hostileObject(random)
  if (kind < 92) return new RawJson(nest(random))
  return longText(random)
}

export const nastyDate = (random: Random): string => random.pick(dates)

export function nastyNumber(random: Random): unknown {
  const value = random.pick(numbers)
  return typeof value === 'string' ? new RawJson(value) : value
}

/** Keys that mean something to JavaScript. As raw text, for an object literal would set its own prototype. */
function hostileObject(random: Random): RawJson {
  const key = JSON.stringify(random.pick(prototypeKeys))
  return new RawJson(`{${key}:{"polluted":true,"id":"polluted"},"id":${JSON.stringify(random.pick(texts))}}`)
}

/** Brackets within brackets, mostly as deep as a recursion still survives, sometimes far deeper. */
function nest(random: Random): string {
  const depth = random.chance(0.02) ? 200_000 : random.pick([30, 50, 100, 1_000, 10_000])
  const [open, close] = random.pick([['[', ']'] as const, ['{"a":', '}'] as const])
  return `${open.repeat(depth)}1${close.repeat(depth)}`
}

/** Mostly a little too long for an index; once in a while up to 10 MiB. */
function longText(random: Random): string {
  const letter = random.pick(['x', 'ä', '"', '\u0001', '😀'])
  if (random.chance(0.004)) return letter.repeat(random.int(1, TEN_MIB) / Buffer.byteLength(letter))
  if (random.chance(0.03)) return letter.repeat(random.int(64, 1024) * 256)
  if (random.chance(0.5)) return letter.repeat(random.int(600, 4_000))
  // Of characters that take three bytes each and cannot be compressed, which is what an index cannot hold.
  return Array.from(random.hex(random.int(200, 1_500)), (digit) =>
    String.fromCodePoint(0x4e00 + random.int(0, 4_000) + digit.charCodeAt(0)),
  ).join('')
}
