import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { fuzzConnections } from './connections.ts'
import { fuzzLists } from './lists.ts'
import { fuzzSettings } from './settings.ts'
import { fuzzWebhooks } from './webhooks.ts'

// A sample; `npm run fuzz` runs as many as one likes. The seed is in the name, so that a failure can be had again.
const seed = process.env.FUZZ_SEED ?? '20261124'
let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

it(`mutated webhooks (seed ${seed}) are answered without 5xx and settled, and sane ones come through`, async () => {
  const report = await fuzzWebhooks({ databaseUrl: database.url }, { seed, count: 400 })
  expect(report.findings.join('\n')).toBe('')
  expect(report.outcomes.applied).toBeGreaterThan(100)
})

it(`odd and broken HTTP (seed ${seed}) is answered or cut off, leaves nothing open, and honest webhooks arrive meanwhile`, async () => {
  const report = await fuzzConnections({ databaseUrl: database.url }, { seed, count: 500 })
  expect(report.findings.join('\n')).toBe('')
  for (const outcome of ['202', '400', '401', 'no answer', 'honest']) {
    expect([outcome, report.outcomes[outcome]]).toEqual([outcome, expect.any(Number)])
  }
})

it(`mutated answers of the API (seed ${seed}) give a sane result or a BuildkiteError, and nothing is passed in silence`, async () => {
  const report = await fuzzLists(database.url, { seed, count: 40 })
  expect(report.findings.join('\n')).toBe('')
  expect(report.outcomes.cycle).toBeGreaterThan(5)
})

it(`mutated settings (seed ${seed}) give a usable configuration or name the variable, and tell no secret`, async () => {
  const report = await fuzzSettings({ seed, count: 1_000 })
  expect(report.findings.join('\n')).toBe('')
  expect(report.outcomes.accepted).toBeGreaterThan(100)
})
