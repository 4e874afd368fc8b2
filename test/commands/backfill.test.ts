import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runCommand } from '../support/service.ts'

let database: TestDatabase
let simulation: Simulation
let api: Api
beforeEach(async () => {
  database = await createTestDatabase()
  simulation = createSimulation({ seed: 5, pipelines: 2, organizations: ['acme'] })
  simulation.writeHistory({ builds: 30, days: 20 })
  api = await simulation.startApi()
})
afterEach(async () => {
  await simulation.stop()
  await database.drop()
})

it('backfill says that a later list of pipelines confirms what it has just read', async () => {
  const { code, stdout, stderr } = await runCommand(['backfill'], {
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    DATABASE_URL: database.url,
  })
  expect(stderr).toBe('')
  expect(stdout).toMatch(
    /acme: read from .* 0 of 2 pipelines complete over the wanted history\. Builds read in the last two minutes/,
  )
  expect(stdout).toContain('run the command again in 2 to 10 minutes')
  expect(code).toBe(0)
})
