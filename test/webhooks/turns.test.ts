import { describe, expect, it } from 'vitest'
import { sharedTurns } from '../../src/webhooks/turns.ts'

/** Work whose turns end when they are told to. */
function doors() {
  const begun: string[] = []
  const ends: ((failure?: Error) => void)[] = []
  const turn = sharedTurns((name: string) => {
    begun.push(name)
    return new Promise<void>((resolve, reject) => {
      ends.push((failure) => (failure ? reject(failure) : resolve()))
    })
  }, 2)
  return { begun, ends, turn }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('shared turns', () => {
  it('run side by side up to the number of lanes, and whoever comes later shares one turn after them', async () => {
    const { begun, ends, turn } = doors()
    const done: string[] = []
    for (const name of ['a', 'b', 'c', 'd']) void turn(name).then(() => done.push(name))
    await settle()
    expect(begun).toEqual(['a', 'b'])
    ends[1]?.()
    await settle()
    expect(begun).toEqual(['a', 'b', 'c'])
    expect(done).toEqual(['b'])
    ends[2]?.()
    await settle()
    expect(done).toEqual(['b', 'c', 'd'])
    ends[0]?.()
    await settle()
    expect(done).toEqual(['b', 'c', 'd', 'a'])
  })

  it('answer nobody with a turn that had begun before the question', async () => {
    const { begun, ends, turn } = doors()
    void turn('a')
    void turn('b')
    void turn('c')
    ends[0]?.()
    await settle()
    expect(begun).toEqual(['a', 'b', 'c'])
    let done = false
    void turn('d').then(() => {
      done = true
    })
    ends[2]?.()
    await settle()
    expect(done).toBe(false)
    expect(begun).toEqual(['a', 'b', 'c', 'd'])
    ends[1]?.()
    ends[3]?.()
    await settle()
    expect(done).toBe(true)
  })

  it('fail for all who share them, and the next one runs all the same', async () => {
    const { ends, turn } = doors()
    const failures: string[] = []
    const ask = (name: string) => turn(name).catch((error: Error) => void failures.push(`${name}: ${error.message}`))
    for (const name of ['a', 'b', 'c', 'd']) void ask(name)
    ends[0]?.(new Error('away'))
    await settle()
    ends[2]?.(new Error('still away'))
    await settle()
    expect(failures).toEqual(['a: away', 'c: still away', 'd: still away'])
    void ask('e')
    await settle()
    expect(ends).toHaveLength(4)
    ends[1]?.()
    ends[3]?.()
  })
})
