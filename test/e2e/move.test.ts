import { rm } from 'node:fs/promises'
import postgres from 'postgres'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startEmbedded } from '../../src/database/embedded/embedded.ts'
import { createLog } from '../../src/runtime/log.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { twoMoreCycles } from '../support/cycles.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { makeFolder } from '../support/folder.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { until, untilProgress } from '../support/until.ts'

const secret = 'the-secret-of-move-tests'

let folder: string
let target: TestDatabase
let simulation: Simulation
let service: ServiceProcess | undefined

beforeEach(async () => {
  folder = await makeFolder('bkm-move-')
  target = await createTestDatabase({ empty: true })
  simulation = createSimulation({ seed: 51, clock: realClock })
  simulation.writeHistory({ builds: 200, days: 10 })
})

afterEach(async () => {
  await simulation.stop()
  await service?.stop()
  service = undefined
  await target.drop()
  await rm(folder, { recursive: true, force: true })
})

it('from the embedded PostgreSQL to one of your own keeps everything, and what waited in the inbox is applied there', async () => {
  const api = await simulation.startApi()
  const settings = {
    DATA_DIR: folder,
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    WEBHOOK_SECRET: secret,
    RECONCILE_INTERVAL: '1s',
    API_BUDGET_SHARE: '1',
  }
  service = await startService(settings)
  const webhooks = simulation.startWebhooks({ url: () => `${service?.publicUrl}/webhooks/buildkite`, secret })
  await simulation.play({ builds: 10 })
  const backfilled = async () => {
    const { organizations } = await (service as ServiceProcess).status()
    return JSON.stringify(organizations).includes('"done":true')
  }
  await until(backfilled, 'history is read', 60_000)

  const busy = await runCommand(['move'], { DATA_DIR: folder, DATABASE_URL: target.url })
  expect([busy.code, busy.stderr]).toEqual([2, expect.stringContaining('is in use by buildkite-mirror process')])

  // What a receiver alone takes waits in the inbox, with its jobs in the queue that stays behind.
  await service.stop()
  service = await startService({ ...settings, ROLES: 'web' })
  await simulation.play({ builds: 3 })
  await service.stop()
  service = undefined

  const moved = await runCommand(['move', '--json'], { DATA_DIR: folder, DATABASE_URL: target.url })
  expect([moved.stderr, moved.code]).toEqual([expect.stringContaining('Copied and compared.'), 0])
  const { tables }: { tables: { name: string; rows: number }[] } = JSON.parse(moved.stdout)
  const rowsOf = (name: string) => tables.find((one) => one.name === name)?.rows ?? 0
  expect(rowsOf('buildkite.builds')).toBeGreaterThan(200)
  expect(rowsOf('buildkite.jobs')).toBeGreaterThan(500)
  expect(rowsOf('sync.watermarks')).toBe(1)
  expect(await fingerprints(target.url)).toEqual(await embeddedFingerprints())

  const sql = postgres(target.url, { max: 1, onnotice: () => {} })
  const count = async (status: string) => (await sql`select 1 from sync.deliveries where status = ${status}`).length
  expect(await count('pending')).toBeGreaterThan(10)
  service = await startService({ ...settings, DATABASE_URL: target.url })
  await untilProgress(() => count('pending'), 0, 'what waited is enqueued again and applied')
  expect(await count('failed')).toBe(0)
  await simulation.play({ builds: 3 })
  await webhooks.settled()
  expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
  await twoMoreCycles(sql)
  await sql.end({ timeout: 1 })
  const counters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']
  const columns = { pipelines: counters.map((name) => `${name}_count`) }
  expect(await differences(target.url, simulation.truth, { columns })).toEqual([])
}, 300_000)

async function embeddedFingerprints(): Promise<Record<string, string>> {
  const embedded = await startEmbedded(folder, createLog('silent'))
  try {
    return await fingerprints(embedded.url)
  } finally {
    await embedded.stop()
  }
}

/** Rows and a hash of all rows in order, of every table but the queue's: not by the way that `move` itself compares. */
async function fingerprints(url: string): Promise<Record<string, string>> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await sql`set timezone = 'UTC'`
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname in ('buildkite', 'sync', 'settings', 'analytics', 'drizzle') order by 1`
    expect(tables.length).toBeGreaterThan(30)
    const found: Record<string, string> = {}
    for (const { name } of tables) {
      const [row] = await sql.unsafe(
        `select count(*) || ' ' || md5(coalesce(string_agg(t::text, chr(10) order by t::text collate "C"), '')) as print from ${name} as t`,
      )
      found[name] = String(row?.print)
    }
    return found
  } finally {
    await sql.end({ timeout: 1 })
  }
}
