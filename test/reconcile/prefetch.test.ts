import { describe, expect, it } from 'vitest'
import { mapOrdered, prefetch } from '../../src/reconcile/prefetch.ts'

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

describe('prefetch', () => {
  it('gives every value in order, making the next while one is in use', async () => {
    const log: string[] = []
    for await (const value of prefetch(counted(log))) {
      await turn()
      log.push(`use ${value}`)
    }
    expect(log).toEqual(['make 1', 'make 2', 'use 1', 'make 3', 'use 2', 'make 4', 'use 3', 'closed', 'use 4'])
  })

  it('passes on a failure after all values before it', async () => {
    const used: number[] = []
    const reading = async () => {
      for await (const value of prefetch(counted([], 4, 3))) used.push(value)
    }
    await expect(reading()).rejects.toThrow('no 3')
    expect(used).toEqual([1, 2])
  })

  it('closes its source when the reader stops, even if the value under way fails', async () => {
    const log: string[] = []
    const reading = async () => {
      for await (const value of prefetch(counted(log, 4, 2))) throw new Error(`enough of ${value}`)
    }
    await expect(reading()).rejects.toThrow('enough of 1')
    await turn()
    expect(log.at(-1)).toBe('closed')
  })
})

describe('mapOrdered', () => {
  /** Work that ends when it is let go. */
  function doors() {
    const open = new Map<number, (failure?: Error) => void>()
    const begun: number[] = []
    const work = (value: number) => {
      begun.push(value)
      return new Promise<string>((resolve, reject) => {
        open.set(value, (failure) => (failure ? reject(failure) : resolve(`done ${value}`)))
      })
    }
    return { open, begun, work }
  }

  it('works on two values at a time and gives the results in order', async () => {
    const { open, begun, work } = doors()
    const results: string[] = []
    const reading = (async () => {
      for await (const result of mapOrdered(counted([]), work)) results.push(result)
    })()
    await turn()
    expect(begun).toEqual([1, 2])
    open.get(2)?.()
    await turn()
    expect(results).toEqual([])
    open.get(1)?.()
    await turn()
    expect(results).toEqual(['done 1', 'done 2'])
    expect(begun).toEqual([1, 2, 3, 4])
    open.get(3)?.()
    open.get(4)?.()
    await reading
    expect(results).toEqual(['done 1', 'done 2', 'done 3', 'done 4'])
  })

  it('passes on a failure only once the other value under way has come to its end', async () => {
    const { open, work } = doors()
    let failed: unknown
    const reading = (async () => {
      for await (const _ of mapOrdered(counted([]), work));
    })().catch((error: unknown) => {
      failed = error
    })
    await turn()
    open.get(1)?.(new Error('no room'))
    await turn()
    expect(failed).toBeUndefined()
    open.get(2)?.()
    await reading
    expect(failed).toMatchObject({ message: 'no room' })
  })

  it('passes on a failure of the source after all values before it', async () => {
    const results: number[] = []
    const reading = async () => {
      for await (const result of mapOrdered(counted([], 4, 3), async (value) => value)) results.push(result)
    }
    await expect(reading()).rejects.toThrow('no 3')
    expect(results).toEqual([1, 2])
  })
})
