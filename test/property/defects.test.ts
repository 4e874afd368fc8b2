import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { defects } from './defects.ts'
import { faultsOf, soundHistory } from './soundness.ts'
import { type Home, openHome } from './soundness-database.ts'

let database: TestDatabase
let home: Home
beforeAll(async () => {
  database = await createTestDatabase()
  home = await openHome(database.url)
})
afterAll(async () => {
  await home.close()
  await database.drop()
})

it.each(defects)(
  'the property of sound claims fails when this defect is planted: $name',
  async ({ seeds, planted }) => {
    const faults: string[] = []
    for (const seed of seeds) faults.push(...faultsOf(await soundHistory(seed, home, planted)))
    expect(faults).not.toEqual([])
  },
  120_000,
)
