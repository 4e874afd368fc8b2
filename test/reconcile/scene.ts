import { desc, inArray } from 'drizzle-orm'
import { type BuildkiteClient, createClient } from '../../src/buildkite/client.ts'
import type { Budget } from '../../src/buildkite/http/budget.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { builds, deliveries } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import type { ReconcileDeps, Source } from '../../src/reconcile/context.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { type Api, type ApiOptions, demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation, type SimulationOptions } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { accessOf, freeBudget, silent } from './access-of.ts'

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
  /** Writes a history, and mirrors it whole: organizations, pipelines, a first cycle and the backfill. */
  complete(history: { builds: number; days: number; jobs?: number }): Promise<void>
  /** As if webhooks came and brought the newest build: what they do not report from now on counts as lost. */
  expectWebhooks(): Promise<void>
  /** Where mirror and truth differ, a line each. */
  differences(): Promise<string[]>
  close(): Promise<void>
}

export { freeBudget, silent } from './access-of.ts'

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
  const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
  const deps = {
    db: database.db,
    log: silent,
    clock,
    filter,
    storeEnv: false,
    storeAnnotations: false,
    storeArtifacts: false,
    backfillDays: 90,
  }
  const source = { id: organization.id, slug: organization.slug, client: open() }
  const scene: Scene = {
    simulation,
    api,
    database,
    url: home.url,
    deps,
    source,
    client: open,
    async complete(history) {
      simulation.writeHistory(history)
      const access = accessOf(scene)
      await discover(deps, access)
      await access.close()
      await refreshPipelines(deps, source)
      await reconcileOnce(deps, source)
      await backfillOwed(deps, source)
      simulation.clock.pass(MINUTE)
    },
    async expectWebhooks() {
      const at = new Date(simulation.clock.now())
      const ping = { key: 'a ping', event: 'ping', received_at: at, observed_at: at, status: 'ignored' } as const
      await database.db.insert(deliveries).values(ping)
      const newest = database.db.select({ id: builds.id }).from(builds).orderBy(desc(builds.created_at)).limit(1)
      await database.db.update(builds).set({ first_seen_via: 'webhook' }).where(inArray(builds.id, newest))
    },
    differences: () => differences(home.url, simulation.truth),
    async close() {
      await Promise.all(clients.map((client) => client.close()))
      await simulation.stop()
      await database.close()
      await home.drop()
    },
  }
  return scene
}
