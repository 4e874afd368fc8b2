import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runCommand } from '../support/service.ts'

let database: TestDatabase
let simulation: Simulation
let api: Api
beforeEach(async () => {
  database = await createTestDatabase({ empty: true })
  simulation = createSimulation({ seed: 5, pipelines: 1, organizations: ['acme'] })
  api = await simulation.startApi()
})
afterEach(async () => {
  await simulation.stop()
  await database.drop()
})

const run = (command: readonly string[], level: string) =>
  runCommand([...command, '--json'], {
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    DATABASE_URL: database.url,
    LOG_LEVEL: level,
  })

describe('--json, by the first command after an upgrade', () => {
  it('has stdout to itself at the default LOG_LEVEL', async () => {
    const { code, stdout } = await run(['reconcile'], '')
    expect(JSON.parse(stdout)).toMatchObject([{ organization: 'acme' }])
    expect(code).toBe(0)
  })

  it.each([['verify'], ['backfill'], ['reconcile']])(
    'has stdout to itself however much %s logs',
    async (...command) => {
      const { stdout, stderr } = await run(command, 'debug')
      expect(() => JSON.parse(stdout)).not.toThrow()
      expect(stderr).toContain('The database schema was brought up to date.')
    },
  )
})
