import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { withLease } from '../../src/database/leases.ts'
import { countMissing } from '../../src/database/migrations/migrate.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { createLog } from '../../src/runtime/log.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { findPgBouncer, type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts'
import { testQueueBackends } from '../support/redis.ts'
import { startRedisServer } from '../support/redis-server.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const secret = 'the-secret-of-pgbouncer-tests'
const needsDirect = 'The queue in Postgres needs direct connections'

// As docs/operations/deployment.md reckons: three tasks of each reconciler and the hourly look sit on a connection, and one must be left.
const reconcilers = 2
const poolSize = 3 * reconcilers + 2

describe.skipIf(!findPgBouncer())('behind PgBouncer in transaction mode', () => {
  let test: TestDatabase
  const closers: (() => Promise<unknown>)[] = []

  beforeEach(async () => {
    test = await createTestDatabase()
  })
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
    await test.drop()
  })

  async function pool(size = poolSize, ignored?: string[]): Promise<PgBouncer> {
    const bouncer = await startPgBouncer(test.url, size, ignored)
    closers.push(() => bouncer.stop())
    return bouncer
  }

  function open(url: string, name: string): Database {
    const database = openDatabase(url, { name, connections: 3 })
    closers.push(() => database.close())
    return database
  }

  async function serve(settings: Record<string, string>): Promise<ServiceProcess> {
    const service = await startService({ WEBHOOK_SECRET: secret, ...settings })
    closers.push(() => service.stop())
    return service
  }

  it('the schema is made, though two processes come at once', async () => {
    const empty = await createTestDatabase({ empty: true })
    const bouncer = await startPgBouncer(empty.url, 2)
    try {
      const runs = [1, 2].map(() => runCommand(['migrate'], { DATABASE_URL: bouncer.url }))
      expect((await Promise.all(runs)).map(({ code, stderr }) => [code, stderr])).toEqual([
        [0, ''],
        [0, ''],
      ])
      expect(await countMissing(empty.url)).toBe(0)
    } finally {
      await bouncer.stop()
      await empty.drop()
    }
  })

  it.skipIf(!testQueueBackends().includes('redis'))(
    'two services with the queue on Redis mirror all, and run one cycle at a time',
    { timeout: 90_000 },
    async () => {
      const [bouncer, redis] = await Promise.all([pool(), startRedisServer()])
      closers.push(() => redis.stop())
      const simulation = createSimulation({ seed: 7, stepMs: [1, 20], pipelines: 3 })
      closers.push(() => simulation.stop())
      simulation.writeHistory({ builds: 100, days: 40 })
      const api = await simulation.startApi({ limits: {} })
      const settings = {
        DATABASE_URL: bouncer.url,
        REDIS_URL: redis.url,
        BUILDKITE_API_URL: api.url,
        BUILDKITE_API_TOKEN: demoToken.token,
        RECONCILE_INTERVAL: '1s',
        API_BUDGET_SHARE: '1',
        WEBHOOK_TOLERANCE: '1d',
      }
      const services = await Promise.all(Array.from({ length: reconcilers }, () => serve(settings)))
      let turn = 0
      const url = () => `${services[turn++ % services.length]?.publicUrl}/webhooks/buildkite`
      const webhooks = simulation.startWebhooks({ url, secret, drop: 0.3 })
      webhooks.ping()
      await simulation.play({ builds: 40 })
      await webhooks.settled()
      expect(webhooks.stats.dropped).toBeGreaterThan(30)
      expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })

      // How busy a pipeline is at the moment of the request; read again every five minutes.
      const counters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']
      const columns = { pipelines: counters.map((name) => `${name}_count`) }
      const isEqual = async () => {
        // Buildkite's clock goes on: a read within the second in which all came to its end would be no later than its webhooks.
        simulation.clock.pass(1_000)
        const found = await differences(test.url, simulation.truth, { columns })
        if (found.length === 0) return true
        const said = services.map((service) => service.output().slice(-2_000)).join('\n')
        throw new Error(
          `The mirror differs from the truth:\n${found.join('\n')}\n${await lastCycles(test.url)}\n${said}`,
        )
      }
      await until(isEqual, 'the mirror equals the truth', 45_000, 500)
      await expectOneCycleAtATime(test.url)
      expect(await serversOf(test.url)).toBeLessThanOrEqual(poolSize)
      for (const service of services) expect(service.output()).not.toMatch(/"level":"error"|deadlock|unhandled/i)
    },
  )

  describe('a lease', () => {
    it('is refused to others while it is held, by connections that share the same servers', async () => {
      const bouncer = await pool(3)
      const [one, other] = [open(bouncer.url, 'one'), open(bouncer.url, 'other')]
      const outcome = await withLease(one.db, 'cycle', async () => {
        // Others come and go on the remaining servers, and none of them gets in.
        const tries = await Promise.all([1, 2, 3, 4, 5].map(() => withLease(other.db, 'cycle', async () => 'never')))
        expect(tries.filter(({ held }) => held)).toEqual([])
        expect(await withLease(one.db, 'cycle', async () => 'never')).toEqual({ held: false })
        return withLease(other.db, 'another', async () => 'free')
      })
      expect(outcome).toEqual({ held: true, value: { held: true, value: 'free' } })
      expect(await withLease(other.db, 'cycle', async () => 'mine')).toEqual({ held: true, value: 'mine' })
    })

    it('is free soon after its holder is disconnected, and the holder no longer commits', async () => {
      const bouncer = await pool(3)
      const proxy = await startTcpProxy(bouncer.url, 0)
      closers.push(() => proxy.close())
      const [holder, heir] = [open(proxy.url, 'holder'), open(bouncer.url, 'heir')]
      const broken = withLease(
        holder.db,
        'cycle',
        async ({ db }) => {
          expect(await withLease(heir.db, 'cycle', async () => 'never')).toEqual({ held: false })
          await proxy.cut()
          await until(async () => (await withLease(heir.db, 'cycle', async () => 'mine')).held, 'the lease is free')
          await db.transaction((tx) => tx.execute(sql`select 1`))
        },
        { validMs: 1_000 },
      )
      expect(await broken.catch(() => ({ held: false }))).toEqual({ held: false })
    })
  })

  it("statement_timeout is not ours to set, but the role's", async () => {
    const timeout = async (database: Database) =>
      (await database.db.execute<{ value: string }>(sql`select current_setting('statement_timeout') as value`)).rows[0]
        ?.value
    expect(await timeout(open(test.url, 'direct'))).toBe('1min')
    expect(await timeout(open((await pool()).url, 'pooled'))).toBe('0')
    const name = new URL(test.url).pathname.slice(1)
    await asAdmin((admin) => admin.unsafe(`alter role current_user in database ${name} set statement_timeout = '50s'`))
    expect(await timeout(open((await pool()).url, 'pooled'))).toBe('50s')
  })

  it('an idle transaction is ended, although no startup parameter gets through', async () => {
    const database = open((await pool()).url, 'pooled')
    const limit = sql`select current_setting('idle_in_transaction_session_timeout') as value`
    expect(await database.db.transaction(async (tx) => (await tx.execute(limit)).rows)).toEqual([{ value: '30s' }])
    expect((await database.db.execute(limit)).rows).toEqual([{ value: '0' }])
  })

  describe('a queue in Postgres', () => {
    it('says what to do, where its options are refused and where they are dropped', async () => {
      const ask = async (ignored: string[]) => {
        const bouncer = await pool(poolSize, ignored)
        const queues = await openQueues({ redisUrl: undefined, databaseUrl: bouncer.url }, createLog('silent'))
        closers.push(() => queues.close(2_000))
        await expect(queues.check()).rejects.toThrow(/needs direct connections.* Set REDIS_URL .*, or DATABASE_URL/)
      }
      await Promise.all([ask(['statement_timeout']), ask(['statement_timeout', 'options'])])
    })

    it('is reported by the service, which continues receiving, and by check', async () => {
      const settings = { DATABASE_URL: (await pool()).url }
      const [service, { code, stdout }] = await Promise.all([serve(settings), runCommand(['check'], settings)])
      const { reasons } = await service.status()
      expect(reasons).toEqual([{ code: 'queue_unreachable', text: expect.stringContaining(needsDirect) }])
      expect(service.output()).toContain(needsDirect)
      const body = JSON.stringify({ event: 'ping', service: {}, organization: {}, sender: {} })
      const headers = {
        'content-type': 'application/json',
        'x-buildkite-event': 'ping',
        'x-buildkite-signature': sign(body, secret, Date.now()),
      }
      const response = await fetch(`${service.publicUrl}/webhooks/buildkite`, { method: 'POST', headers, body })
      expect(response.status).toBe(202)
      expect(code).toBe(1)
      expect(stdout).toContain('[queue_unreachable]: Set REDIS_URL')
    })
  })
})

async function expectOneCycleAtATime(url: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const overlapping = await client`
      select a.kind, a.started_at from sync.cycles a join sync.cycles b
        on a.kind = b.kind and a.id < b.id and a.started_at < b.finished_at and b.started_at < a.finished_at
      where a.kind in ('hot', 'warm', 'audit')`
    expect([...overlapping]).toEqual([])
    expect([...(await client`select kind, error from sync.cycles where error is not null`)]).toEqual([])
    expect((await client`select 1 from sync.cycles where kind = 'hot'`).length).toBeGreaterThan(1)
  } finally {
    await client.end({ timeout: 1 })
  }
}

/** When the last cycles ran, which tells a cycle that hangs from one that was not begun. */
async function lastCycles(url: string): Promise<string> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const rows = await client`select kind, started_at, finished_at, error from sync.cycles order by id desc limit 5`
    return `Now ${new Date().toISOString()}; the last cycles: ${JSON.stringify(rows)}`
  } finally {
    await client.end({ timeout: 1 })
  }
}

/** How many connections the pooler holds to the database. */
async function serversOf(url: string): Promise<number> {
  const rows = await asAdmin(
    (admin) => admin`
      select 1 from pg_stat_activity
      where datname = ${new URL(url).pathname.slice(1)} and application_name like 'buildkite-mirror%'`,
  )
  return rows.length
}
