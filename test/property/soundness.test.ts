import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { faultsOf, soundHistory } from './soundness.ts'
import { openHome } from './soundness-database.ts'

// A sample; `npm run soundness -- --seeds 1..1000` runs more, and one seed again with all that happened in it.
const seeds = [1, 3, 6, 7, 8]

let database: TestDatabase
let home: Awaited<ReturnType<typeof openHome>>
beforeAll(async () => {
  database = await createTestDatabase()
  home = await openHome(database.url)
})
afterAll(async () => {
  await home.close()
  await database.drop()
})

describe('every claim is true under all faults', () => {
  it.each(seeds)(
    'at random times of history %i, which ends equal and fully claimed',
    async (seed) => {
      const verdict = await soundHistory(seed, home)
      expect(faultsOf(verdict)).toEqual([])
      expect(verdict.claims).toBeGreaterThan(10)
    },
    120_000,
  )
})
