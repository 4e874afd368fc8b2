import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { twoMoreCycles } from '../support/cycles.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { untilProgress } from '../support/until.ts'

const secret = 'the-secret-of-replicas-tests'

describe.each(testQueueBackends())('two replicas with all schedules on, the queue on %s', (backend) => {
  let test: TestDatabase
  let sql: postgres.Sql
  let redis: RedisServer | undefined
  let simulation: Simulation
  let replicas: ServiceProcess[] = []

  beforeEach(async () => {
    if (backend === 'redis') redis = await startRedisServer()
    test = await createTestDatabase()
    sql = postgres(test.url, { max: 2, onnotice: () => {} })
    simulation = createSimulation({ seed: 31, stepMs: [1, 5] })
    const api = await simulation.startApi()
    simulation.writeHistory({ builds: 300, days: 20 })
    const settings = {
      DATABASE_URL: test.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      WEBHOOK_SECRET: secret,
      WEBHOOK_TOLERANCE: '1d',
      RECONCILE_INTERVAL: '1s',
      API_BUDGET_SHARE: '1',
    }
    replicas = await Promise.all([startService(settings), startService(settings)])
  })

  afterEach(async () => {
    await simulation.stop()
    for (const replica of replicas) await replica.stop()
    await sql.end({ timeout: 1 })
    await redis?.stop()
    redis = undefined
    await test.drop()
  })

  it('apply 5,000 deliveries once each, leave no deadlock unretried, and run one cycle at a time', async () => {
    let turn = 0
    const url = () => `${replicas[turn++ % 2]?.publicUrl}/webhooks/buildkite`
    const webhooks = simulation.startWebhooks({ url, secret, concurrency: 32, twice: 0.05, late: 0.05 })
    while (webhooks.stats.sent < 5_000) await simulation.play({ builds: 50, atOnce: 10 })
    webhooks.catchUp()
    await webhooks.settled()
    expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
    const pending = async () => (await sql`select 1 from sync.deliveries where status = 'pending'`).length
    await untilProgress(pending, 0, 'every delivery is applied')

    const odd =
      await sql`select id, status, attempts, error from sync.deliveries where status <> 'applied' or attempts <> 1`
    expect([...odd]).toEqual([])
    simulation.clock.pass(1_000)
    await twoMoreCycles(sql)
    const counters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']
    const columns = { pipelines: counters.map((name) => `${name}_count`) }
    expect(await differences(test.url, simulation.truth, { columns })).toEqual([])
    const overlapping = await sql`
      select a.kind, a.started_at from sync.cycles a join sync.cycles b
        on a.kind = b.kind and a.id < b.id and a.started_at < b.finished_at and b.started_at < a.finished_at
      where a.kind in ('hot', 'warm', 'audit')`
    expect([...overlapping]).toEqual([])
    const failed = await sql`select kind, error from sync.cycles where error is not null`
    expect([...failed]).toEqual([])
    for (const replica of replicas) expect(replica.output()).not.toMatch(/deadlock|unhandled/i)
  }, 240_000)
})
