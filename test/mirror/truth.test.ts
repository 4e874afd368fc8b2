import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { createSimulation } from '../../src/demo/simulation.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeBuilds, observeOrganizations, observePipelines } from '../../src/mirror/observe.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'

let test: TestDatabase
let database: Database

beforeAll(async () => {
  test = await createTestDatabase()
  database = openDatabase(test.url, { name: 'test' })
})

afterAll(async () => {
  await database.close()
  await test.drop()
})

it('keeps every documented field of every object, in a column or in extra, and no secret', async () => {
  const { truth, clock, writeHistory } = createSimulation({ seed: 3 })
  writeHistory({ builds: 300, days: 20 })
  const at = new Date(clock.now())
  const options = { storeEnv: false }
  await applyObservations(database.db, observeOrganizations(truth.organizations, at), at)
  await applyObservations(database.db, observePipelines(truth.pipelines, at, options), at)
  for (let page = 0; page < 300; page += 100) {
    await applyObservations(database.db, observeBuilds(truth.builds.slice(page, page + 100), at, options), at)
  }
  expect(await differences(test.url, truth)).toEqual([])
})
