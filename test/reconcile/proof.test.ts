import { describe, expect, it } from 'vitest'
import type { Evidence } from '../../src/mirror/change-times.ts'
import type { Difference } from '../../src/mirror/compare.ts'
import { type BuildClaim, isProven } from '../../src/reconcile/audit/proof.ts'
import { readOnceTo } from '../../src/reconcile/progress/claim.ts'
import { HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'

const now = Date.parse('2026-03-01T12:00:00Z')
const ago = (ms: number) => now - ms
const claimed = ago(3 * MINUTE)
const claim: BuildClaim = { build: claimed, jobs: claimed, hasDelivery: false }

const differing = (columns: string[], job_id: string | null = null, mirror: unknown = 'other'): Difference => ({
  kind: 'different',
  build_id: 'b',
  job_id,
  columns: columns.map((column) => ({ column, mirror, buildkite: 'value' })),
  last_matched_at: null,
})
const missing = (job_id: string | null = null): Difference => ({ ...differing([], job_id), kind: 'missing' })
const unexpected: Difference = { ...differing([], 'j'), kind: 'unexpected' }

const quiet: Evidence = {
  createdAt: ago(2 * HOUR),
  changedAt: ago(HOUR),
  buildChangedAt: ago(HOUR),
  isOpen: false,
  hasFinish: true,
  isConfirmed: true,
}
const open: Evidence = { ...quiet, isOpen: true, hasFinish: false }
const changedJustNow = { changedAt: ago(SECOND), buildChangedAt: ago(SECOND) }
const proven = (difference: Difference, evidence: Partial<Evidence>, more: Partial<BuildClaim> = {}, seenAt = now) =>
  isProven(difference, { ...quiet, ...evidence }, seenAt, { ...claim, ...more })

describe('a difference is proven', () => {
  it('when nothing has changed since the time of the claim', () => {
    expect(proven(differing(['finished_at', 'state']), {})).toBe(true)
    expect(proven(differing(['extra.key']), {})).toBe(true)
    expect(proven(differing(['started_at', 'state']), open)).toBe(true)
    expect(proven(missing(), {})).toBe(true)
    expect(proven(unexpected, {})).toBe(true)
  })

  it('when the mirror claims nothing, because it may be empty', () => {
    const nothing = { build: undefined, jobs: undefined }
    expect(proven(missing(), changedJustNow, nothing)).toBe(true)
    expect(proven(differing(['state'], 'j'), { ...open, ...changedJustNow }, nothing)).toBe(true)
  })

  it('of an object that was created before the claim and is missing, whatever has changed since', () => {
    expect(proven(missing(), changedJustNow)).toBe(true)
    expect(proven(missing('j'), changedJustNow)).toBe(true)
  })

  it('in a column that never changes, once REST has confirmed the row', () => {
    expect(proven(differing(['message', 'state']), { ...open, ...changedJustNow })).toBe(true)
    expect(proven(differing(['command'], 'j'), { ...open, ...changedJustNow })).toBe(true)
    expect(proven(differing(['message']), { ...open, ...changedJustNow, isConfirmed: false })).toBe(false)
    expect(proven(differing(['message'], null, null), { ...open, ...changedJustNow })).toBe(false)
    // The commit was HEAD: message and branch come with the real one.
    expect(proven(differing(['commit', 'message']), { ...open, ...changedJustNow })).toBe(false)
  })

  it('in a finished job, by its own dates, except in retry columns', () => {
    const others = { isOpen: true, buildChangedAt: ago(SECOND) }
    expect(proven(differing(['exit_status'], 'j'), others)).toBe(true)
    expect(proven(differing(['exit_status', 'retried'], 'j'), others)).toBe(false)
    expect(proven(differing(['exit_status'], 'j'), { ...others, hasFinish: false })).toBe(false)
  })

  it('without a date, once the claim has passed the time at which the value was first seen', () => {
    for (const difference of [
      differing(['meta_data']),
      differing(['extra.key']),
      differing(['state', 'cancel_reason']),
      differing(['state'], 'j'),
    ]) {
      expect(proven(difference, open)).toBe(false)
      expect(proven(difference, open, {}, claimed)).toBe(true)
      if (difference.job_id === null) expect(proven(difference, {})).toBe(true)
    }
  })
})

describe('a difference is in flight', () => {
  it('when it has changed since the time of the claim', () => {
    expect(proven(differing(['finished_at', 'state']), changedJustNow)).toBe(false)
    expect(proven(missing(), { createdAt: ago(SECOND), ...changedJustNow })).toBe(false)
    expect(proven(missing('j'), { createdAt: undefined, ...changedJustNow })).toBe(false)
    expect(proven(unexpected, changedJustNow)).toBe(false)
  })

  it('in the jobs of an open build that REST has not read since they changed', () => {
    const jobs = ago(2 * HOUR)
    expect(proven(missing('waiter'), { ...open, createdAt: undefined }, { jobs })).toBe(false)
    expect(proven(differing(['state'], 'j'), open, { jobs })).toBe(false)
    expect(proven(differing(['started_at']), open, { jobs })).toBe(true)
  })

  it('while a delivery about it is pending, until the claim has passed the first read', () => {
    expect(proven(differing(['state']), {}, { hasDelivery: true })).toBe(false)
    expect(proven(differing(['state']), {}, { hasDelivery: true }, claimed)).toBe(true)
  })
})

describe('the time of the claim', () => {
  const mark = {
    organization_id: 'o',
    watermark: new Date(now),
    warm_watermark: null,
    backfill_from: null,
    backfill_to: null,
    pipelines_read_at: new Date(ago(MINUTE)),
    pipeline_filter: null,
    pipelines_listed_by: null,
    confirmed_to: null,
    counts_from: null,
    updated_at: new Date(now),
  }
  it('is the watermark less the lag of lists, and never later than the list of pipelines', () => {
    expect(readOnceTo(undefined)).toBeUndefined()
    expect(readOnceTo({ ...mark, watermark: null })).toBeUndefined()
    expect(readOnceTo(mark)).toEqual(new Date(ago(2 * MINUTE)))
    expect(readOnceTo({ ...mark, pipelines_read_at: new Date(ago(HOUR)) })).toEqual(new Date(ago(HOUR)))
    expect(readOnceTo({ ...mark, pipelines_read_at: null })).toEqual(new Date(ago(2 * MINUTE)))
  })
})
