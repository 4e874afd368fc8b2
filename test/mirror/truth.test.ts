import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { combine, type Observations } from '../../src/mirror/observation.ts'
import { observeBuilds, observeOrganizations, observePipelines, observeWebhook } from '../../src/mirror/observe.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'

const options = { storeEnv: false }
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

beforeEach(async () => {
  await database.db.execute(
    `truncate buildkite.organizations, buildkite.pipelines, buildkite.builds, buildkite.build_attempts, buildkite.jobs, buildkite.agents`,
  )
})

const apply = (observed: Observations, at: Date) => applyObservations(database.db, observed, at)

/** Reads the whole truth as REST would show it now. */
async function readAll({ truth, clock }: Simulation): Promise<void> {
  const at = new Date(clock.now())
  await apply(observeOrganizations(truth.organizations, at), at)
  await apply(observePipelines(truth.pipelines, at, options), at)
  for (let page = 0; page < truth.builds.length; page += 100) {
    await apply(observeBuilds(truth.builds.slice(page, page + 100), at, options), at)
  }
}

describe('the mirror of a truth read by REST', () => {
  it('has every documented field of every object, in a column or in extra, and no secret', async () => {
    const simulation = createSimulation({ seed: 3 })
    simulation.writeHistory({ builds: 300, days: 20 })
    await readAll(simulation)
    expect(await differences(test.url, simulation.truth)).toEqual([])
    const [build] = simulation.truth.builds
    if (build) build.message = 'Something else'
    expect(await differences(test.url, simulation.truth)).toHaveLength(1)
  })
})

describe('the mirror after webhooks in any order, some twice, some never, and one REST read', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('equals the truth (seed %i)', async (seed) => {
    const simulation = createSimulation({ seed, stepMs: [5, 1_500], pipelines: 2 })
    const { truth, clock } = simulation
    const sent: Observations[] = []
    const sender = { id: 'sender', name: 'Sender' }
    truth.onChange((change) => {
      // A signature knows whole seconds only.
      const at = new Date(Math.floor(clock.now() / 1_000) * 1_000)
      sent.push(observeWebhook(change.event, structuredClone(renderChange(truth, change, sender)), at, options))
    })
    await simulation.play({ builds: 15 })
    const some = fc.shuffledSubarray([...sent, ...sent], { minLength: Math.ceil(sent.length / 4) })
    const arrivals = fc.sample(some, { numRuns: 1, seed })[0] ?? []
    // Before the read and after it: a webhook may be an hour late.
    const middle = Math.floor(arrivals.length / 2)
    for (let i = 0; i < middle; i += 40) await apply(combine(arrivals.slice(i, Math.min(i + 40, middle))), new Date())
    clock.pass(2_000)
    await readAll(simulation)
    for (let i = middle; i < arrivals.length; i += 40) await apply(combine(arrivals.slice(i, i + 40)), new Date())
    expect(await differences(test.url, truth)).toEqual([])
  })
})
