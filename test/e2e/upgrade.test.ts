import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from 'vitest'
import { LAST_REPLACED } from '../../src/database/migrations/replaced-migrations.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import type { Webhooks } from '../../src/simulator/webhooks/webhooks.ts'
import { twoMoreCycles } from '../support/cycles.ts'
import { createTestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts'
import { dumpSchema } from '../support/pg-dump.ts'
import { buildPreviousVersion, buildVersion, type EarlierVersion, migrationsIn } from '../support/previous-version.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { sceneOf } from '../support/scene.ts'
import { runCommand, type ServiceProcess, startService, untilService } from '../support/service.ts'
import { untilProgress } from '../support/until.ts'

const secret = 'the-secret-of-upgrade-tests'
/** Webhooks that each stage of the upgrade must see accepted. */
const SOME = 40

let previous: EarlierVersion
/** The version to upgrade through, if the previous one is older than the baseline. */
let between: EarlierVersion | undefined
/** Migrations that the previous version does not know. */
let lacking: number
beforeAll(async () => {
  previous = await buildPreviousVersion()
  if (!previous.migrations.includes('0000_baseline.sql')) between = await buildVersion(LAST_REPLACED.commit)
  lacking = (await migrationsIn()).filter((name) => !previous.migrations.includes(name)).length
}, 120_000)
afterAll(async () => {
  await previous?.remove()
  await between?.remove()
})

describe.each(testQueueBackends())('an upgrade one process at a time, the queue on %s', (backend) => {
  let own: OwnPostgres
  let sql: postgres.Sql
  let redis: RedisServer | undefined
  let simulation: Simulation
  let webhooks: Webhooks
  let settings: Record<string, string>
  /** Receivers in the load balancer. */
  let receivers: ServiceProcess[]
  let processes: ServiceProcess[]
  let living = true
  let lived: Promise<void>

  beforeEach(async () => {
    if (backend === 'redis') redis = await startRedisServer()
    // Six processes at once, and the queue in the same database: up to 80 connections. The machine's Postgres may allow no more than 100.
    own = await startOwnPostgres()
    sql = postgres(own.url, { max: 2, onnotice: () => {} })
    simulation = createSimulation({ seed: 41, clock: realClock })
    const api = await simulation.startApi()
    simulation.writeHistory({ builds: 150, days: 10 })
    settings = {
      DATABASE_URL: own.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      WEBHOOK_SECRET: secret,
      RECONCILE_INTERVAL: '1s',
      API_BUDGET_SHARE: '1',
      AUTO_MIGRATE: 'false',
    }
    receivers = []
    processes = []
    living = true
  })

  afterEach(async () => {
    living = false
    await lived
    await simulation.stop()
    await Promise.all(processes.map((one) => one.stop('SIGKILL')))
    await sql.end({ timeout: 1 })
    await redis?.stop()
    redis = undefined
    await own.stop()
  })

  /** The previous version does not know AUTO_MIGRATE, and migrates by itself. */
  async function startOne(version: Version, role: Role, ready: boolean): Promise<ServiceProcess> {
    const program = version === 'previous' ? previous.cli : undefined
    const service = await startService({ ...settings, ROLES: role }, ready, program)
    processes.push(service)
    return service
  }

  async function startPair(version: Version, ready: boolean): Promise<{ web: ServiceProcess; worker: ServiceProcess }> {
    const [web, worker] = await Promise.all([startOne(version, 'web', ready), startOne(version, 'worker', ready)])
    return { web, worker }
  }

  /** Webhooks without pause, to each receiver in turn. */
  function live(): void {
    let turn = 0
    const url = () => `${receivers[turn++ % receivers.length]?.publicUrl ?? 'http://127.0.0.1:9'}/webhooks/buildkite`
    webhooks = simulation.startWebhooks({ url, secret, concurrency: 4, twice: 0.05 })
    webhooks.keep = true
    lived = (async () => {
      while (living) {
        await simulation.play({ builds: 2, atOnce: 2 })
        await new Promise((next) => setTimeout(next, 50))
      }
    })()
  }

  const acceptedBy = ({ publicUrl }: ServiceProcess) =>
    webhooks.log.filter(({ url, status }) => url.startsWith(publicUrl) && status === 202).length

  async function acceptsMore(service: ServiceProcess, what: string): Promise<void> {
    const before = acceptedBy(service)
    await untilProgress(
      () => acceptedBy(service),
      (accepted) => accepted >= before + SOME,
      `${what} accepts ${SOME} more webhooks`,
    )
  }

  async function appliesMore(service: ServiceProcess, what: string): Promise<void> {
    const before = await settledBy(service)
    const others = async () =>
      (await sql`select count(*)::int as n from sync.deliveries where status <> 'pending'`)[0]?.n
    // Another worker may apply everything for a while: then it is not this one's turn yet.
    const progress = async () => `${await settledBy(service)} of ${await others()}`
    const hasMore = (state: string) => Number(state.split(' ')[0]) > before
    await untilProgress(progress, hasMore, `${what} applies more deliveries`).catch(async (error: unknown) => {
      throw new Error(`${String(error)}\n${await sceneOf(service, sql)}`)
    })
  }

  it('loses nothing: both versions at once, the old stopped, and back to the old on the new schema', async () => {
    const old = await startPair('previous', true)
    const oldReconciler = await startOne('previous', 'reconciler', true)
    receivers.push(old.web)
    live()
    await acceptsMore(old.web, 'the previous version')

    // The new processes come before their schema: the receiver receives, the others wait.
    const present = await startPair('present', lacking === 0)
    const reconciler = await startOne('present', 'reconciler', lacking === 0)
    await untilService(present.web, () => answers(present.web), 'the new receiver listens')
    receivers.push(present.web)
    await acceptsMore(present.web, 'the new receiver on the old schema')
    if (lacking > 0) {
      expect(await readinessOf(present.web)).toEqual([200, 'degraded'])
      await untilService(present.worker, () => answers(present.worker), 'the new worker listens')
      expect(await readinessOf(present.worker)).toEqual([503, 'unavailable'])
      expect((await present.worker.status()).reasons).toContainEqual({
        code: 'migrations_pending',
        text: expect.stringContaining(`The database needs ${lacking} more migration`),
      })
      expect(await settledBy(present.worker)).toBe(0)
      const refused = await runCommand(['status'], settings)
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('Run buildkite-mirror migrate first')])
    }

    // The reconciler of the previous version does not know the names of the new schema.
    expect(await oldReconciler.stop()).toBe(0)

    // Migrated under load; then both versions work side by side.
    const diverted = watchDiverted(present.web)
    if (between) {
      const { code, stderr } = await runCommand(['migrate'], settings)
      expect([code, stderr]).toEqual([2, expect.stringContaining(`it lacks the migration ${LAST_REPLACED.tag}`)])
      expect((await runCommand(['migrate'], settings, undefined, between.cli)).code).toBe(0)
    }
    expect((await runCommand(['migrate'], settings)).code).toBe(0)
    expect(await diverted.longestMs()).toBeLessThan(2_000)
    for (const service of [present.web, present.worker, reconciler]) {
      await untilService(service, async () => (await readinessOf(service))[0] === 200, 'the new version is ready')
    }
    await Promise.all([
      acceptsMore(old.web, 'the previous version'),
      acceptsMore(present.web, 'the new version'),
      appliesMore(old.worker, 'the previous version'),
      appliesMore(present.worker, 'the new version'),
    ])

    // The old ones go.
    receivers = [present.web]
    expect(await stopped(old)).toEqual([0, 0])
    await acceptsMore(present.web, 'the new version alone')
    await appliesMore(present.worker, 'the new version alone')

    // And back, on the new schema.
    const again = await startPair('previous', true)
    receivers = [again.web, present.web]
    await acceptsMore(again.web, 'the previous version on the new schema')
    receivers = [again.web]
    expect(await stopped(present)).toEqual([0, 0])
    await acceptsMore(again.web, 'the previous version alone on the new schema')
    await appliesMore(again.worker, 'the previous version alone on the new schema')

    living = false
    await lived
    await webhooks.settled()
    // What the queue keeps while Postgres is slow to take it comes to the inbox later.
    await untilProgress(async () => (await lost()).length, 0, 'every delivery is in the inbox', 30_000, 500)
    await untilProgress(pending, 0, 'every delivery is applied')
    expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
    expect(await lost()).toEqual([])
    const odd = await sql`select event, status, error from sync.deliveries where status not in ('applied', 'ignored')`
    expect([...odd]).toEqual([])
    await twoMoreCycles(sql)
    const timeLimits = ['default_command_step_timeout', 'maximum_command_step_timeout']
    const counters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']
    // The previous version stores badge_url, and in extra what it has no column for; this one corrects both with its next list of pipelines.
    const columns = { pipelines: ['badge_url', 'extra', ...timeLimits, ...counters.map((name) => `${name}_count`)] }
    expect(await differences(own.url, simulation.truth, { columns })).toEqual([])
    // The rollups of an earlier program may meet a migration: it retries them.
    const outputs = processes.map((one) => one.output().replace(/^.*"kind":"transient".*\/bkm-previous-.*$/gm, ''))
    for (const output of outputs) expect(output).not.toMatch(/deadlock|unhandled|"level":"(error|fatal)"/i)
  }, 900_000)

  async function pending(): Promise<number> {
    const [row] = await sql<{ n: number }[]>`select count(*)::int as n from sync.deliveries where status = 'pending'`
    return row?.n ?? 0
  }

  /** Events that were answered 202 and stand nowhere in the inbox. */
  async function lost(): Promise<string[]> {
    const rows = await sql<{ request_id: string }[]>`select request_id from sync.deliveries`
    const kept = new Set(rows.map(({ request_id }) => request_id))
    // What was sent twice is kept once, under the request that came first.
    const bodies = new Set(webhooks.log.filter(({ request_id }) => kept.has(request_id)).map(({ body }) => body))
    return webhooks.log.filter(({ status, body }) => status === 202 && !bodies.has(body)).map(({ event }) => event)
  }
})

test('an upgraded database has the schema of drizzle/current.sql', async ({ skip }) => {
  const database = await createTestDatabase({ empty: true })
  try {
    // With the queue in Redis, which migrate does not connect to.
    const settings = { DATABASE_URL: database.url, REDIS_URL: 'redis://127.0.0.1:1' }
    for (const { cli } of [previous, ...(between ? [between] : [])]) {
      expect((await runCommand(['migrate'], settings, undefined, cli)).code).toBe(0)
    }
    expect((await runCommand(['migrate', '--roles'], settings)).code).toBe(0)
    const schema = await dumpSchema(database.url)
    if (schema === undefined) return skip('PostgreSQL 15 only')
    // The previous owner's default privileges stay. They only apply to what it creates.
    const ofOthers = /^ALTER DEFAULT PRIVILEGES FOR ROLE (?!buildkite_owner).*\n+/gm
    expect(`${schema.replace(ofOthers, '').trim()}\n`).toBe(
      readFileSync(new URL('../../drizzle/current.sql', import.meta.url), 'utf8'),
    )
  } finally {
    await database.drop()
  }
})

type Version = 'previous' | 'present'
type Role = 'web' | 'worker' | 'reconciler'

/** Ends the processes of one version and returns their exit codes. */
function stopped(services: Record<string, ServiceProcess>): Promise<(number | string)[]> {
  return Promise.all(Object.values(services).map((service) => service.stop()))
}

/** How many deliveries this process has applied, by its own metrics. */
async function settledBy({ privateUrl }: ServiceProcess): Promise<number> {
  const page = await fetch(`${privateUrl}/metrics`)
  const lines = (await page.text()).matchAll(/^\w*deliveries_(?:settled|processed)_total\{[^}]*\} (\d+)/gm)
  return [...lines].reduce((sum, [, n]) => sum + Number(n), 0)
}

/** Watches for how long at a time webhooks go to the queue, and none to Postgres. */
function watchDiverted({ privateUrl }: ServiceProcess): { longestMs(): Promise<number> } {
  let watching = true
  const watched = (async () => {
    let before = await keptBy(privateUrl)
    let since: number | undefined
    let longest = 0
    while (watching) {
      await new Promise((next) => setTimeout(next, 50))
      const now = await keptBy(privateUrl)
      if (now.postgres > before.postgres) since = undefined
      if (now.queue > before.queue) {
        since ??= Date.now()
        longest = Math.max(longest, Date.now() - since)
      }
      before = now
    }
    return longest
  })()
  return {
    longestMs() {
      watching = false
      return watched
    },
  }
}

/** How many deliveries this process has kept in each store, by its own metrics. */
async function keptBy(privateUrl: string): Promise<{ postgres: number; queue: number }> {
  const page = await (await fetch(`${privateUrl}/metrics`)).text()
  const of = (store: string) =>
    Number(new RegExp(`deliveries_(?:kept|accepted)_total\\{via="${store}"\\} (\\d+)`).exec(page)?.[1] ?? 0)
  return { postgres: of('postgres'), queue: of('queue') }
}

async function readinessOf({ publicUrl }: ServiceProcess): Promise<[number, string]> {
  const response = await fetch(`${publicUrl}/health/ready`)
  const body: unknown = await response.json()
  return [response.status, typeof body === 'object' && body && 'status' in body ? String(body.status) : '']
}

async function answers({ publicUrl }: ServiceProcess): Promise<boolean> {
  return (await fetch(`${publicUrl}/health/live`)).ok
}
