import postgres from 'postgres'
import { afterEach, describe, expect, it } from 'vitest'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { acceptedIn } from '../support/accepted.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type RedisGroup, startRedisCluster, startRedisSentinels } from '../support/redis-group.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const secret = 'the-secret-of-redis-group-tests'

let test: TestDatabase
let sql: postgres.Sql
let simulation: Simulation
let group: Pick<RedisGroup, 'url' | 'stop'>
let service: ServiceProcess

afterEach(async () => {
  await service.stop()
  await group.stop()
  await simulation.stop()
  await sql.end({ timeout: 1 })
  await test.drop()
})

async function start(): Promise<ReturnType<Simulation['startWebhooks']>> {
  test = await createTestDatabase()
  sql = postgres(test.url, { max: 2, onnotice: () => {} })
  simulation = createSimulation({ seed: 31, stepMs: [1, 5] })
  service = await startService({
    DATABASE_URL: test.url,
    REDIS_URL: group.url,
    WEBHOOK_SECRET: secret,
    WEBHOOK_TOLERANCE: '1d',
  })
  const webhooks = simulation.startWebhooks({
    url: `${service.publicUrl}/webhooks/buildkite`,
    secret,
    concurrency: 16,
  })
  webhooks.keep = true
  webhooks.ping()
  return webhooks
}

async function expectNothingLost(webhooks: Awaited<ReturnType<typeof start>>): Promise<void> {
  const { count, lost } = await acceptedIn(sql, webhooks.log)
  expect(count).toBeGreaterThan(300)
  expect(lost).toEqual([])
}

describe('the queue on several servers of Redis', () => {
  it('works on a cluster, where all its keys are in one slot', async () => {
    group = await startRedisCluster()
    const webhooks = await start()
    await simulation.play({ builds: 40 })
    expect(webhooks.stats.answers).toEqual({ 202: webhooks.stats.sent })
    await expectNothingLost(webhooks)
    const status = await service.status()
    expect(status).toMatchObject({ queue: { ok: true, backend: 'redis' } })
  })

  it('loses nothing when Sentinels promote the replica, and refuses no webhook', async () => {
    const sentinels = await startRedisSentinels()
    group = sentinels
    const webhooks = await start()
    const played = simulation.play({ builds: 80 })
    await until(() => webhooks.stats.accepted > 300, 'some hundred deliveries are accepted')
    await sentinels.killPrimary()
    await played
    expect(webhooks.stats.answers).toEqual({ 202: webhooks.stats.sent })
    await expectNothingLost(webhooks)
    await until(async () => (await service.status()).queue, 'the queue answers')
    expect(await service.status()).toMatchObject({ queue: { ok: true, backend: 'redis' } })
  })
})
