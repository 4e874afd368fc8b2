import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { timeLeft } from '../../src/coverage/eta.ts'
import { timelineOf } from '../../src/coverage/timeline.ts'
import type { Watermark } from '../../src/reconcile/progress/watermark.ts'
import type { Window } from '../../src/reconcile/progress/windows.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'

const now = new Date('2026-06-01T12:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms)

const mark: Watermark = {
  organization_id: 'o',
  watermark: ago(MINUTE),
  warm_watermark: null,
  backfill_from: ago(10 * DAY),
  backfill_to: ago(DAY),
  pipelines_read_at: null,
  pipeline_filter: null,
  pipelines_listed_by: null,
  confirmed_to: null,
  counts_from: null,
  updated_at: now,
}

/** A claim that covers everything from the oldest window up to the watermark. */
const whole = { as_of: ago(MINUTE), ranges: [{ from: ago(99 * DAY), to: ago(MINUTE) }] }

function window(from: number, to: number, over: Partial<Window> = {}): Window {
  const times = { created_from: ago(from), created_to: ago(to), scanned_to: null }
  const done = {
    status: 'done',
    started_at: ago(HOUR),
    finished_at: now,
    first_verified_at: now,
    first_verified_until: now,
    verified_at: now,
    verified_until: now,
  } as const
  const failed = { error: null, tries: 0, next_try_at: null }
  return {
    id: 1,
    organization_id: 'o',
    pipeline_id: null,
    ...times,
    ...failed,
    builds: 5,
    requests: 1,
    ...done,
    ...over,
  }
}

describe('the strip of an organization', () => {
  it('is empty before the first cycle', () => {
    expect(timelineOf(undefined, [], whole, now)).toEqual([])
  })

  it('tells what is unread, being read, verified, kept up and ahead', () => {
    const reading = { status: 'running', scanned_to: ago(4 * DAY), verified_at: null, finished_at: null } as const
    const parts = timelineOf(mark, [window(3 * DAY, DAY), window(5 * DAY, 3 * DAY, reading)], whole, now)
    expect(parts.map(({ kind }) => kind)).toEqual(['unread', 'reading', 'verified', 'verified', 'live', 'ahead'])
  })

  it('shows history that is read but not claimed as partial', () => {
    const claim = { as_of: ago(MINUTE), ranges: [{ from: ago(2 * DAY), to: ago(HOUR) }] }
    const parts = timelineOf(mark, [window(10 * DAY, DAY)], claim, now)
    expect(parts.map(({ kind, to }) => [kind, to])).toEqual([
      ['partial', ago(2 * DAY)],
      ['verified', ago(DAY)],
      ['live', ago(HOUR)],
      ['partial', ago(MINUTE)],
      ['ahead', now],
    ])
    expect(timelineOf(mark, [], { as_of: null, ranges: [] }, now).map(({ kind }) => kind)).not.toContain('live')
  })

  it('has neither gaps nor overlaps, and is live or verified only where that is claimed', () => {
    const spans = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 30 })
    const claims = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 6 }).map((lengths) => {
      let to = HOUR
      return lengths.map((hours) => {
        const range = { from: ago(to + hours * HOUR), to: ago(to) }
        to += 2 * hours * HOUR
        return range
      })
    })
    fc.assert(
      fc.property(spans, claims, (lengths, ranges) => {
        let to = DAY
        const windows = lengths.map((hours, n) => {
          const one = window(to + hours * HOUR, to, n % 3 === 0 ? { status: 'pending', verified_at: null } : {})
          to += hours * HOUR * (n % 4 === 0 ? 2 : 1)
          return one
        })
        const parts = timelineOf(mark, windows, { as_of: ago(MINUTE), ranges }, now)
        for (const { kind, from, to } of parts) {
          const isClaimed = ranges.some((range) => range.from <= from && to <= range.to)
          if (kind === 'verified' || kind === 'live') expect(isClaimed).toBe(true)
        }
        parts.slice(1).forEach((part, index) => {
          expect(part.from).toEqual(parts[index]?.to)
        })
        expect(parts.at(-1)?.to).toEqual(now)
      }),
    )
  })
})

describe('the time left of a backfill', () => {
  const span = { from: ago(10 * DAY), to: ago(0) }

  it('goes by the pace of what was read lately', () => {
    // Half of it in ten minutes: the other half takes as long.
    expect(timeLeft([window(5 * DAY, 0, { started_at: ago(10 * MINUTE) })], span, now)).toBe(10 * MINUTE)
  })

  it('is not known when nothing was read lately, and is nothing when all is read', () => {
    expect(timeLeft([window(5 * DAY, 0)], span, now)).toBeNull()
    expect(timeLeft([window(10 * DAY, 0, { started_at: ago(MINUTE) })], span, now)).toBeNull()
  })
})
