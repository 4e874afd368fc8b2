import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  coveredBackFrom,
  duration,
  gaps,
  halve,
  nextWindow,
  type TimeRange,
} from '../../src/reconcile/progress/time-range.ts'
import { DAY, HOUR } from '../../src/runtime/time.ts'

const span = (from: number, to: number): TimeRange => ({ from: new Date(from), to: new Date(to) })
const numbers = (spans: readonly TimeRange[]) => spans.map(({ from, to }) => [from.getTime(), to.getTime()])
const anySpan = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 1, max: 30 }))
  .map(([from, length]) => span(from, from + length))

describe('gaps', () => {
  it('are the whole when nothing is covered', () => {
    expect(numbers(gaps(span(0, 10), []))).toEqual([[0, 10]])
  })

  it('come newest first, between what is covered', () => {
    expect(numbers(gaps(span(0, 100), [span(90, 100), span(20, 30)]))).toEqual([
      [30, 90],
      [0, 20],
    ])
  })

  it('and the covered spans are together exactly the whole, whatever overlaps', () => {
    fc.assert(
      fc.property(anySpan, fc.array(anySpan, { maxLength: 8 }), (whole, covered) => {
        const open = gaps(whole, covered)
        for (let at = whole.from.getTime(); at < whole.to.getTime(); at++) {
          const within = (one: TimeRange) => one.from.getTime() <= at && at < one.to.getTime()
          expect(open.filter(within).length).toBe(covered.some(within) ? 0 : 1)
        }
      }),
    )
  })
})

describe('nextWindow', () => {
  const year = span(0, 365 * DAY)

  it('starts with the newest day', () => {
    expect(numbers([nextWindow(year, undefined)])).toEqual([[364 * DAY, 365 * DAY]])
  })

  it('grows eightfold at most, even after an empty window', () => {
    expect(duration([nextWindow(year, { ms: DAY, builds: 0 })])).toBe(8 * DAY)
    expect(duration([nextWindow(year, { ms: DAY, builds: 10 })])).toBe(8 * DAY)
  })

  it('is sized to hold about five thousand builds', () => {
    expect(duration([nextWindow(year, { ms: DAY, builds: 1_250 })])).toBe(4 * DAY)
    expect(duration([nextWindow(year, { ms: 8 * DAY, builds: 40_000 })])).toBe(DAY)
  })

  it('is never shorter than an hour', () => {
    expect(duration([nextWindow(year, { ms: HOUR, builds: 1_000_000 })])).toBe(HOUR)
  })

  it('takes a small remainder along', () => {
    expect(numbers([nextWindow(span(0, DAY + HOUR), undefined)])).toEqual([[0, DAY + HOUR]])
  })
})

describe('halve', () => {
  it('gives two halves that meet, the newer first', () => {
    expect(numbers(halve(span(0, 5)) ?? [])).toEqual([
      [2, 5],
      [0, 2],
    ])
  })

  it('gives nothing for a single millisecond', () => {
    expect(halve(span(7, 8))).toBeUndefined()
  })
})

describe('lengthOf and coveredBackFrom', () => {
  it('count an overlap once', () => {
    expect(duration([span(0, 10), span(5, 12), span(20, 21)])).toBe(13)
  })

  it('stop at the first gap', () => {
    expect(coveredBackFrom(new Date(100), [span(0, 40), span(50, 80), span(70, 100)]).getTime()).toBe(50)
  })
})
