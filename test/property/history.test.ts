import { describe, expect, it } from 'vitest'
import { liveHistory } from './history.ts'

/** SEEDS=17 or SEEDS=1..1000 chooses others; a failing test's title names the seed to run again. */
function seeds(): number[] {
  const [first = 1, last = first] = (process.env.SEEDS ?? '1..10').split('..').map(Number)
  if (!Number.isInteger(first) || !Number.isInteger(last) || last < first) {
    throw new RangeError(`SEEDS is "${process.env.SEEDS}". Write it like 17 or 1..1000.`)
  }
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

describe('a history whose webhooks come in any order, some twice, some never, with faulty cycles among them', () => {
  it.each(seeds())('is mirrored exactly after one cycle (seed %i)', async (seed) => {
    const verdict = await liveHistory(seed)
    expect(verdict.builds + verdict.upheavals.length).toBeGreaterThan(0)
    expect(verdict.webhooks.delivered).toBeGreaterThan(0)
    expect(verdict.differences).toEqual([])
  })
})
