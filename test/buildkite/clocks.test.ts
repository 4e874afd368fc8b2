import { describe, expect, it } from 'vitest'
import { narrowSkew, readAt, type Skew } from '../../src/buildkite/skew.ts'
import { readMoment } from '../../src/buildkite/timestamp.ts'

const start = Date.parse('2026-03-01T12:00:00.000Z')

/** An answer of a Buildkite whose clock is `ahead` of ours, to a request sent at `sentAt` that took `tookMs`. */
function answered(known: Skew | undefined, sentAt: number, tookMs: number, ahead: number): Skew | undefined {
  const written = new Date(sentAt + tookMs / 2 + ahead).toUTCString()
  return narrowSkew(known, sentAt, sentAt + tookMs, written)
}

describe('the time of a read', () => {
  it('is when the request started, by our clock, while both clocks agree', () => {
    const skew = answered(undefined, start + 456, 200, 0)
    expect(readAt(start + 456, skew)).toEqual(new Date(start + 456))
  })

  it('is by our clock while the difference is below two seconds, or nothing is known', () => {
    expect(readAt(start, answered(undefined, start, 100, 1_500))).toEqual(new Date(start))
    expect(readAt(start, narrowSkew(undefined, start, start + 5, undefined))).toEqual(new Date(start))
    expect(readAt(start, narrowSkew(undefined, start, start + 5, 'yesterday'))).toEqual(new Date(start))
  })

  it.each([-3_600_000, -10_000, 10_000, 3_600_000])('is corrected when Buildkite is %d ms ahead', (ahead) => {
    const at = readAt(start, answered(undefined, start, 200, ahead))
    expect(Math.abs(at.getTime() - start - ahead)).toBeLessThanOrEqual(700)
  })

  it('grows more exact with each answer', () => {
    let skew: Skew | undefined
    for (let call = 0; call < 40; call += 1) skew = answered(skew, start + call * 1_137, 100, 60_000)
    const at = readAt(start, skew)
    expect(Math.abs(at.getTime() - start - 60_000)).toBeLessThanOrEqual(80)
  })

  it('starts afresh when a clock was set', () => {
    const skew = answered(answered(undefined, start, 100, 60_000), start + 5_000, 100, 0)
    expect(readAt(start, skew)).toEqual(new Date(start))
  })

  it('is not thrown off by an answer that took long', () => {
    expect(readAt(start, answered(undefined, start, 29_000, 0))).toEqual(new Date(start))
  })
})

describe('a date of Buildkite', () => {
  it('is read with milliseconds from ISO 8601, and in seconds from the older form', () => {
    expect(readMoment('2015-05-09T21:05:59.874Z')).toEqual({
      ms: Date.UTC(2015, 4, 9, 21, 5, 59, 874),
      resolutionMs: 1,
    })
    expect(readMoment('2013-09-03 13:24:38 UTC')).toEqual({ ms: Date.UTC(2013, 8, 3, 13, 24, 38), resolutionMs: 1000 })
  })

  it('is read with microseconds cut off, and with an offset', () => {
    expect(readMoment('2020-01-01T00:00:00.123999Z')?.ms).toBe(Date.UTC(2020, 0, 1, 0, 0, 0, 123))
    expect(readMoment('2020-01-01T02:00:00+02:00')?.ms).toBe(Date.UTC(2020, 0, 1))
  })

  it.each([null, undefined, 5, '', 'soon', '2020-13-01T00:00:00Z'])('is undefined for %j', (value) => {
    expect(readMoment(value)).toBeUndefined()
  })
})
