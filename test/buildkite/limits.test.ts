import { describe, expect, it } from 'vitest'
import { limitsOfHeaders, limitsOfRefusal, waitOf } from '../../src/buildkite/http/limits.ts'

const both = (organization: string, user: string) => ({
  'ratelimit-scope': 'rest',
  'ratelimit-limit': '200',
  'ratelimit-remaining': organization,
  'ratelimit-reset': '9',
  'ratelimit-user-scope': 'rest_user',
  'ratelimit-user-limit': '50',
  'ratelimit-user-remaining': user,
  'ratelimit-user-reset': '42',
})

describe('rate-limit headers', () => {
  it('tell the limits of the organization and of the user apart', () => {
    expect(limitsOfHeaders(both('150', '12'))).toEqual({
      organization: { limit: 200, remaining: 150, resetMs: 9_000 },
      user: { limit: 50, remaining: 12, resetMs: 42_000 },
    })
  })

  it('are read in the older spelling', () => {
    const seen = limitsOfHeaders({ 'rate-limit-limit': '100', 'rate-limit-remaining': '99', 'rate-limit-reset': '60' })
    expect(seen).toEqual({ organization: { limit: 100, remaining: 99, resetMs: 60_000 } })
  })

  it('may be absent or nonsense', () => {
    expect(limitsOfHeaders({})).toEqual({})
    expect(limitsOfHeaders({ 'ratelimit-limit': 'many', 'ratelimit-reset': '' })).toEqual({})
  })
})

describe('a 429', () => {
  it('is waited out until the reset of the limit that is exhausted, not of the other', () => {
    expect(waitOf(limitsOfRefusal(both('150', '0'), undefined))).toBe(42_000)
    expect(waitOf(limitsOfRefusal(both('0', '30'), undefined))).toBe(9_000)
  })

  it('is waited out until the later reset when both are exhausted', () => {
    expect(waitOf(limitsOfRefusal(both('0', '0'), undefined))).toBe(42_000)
  })

  it('is read from the body if the headers have no limits', () => {
    const seen = limitsOfRefusal({}, { message: 'wait', scope: 'rest_user', limit: 50, current: 55, reset: 42 })
    expect(seen).toEqual({ user: { limit: 50, remaining: 0, resetMs: 42_000 } })
  })

  it('is waited out by the larger of what headers and body say of one limit', () => {
    expect(waitOf(limitsOfRefusal(both('150', '0'), { scope: 'rest_user', reset: 50 }))).toBe(50_000)
    expect(waitOf(limitsOfRefusal(both('150', '0'), { scope: 'rest_user', reset: 5 }))).toBe(42_000)
  })

  it.each([0, -5, 1e308, Number.NaN, '9'.repeat(30)])(
    'is never waited out for no time, nor for ever (reset %j)',
    (reset) => {
      for (const seen of [
        limitsOfRefusal({}, { scope: 'rest', reset }),
        limitsOfRefusal({ 'ratelimit-remaining': '0', 'ratelimit-reset': String(reset) }, undefined),
      ]) {
        expect(waitOf(seen)).toBeGreaterThanOrEqual(1_000)
        expect(waitOf(seen)).toBeLessThanOrEqual(3_600_000)
      }
    },
  )

  it('is waited out for a minute when nothing says how long, and counts for both limits', () => {
    const seen = limitsOfRefusal({}, '<html>')
    expect(waitOf(seen)).toBe(60_000)
    expect(seen.user?.remaining).toBe(0)
    expect(seen.organization?.remaining).toBe(0)
  })

  it('follows Retry-After, if one ever comes', () => {
    expect(waitOf(limitsOfRefusal({ 'retry-after': '7' }, undefined))).toBe(7_000)
  })
})
