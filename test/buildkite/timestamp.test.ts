import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readHttpDate, readMoment, readTime } from '../../src/buildkite/timestamp.ts'

describe.each(['UTC', 'America/New_York'])('reading times with the host in %s', (zone) => {
  const before = process.env.TZ
  beforeAll(() => {
    process.env.TZ = zone
  })
  afterAll(() => {
    if (before === undefined) delete process.env.TZ
    else process.env.TZ = before
  })

  it.each([
    ['2015-05-09T21:05:59.874Z', '2015-05-09T21:05:59.874Z', 1],
    ['2015-05-09T21:05:59.874123Z', '2015-05-09T21:05:59.874Z', 1],
    ['2015-05-09T21:05:59Z', '2015-05-09T21:05:59.000Z', 1000],
    ['2018-07-01 20:14:38 UTC', '2018-07-01T20:14:38.000Z', 1000],
    ['2026-05-01T10:00:00+02:00', '2026-05-01T08:00:00.000Z', 1000],
    ['2026-05-01T10:00:00.250-04:30', '2026-05-01T14:30:00.250Z', 1],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z', 1000],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z', 1000],
  ])('%s', (text, iso, resolutionMs) => {
    expect(readTime(text)?.toISOString()).toBe(iso)
    expect(readMoment(text)).toEqual({ ms: Date.parse(iso), resolutionMs })
  })

  it.each([
    '',
    '5',
    'May 1 2026',
    'yesterday',
    '2026-05-01',
    '2026-05-01T10:00:00',
    '2026-05-01 10:00:00',
    '2026-05-01 10:00:00 EST',
    ' 2026-05-01T10:00:00Z',
    '2026-13-45',
    '2026-02-30T00:00:00Z',
    '2026-05-01T24:00:00Z',
    '2026-05-01T10:00:60Z',
    '2026-05-01T10:00:00+99:00',
    '0000-01-01T00:00:00Z',
    '+275760-09-13T00:00:00Z',
    12,
    null,
    {},
  ])('%j is no time', (value) => {
    expect(readTime(value)).toBeUndefined()
  })

  it('reads the Date header of HTTP, and no other text', () => {
    expect(readHttpDate('Fri, 01 May 2026 10:00:00 GMT')).toBe(Date.parse('2026-05-01T10:00:00Z'))
    for (const text of ['5', 'May 1 2026', 'Fri, 01 May 2026 10:00:00', '', undefined]) {
      expect(readHttpDate(text)).toBeNaN()
    }
  })
})
