import { describe, expect, it } from 'vitest'
import { coalesceRuns } from '../../src/webhooks/coalesce.ts'

/** Work whose runs end on demand. */
function doors() {
  const begun: string[] = []
  const ends: ((failure?: Error) => void)[] = []
  const { take: turn, isNextAwaited } = coalesceRuns((name: string) => {
    begun.push(name)
    return new Promise<void>((resolve, reject) => {
      ends.push((failure) => (failure ? reject(failure) : resolve()))
    })
  })
  return { begun, ends, turn, isNextAwaited }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('shared turns', () => {
  it('run one at a time, and callers during one share the next', async () => {
    const { begun, ends, turn } = doors()
    const done: string[] = []
    for (const name of ['a', 'b', 'c']) void turn(name).then(() => done.push(name))
    await settle()
    expect(begun).toEqual(['a'])
    ends[0]?.()
    await settle()
    expect(begun).toEqual(['a', 'b'])
    expect(done).toEqual(['a'])
    ends[1]?.()
    await settle()
    expect(done).toEqual(['a', 'b', 'c'])
  })

  it('answer nobody with a turn that had begun before the question', async () => {
    const { begun, ends, turn } = doors()
    void turn('a')
    void turn('b')
    ends[0]?.()
    await settle()
    expect(begun).toEqual(['a', 'b'])
    let done = false
    void turn('c').then(() => {
      done = true
    })
    ends[1]?.()
    await settle()
    expect(done).toBe(false)
    expect(begun).toEqual(['a', 'b', 'c'])
    ends[2]?.()
    await settle()
    expect(done).toBe(true)
  })

  it('answer a question of the very moment between two turns with the next, or the one after it', async () => {
    const { begun, ends, turn } = doors()
    const asked: Promise<void>[] = [turn('a'), turn('b')]
    ends[0]?.()
    // Every step of the handing over, until the second turn runs.
    for (let step = 0; step < 6; step++) {
      asked.push(turn(`c${step}`))
      await Promise.resolve()
    }
    for (let end = 1; end < 3; end++) {
      await settle()
      ends[end]?.()
    }
    await Promise.all(asked)
    expect(begun).toHaveLength(3)
  })

  it('fail for all who share them, and the next one runs all the same', async () => {
    const { ends, turn } = doors()
    const failures: string[] = []
    const ask = (name: string) => turn(name).catch((error: Error) => void failures.push(`${name}: ${error.message}`))
    for (const name of ['a', 'b', 'c']) void ask(name)
    ends[0]?.(new Error('away'))
    await settle()
    ends[1]?.(new Error('still away'))
    await settle()
    expect(failures).toEqual(['a: away', 'b: still away', 'c: still away'])
    void ask('d')
    await settle()
    expect(ends).toHaveLength(3)
    ends[2]?.()
  })
})
