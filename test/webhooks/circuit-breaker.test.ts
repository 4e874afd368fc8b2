import { expect, test } from 'vitest'
import { Breaker } from '../../src/webhooks/inbox/circuit-breaker.ts'

const fails = () => Promise.reject(new Error('gone'))
const works = async () => 'done'

test('after a failure calls are refused at once until the rest is over, then one tries', async () => {
  let now = 0
  let calls = 0
  const breaker = new Breaker('Postgres', 3_000, () => now)
  const attempt = (work: () => Promise<string>) =>
    breaker
      .attempt(() => {
        calls += 1
        return work()
      }, 1_000)
      .catch((error: Error) => error.name)
  expect(await attempt(works)).toBe('done')
  expect(await attempt(fails)).toBe('Error')
  expect(await attempt(works)).toBe('StoreError')
  expect(calls).toBe(2)
  now = 3_000
  expect(await Promise.all([attempt(works), attempt(works)])).toEqual(['done', 'StoreError'])
  expect(await Promise.all([attempt(works), attempt(works)])).toEqual(['done', 'done'])
})

test('a failed try restarts the pause', async () => {
  let now = 0
  const breaker = new Breaker('Postgres', 3_000, () => now)
  await breaker.attempt(fails, 1_000).catch(() => {})
  now = 3_000
  await breaker.attempt(fails, 1_000).catch(() => {})
  now = 5_999
  await expect(breaker.attempt(works, 1_000)).rejects.toThrow(/waiting before the next try/)
  now = 6_000
  expect(await breaker.attempt(works, 1_000)).toBe('done')
  expect(breaker.broken).toBe(false)
})

test('a call that does not return within its time is a failure', async () => {
  const breaker = new Breaker('Postgres', 3_000, Date.now)
  await expect(breaker.attempt(() => new Promise(() => {}), 10)).rejects.toThrow(/Postgres did not answer within 10ms/)
  expect(breaker.broken).toBe(true)
})
