import type { Budget } from '../../src/buildkite/budget.ts'
import { type BuildkiteClient, createClient } from '../../src/buildkite/client.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { type Api, type ApiOptions, demoToken } from '../../src/demo/api.ts'
import { createSimulation, type Simulation, type SimulationOptions } from '../../src/demo/simulation.ts'
import { createLog } from '../../src/log.ts'
import type { ReconcileDeps, Source } from '../../src/reconcile/deps.ts'
import { inScope } from '../../src/scope.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'

/** A simulated Buildkite with its API, a database of its own, and what reconciling needs to bring the two together. */
export interface Scene {
  readonly simulation: Simulation
  readonly api: Api
  readonly database: Database
  readonly url: string
  readonly deps: ReconcileDeps
  readonly source: Source
  /** A second client with its own budget, as another replica has. */
  client(budget?: Budget): BuildkiteClient
  /** Where mirror and truth differ, a line each. */
  differences(): Promise<string[]>
  close(): Promise<void>
}

/** Grants everything at once. */
export const freeBudget: Budget = { take: async () => {}, report: async () => {} }

export const silent = createLog('silent')

export async function openScene(options: SimulationOptions = {}, apiOptions: ApiOptions = {}): Promise<Scene> {
  const simulation = createSimulation({ seed: 11, ...options })
  const api = await simulation.startApi(apiOptions)
  const home: TestDatabase = await createTestDatabase()
  const database = openDatabase(home.url, { name: 'reconcile test' })
  const clients: BuildkiteClient[] = []
  const clock = () => simulation.clock.now()
  const open = (budget = freeBudget) => {
    const client = createClient({ token: demoToken.token, apiUrl: api.url, budget, log: silent, clock, backoffMs: 1 })
    clients.push(client)
    return client
  }
  const [organization] = simulation.truth.organizations
  if (!organization) throw new Error('The simulation has no organization.')
  const scope = inScope({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
  return {
    simulation,
    api,
    database,
    url: home.url,
    deps: { db: database.db, log: silent, clock, scope, storeEnv: false, backfillDays: 90 },
    source: { id: organization.id, slug: organization.slug, client: open() },
    client: open,
    differences: () => differences(home.url, simulation.truth),
    async close() {
      await Promise.all(clients.map((client) => client.close()))
      await simulation.stop()
      await database.close()
      await home.drop()
    },
  }
}
