import { describe, expect, it } from 'vitest'
import { oneAhead } from '../../src/reconcile/ahead.ts'

async function* counted(log: string[], until = 4, failAt = 0): AsyncGenerator<number> {
  try {
    for (let i = 1; i <= until; i++) {
      log.push(`make ${i}`)
      if (i === failAt) throw new Error(`no ${i}`)
      yield i
    }
  } finally {
    log.push('closed')
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('oneAhead', () => {
  it('gives every value in order, making the next while one is in use', async () => {
    const log: string[] = []
    for await (const value of oneAhead(counted(log))) {
      await turn()
      log.push(`use ${value}`)
    }
    expect(log).toEqual(['make 1', 'make 2', 'use 1', 'make 3', 'use 2', 'make 4', 'use 3', 'closed', 'use 4'])
  })

  it('passes on a failure after all values before it', async () => {
    const used: number[] = []
    const reading = async () => {
      for await (const value of oneAhead(counted([], 4, 3))) used.push(value)
    }
    await expect(reading()).rejects.toThrow('no 3')
    expect(used).toEqual([1, 2])
  })

  it('closes its source when the reader stops, even if the value under way fails', async () => {
    const log: string[] = []
    const reading = async () => {
      for await (const value of oneAhead(counted(log, 4, 2))) throw new Error(`enough of ${value}`)
    }
    await expect(reading()).rejects.toThrow('enough of 1')
    await turn()
    expect(log.at(-1)).toBe('closed')
  })
})
