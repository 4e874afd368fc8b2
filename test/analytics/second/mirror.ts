import postgres from 'postgres'
import { refreshRollups } from '../../../src/analytics/rollups.ts'
import { createClient } from '../../../src/buildkite/client.ts'
import type { Db } from '../../../src/database/connection.ts'
import { applyObservations } from '../../../src/mirror/apply.ts'
import { combine, type Observations } from '../../../src/mirror/observation.ts'
import {
  observeAgents,
  observeBuilds,
  observeOrganizations,
  observePipelines,
  observeWebhook,
} from '../../../src/mirror/observe.ts'
import { openAccess } from '../../../src/reconcile/access/access.ts'
import { discover } from '../../../src/reconcile/access/discover.ts'
import { backfillOwed } from '../../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../../src/reconcile/pipelines/pipelines.ts'
import { syncReferenceData } from '../../../src/reconcile/reference-data/sync.ts'
import { mirrorFilter } from '../../../src/runtime/scope.ts'
import { demoToken } from '../../../src/simulator/api/api.ts'
import type { Home } from '../../property/soundness-database.ts'
import { freeBudget, silent } from '../../reconcile/access-of.ts'
import { factsOf } from './facts.ts'
import type { History, Lists, MirrorState, Payload, Rule } from './history.ts'
import { makeIncidents } from './incidents.ts'
import type { Lived } from './live.ts'

/** Empties the database, and lets its sessions live in a time zone that no number may depend on. */
export async function emptyMirror(home: Home, url: string): Promise<void> {
  await home.empty()
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', table_schema, table_name) as name from information_schema.tables
    where table_schema in ('analytics', 'settings') and table_type = 'BASE TABLE'`
  await sql.unsafe(`truncate ${tables.map(({ name }) => name).join(', ')} restart identity cascade`)
  await sql.end()
}

export const storesEnv = (seed: number) => seed % 2 === 0

/** Mirrors all of it over REST, as the service does. */
export async function mirrorByRest(db: Db, { api, simulation, seed }: Lived, withBuilds = true): Promise<void> {
  const clock = () => simulation.clock.now()
  const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
  const options = { storeEnv: storesEnv(seed), storeAnnotations: false, storeArtifacts: false, backfillDays: 90 }
  const deps = { db, log: silent, clock, filter, ...options }
  const common = { budget: freeBudget, log: silent, clock, backoffMs: 1 }
  const access = openAccess(
    { apiTokens: [demoToken.token], apiUrl: api.url, httpsProxy: undefined, noProxy: [] },
    { budget: freeBudget, filter, log: silent, clock, client: { backoffMs: 1 } },
  )
  await discover(deps, access)
  await access.close()
  const client = createClient({ token: demoToken.token, apiUrl: api.url, ...common })
  for (const { id, slug } of simulation.truth.organizations) {
    const source = { id, slug, client }
    await refreshPipelines(deps, source)
    if (withBuilds) {
      await reconcileOnce(deps, source)
      await backfillOwed(deps, source)
    }
    await syncReferenceData(deps, source)
  }
  await client.close()
}

/** Applies recorded payloads in their order: webhooks in batches, as the service does, and each read by itself. */
export async function applyPayloads(db: Db, payloads: readonly Payload[], storeEnv: boolean): Promise<void> {
  let batch: Observations[] = []
  let now = new Date(0)
  const flush = async () => {
    if (batch.length > 0) await applyObservations(db, combine(batch), now)
    batch = []
  }
  for (const { at: time, appliedAt, ...shown } of structuredClone(payloads)) {
    const at = new Date(time)
    const options = { storeEnv }
    const { webhook, pipelines, agents, builds } = shown
    if (!webhook || batch.length >= 25) await flush()
    now = new Date(appliedAt)
    if (webhook) batch.push(observeWebhook(String(webhook.event), webhook, at, options))
    if (pipelines) await applyObservations(db, observePipelines(pipelines, at, options), now)
    if (agents) await applyObservations(db, observeAgents(agents, at, options), now)
    if (builds) await applyObservations(db, observeBuilds(builds, at, options), now)
  }
  await flush()
}

export async function applyOrganizations(db: Db, lists: readonly Lists[], at: number): Promise<void> {
  const organizations = lists.map(({ organization }) => organization)
  await applyObservations(db, observeOrganizations(organizations, new Date(at)), new Date(at))
}

/** Stores the settings, and refreshes the tables. Returns the history with the ids of its rules. */
export async function finishMirror(home: Home, history: History): Promise<History> {
  const { sql, database } = home
  await sql`delete from settings.deployment_rules`
  await sql`delete from settings.queue_rates`
  const rules: Rule[] = []
  for (const { id: _, ...rule } of history.rules) {
    const [row] = await sql<{ id: number }[]>`insert into settings.deployment_rules ${sql(rule)} returning id`
    rules.push({ ...rule, id: row?.id ?? 0 })
  }
  const incidents = makeIncidents(factsOf({ ...history, rules }))
  await sql`delete from settings.incidents`
  for (const { started_at, resolved_at, ...incident } of incidents) {
    const times = { started_at: new Date(started_at), resolved_at: resolved_at === null ? null : new Date(resolved_at) }
    await sql`insert into settings.incidents ${sql({ ...incident, ...times })}`
  }
  for (const rate of history.rates) await sql`insert into settings.queue_rates ${sql({ ...rate })}`
  if (history.oldestDelivery !== null) {
    const at = new Date(history.oldestDelivery)
    await sql`insert into sync.deliveries (key, event, received_at, observed_at, status, applied_at)
      values ('ping', 'ping', ${at}, ${at}, 'applied', ${at}) on conflict do nothing`
  }
  await refreshRollups(database.db)
  const [left] = await sql<{ days: number }[]>`select count(*)::int as days from sync.stale_days`
  if (left?.days !== 0) throw new Error(`${left?.days} days are still stale.`)
  return { ...history, rules, incidents, mirror: await readState(home) }
}

async function readState({ sql }: Home): Promise<MirrorState> {
  const marks = await sql<{ id: string; watermark: Date }[]>`
    select organization_id as id, watermark from sync.watermarks where watermark is not null`
  const gone = await sql<{ id: string }[]>`
    select id from buildkite.builds where deleted_at is not null
    union all select id from buildkite.jobs where deleted_at is not null
    union all select id from buildkite.agents where deleted_at is not null`
  return {
    watermarks: new Map(marks.map(({ id, watermark }) => [id, watermark.getTime()])),
    deleted: new Set(gone.map(({ id }) => id)),
  }
}
