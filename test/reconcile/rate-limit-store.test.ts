import { setMaxListeners } from 'node:events'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BuildkiteClient } from '../../src/buildkite/client.ts'
import type { Budget } from '../../src/buildkite/http/budget.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { budgets } from '../../src/database/schema.ts'
import { sharedBudget } from '../../src/reconcile/access/rate-limit-store.ts'
import { prefetch } from '../../src/reconcile/prefetch.ts'
import { MINUTE, SECOND } from '../../src/runtime/time.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { openScene } from './scene.ts'

let home: TestDatabase
let replicas: [Database, Database]

beforeAll(async () => {
  home = await createTestDatabase()
  replicas = [openDatabase(home.url, { name: 'one' }), openDatabase(home.url, { name: 'two' })]
})
beforeEach(async () => {
  await replicas[0].db.delete(budgets)
})
afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.close()))
  await home.drop()
})

const scopes = ['user:a', 'organization:acme']
const seen = (limit: number, remaining: number, resetMs: number) => ({ user: { limit, remaining, resetMs } })

/** Whether a call is granted without waiting. */
async function grants(budget: Budget): Promise<boolean> {
  const [result] = await Promise.allSettled([budget.take(scopes, 'hot', AbortSignal.timeout(200))])
  return result.status === 'fulfilled'
}

describe('the shared budget', () => {
  it('is begun by many replicas at once without one of them failing', async () => {
    for (let round = 0; round < 10; round++) {
      await replicas[0].db.delete(budgets)
      // One scope exists already: the client that locks it first may need the row that another is creating.
      await sharedBudget(replicas[0].db, 1).take(['user:a'], 'hot')
      const takers = Array.from({ length: 16 }, (_, n) => sharedBudget(replicas[n % 2 === 0 ? 0 : 1].db, 1))
      await Promise.all(takers.map((budget) => budget.take(scopes, 'hot')))
    }
  })

  it('grants the share of the limit to all replicas together, not to each', async () => {
    const [one, two] = replicas.map(({ db }) => sharedBudget(db, 0.5))
    if (!one || !two) throw new Error('Two replicas are needed.')
    await one.report(scopes, seen(20, 20, MINUTE))
    const stop = new AbortController()
    setMaxListeners(40, stop.signal)
    let granted = 0
    const takers = [one, two].flatMap((budget) =>
      Array.from({ length: 12 }, async () => {
        await budget.take(scopes, 'hot', stop.signal)
        granted += 1
      }),
    )
    await until(() => granted >= 10, 'ten calls are granted')
    expect(await grants(one)).toBe(false)
    expect(await grants(two)).toBe(false)
    expect(granted).toBe(10)
    stop.abort()
    await Promise.allSettled(takers)
  })

  it('shares which organizations wait with all replicas, so that they are served in turn', async () => {
    const [one, two] = replicas.map(({ db }) => sharedBudget(db, 0.5))
    if (!one || !two) throw new Error('Two replicas are needed.')
    await one.report(scopes, seen(2, 2, MINUTE))
    await one.take(scopes, 'backfill')
    const other = ['user:a', 'organization:other']
    await expect(two.take(other, 'backfill', AbortSignal.timeout(100))).rejects.toThrow()
    const [row] = (await replicas[0].db.select().from(budgets)).filter(({ scope }) => scope === 'user:a')
    expect(row?.state).toMatchObject({
      classes: {
        backfill: {
          grants: [expect.any(Number)],
          turns: {
            'organization:acme': { granted_at: expect.any(Number), waiting_at: null },
            'organization:other': { granted_at: null, waiting_at: expect.any(Number) },
          },
        },
      },
    })
  })

  it('stops every replica when one of them was refused', async () => {
    const [one, two] = replicas.map(({ db }) => sharedBudget(db, 1))
    if (!one || !two) throw new Error('Two replicas are needed.')
    await one.report(scopes, seen(50, 0, 30 * SECOND))
    expect(await grants(two)).toBe(false)
    const [row] = (await replicas[0].db.select().from(budgets)).filter(({ scope }) => scope === 'user:a')
    expect(row?.state).toMatchObject({ limit: 50, hold_until: expect.any(Number) })
  })

  it('goes on by itself when the limit is reset', async () => {
    const [one, two] = replicas.map(({ db }) => sharedBudget(db, 1))
    if (!one || !two) throw new Error('Two replicas are needed.')
    await one.report(scopes, seen(50, 0, SECOND / 2))
    const before = Date.now()
    await two.take(scopes, 'hot')
    expect(Date.now() - before).toBeGreaterThanOrEqual(SECOND / 2)
  })

  it('does not stop other organizations or users', async () => {
    const budget = sharedBudget(replicas[0].db, 1)
    await budget.report(scopes, seen(50, 0, 30 * SECOND))
    await budget.take(['user:b', 'organization:acme'], 'hot')
  })

  it('gives up waiting when its signal aborts', async () => {
    const budget = sharedBudget(replicas[0].db, 1)
    await budget.report(scopes, seen(50, 0, 30 * SECOND))
    await expect(budget.take(scopes, 'hot', AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  it('starts afresh where what is stored makes no sense', async () => {
    await replicas[0].db.insert(budgets).values({ scope: 'user:a', state: { old: 'shape' }, updated_at: new Date() })
    await sharedBudget(replicas[0].db, 1).take(scopes, 'hot')
    const rows = await replicas[0].db.select().from(budgets)
    expect(rows.find(({ scope }) => scope === 'user:a')?.state).toMatchObject({ grants: [expect.any(Number)] })
  })

  it('keeps every client silent until the reset that a 429 to one of them named', async () => {
    const scene = await openScene({ clock: realClock }, { limits: { organization: 5_000, user: 5_000 } })
    try {
      scene.simulation.writeHistory({ builds: 2_500, days: 10, jobs: 1 })
      let refusedAt = 0
      scene.api.beforeAnswer = () => {
        if (refusedAt > 0 || scene.api.requests.length < 8) return undefined
        refusedAt = Date.now()
        return { kind: 'limit', scope: 'rest_user', reset: 2 }
      }
      const clients = replicas.map(({ db }) => scene.client(sharedBudget(db, 1)))
      const walk = async (client: BuildkiteClient) => {
        const ids = new Set<unknown>()
        const everything = { created_to: new Date(Date.now() + MINUTE) }
        for await (const page of prefetch(client.builds(scene.source.slug, everything, 'hot'))) {
          for (const build of page.value) ids.add(JSON.stringify(build).slice(0, 60))
        }
        return ids.size
      }
      const read = await Promise.all(clients.map(walk))
      expect(read).toEqual([2_500, 2_500])
      // What was already on its way when the refusal came may still arrive.
      const early = scene.api.requests.filter(({ at }) => at > refusedAt + 200 && at < refusedAt + 2 * SECOND)
      expect(early).toEqual([])
      expect(scene.api.requests.filter(({ status }) => status === 429).length).toBe(1)
    } finally {
      await scene.close()
    }
  })
})
