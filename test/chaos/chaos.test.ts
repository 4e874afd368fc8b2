import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts'
import { testQueueBackends } from '../support/redis.ts'
import { runChaos } from './chaos.ts'
import { faultKinds, planOf } from './plan.ts'

let postgres: OwnPostgres

beforeAll(async () => {
  postgres = await startOwnPostgres()
})
afterAll(() => postgres.stop())

describe('a plan of chaos', () => {
  it('is the same for the same seed, and over many seeds holds every kind of fault', () => {
    expect(planOf(7, 10_000)).toEqual(planOf(7, 10_000))
    const kinds = new Set(
      Array.from({ length: 100 }, (_, seed) => planOf(seed, 10_000)).flatMap(({ faults }) =>
        faults.map(({ kind }) => kind),
      ),
    )
    expect([...kinds].sort()).toEqual(Object.keys(faultKinds).sort())
  })

  it('never deletes what only the queue holds', () => {
    for (let seed = 0; seed < 500; seed++) {
      const { faults } = planOf(seed, 10_000)
      for (const flush of faults.filter(({ kind }) => kind === 'redis flushed')) {
        const away = faults.filter(({ kind, at }) => kind.startsWith('postgres') && Math.abs(at - flush.at) < 500)
        expect(away).toEqual([])
      }
    }
  })
})

// Longer and more: npm run chaos. docs/operations/failure-modes.md names the seeds that were run.
describe.each(testQueueBackends())('under chaos, the queue on %s', (queue) => {
  it.each([1, 14])(
    'nothing accepted is lost, and the mirror is exact two cycles later (seed %i)',
    async (seed) => {
      const { faults, webhooks } = await runChaos(planOf(seed, 6_000, queue), postgres)
      expect(webhooks.accepted).toBeGreaterThan(0)
      expect(faults).toEqual([])
    },
    240_000,
  )
})
