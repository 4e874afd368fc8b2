import postgres from 'postgres'
import { afterEach, describe, expect, it } from 'vitest'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { acceptedIn, allApplied } from '../support/accepted.ts'
import { differences } from '../support/differences.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { type PostgresPair, startPostgresPair } from '../support/system-postgres.ts'
import { until } from '../support/until.ts'

const secret = 'the-secret-of-failover-tests'
/** These are read every five minutes. */
const counters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']
const columns = { pipelines: counters.map((name) => `${name}_count`) }

let pair: PostgresPair
let sql: postgres.Sql
let simulation: Simulation
let redis: RedisServer | undefined
let service: ServiceProcess | undefined

afterEach(async () => {
  await service?.stop()
  service = undefined
  await redis?.stop()
  redis = undefined
  await simulation.stop()
  await sql.end({ timeout: 1 })
  await pair.stop()
})

async function start(synchronous: boolean, backend: string, api?: Api): Promise<ServiceProcess> {
  pair = (await startPostgresPair(synchronous)) ?? expect.fail('No PostgreSQL server is installed.')
  sql = postgres(pair.url, { max: 2, onnotice: () => {} })
  if (backend === 'redis') redis = await startRedisServer()
  service = await startService({
    DATABASE_URL: pair.url,
    ...(redis ? { REDIS_URL: redis.url } : {}),
    ...(api ? { BUILDKITE_API_URL: api.url, BUILDKITE_API_TOKEN: demoToken.token } : {}),
    RECONCILE_INTERVAL: '1s',
    API_BUDGET_SHARE: '1',
    WEBHOOK_SECRET: secret,
    WEBHOOK_TOLERANCE: '1d',
  })
  return service
}

describe.each(testQueueBackends())('when Postgres fails over under webhooks, with the queue on %s', (backend) => {
  it('loses nothing that it has accepted, if commits wait for the standby', async () => {
    simulation = createSimulation({ seed: 21, stepMs: [1, 5] })
    const { publicUrl } = await start(true, backend)
    const webhooks = simulation.startWebhooks({ url: `${publicUrl}/webhooks/buildkite`, secret, concurrency: 16 })
    webhooks.keep = true
    webhooks.ping()
    const played = simulation.play({ builds: 80 })
    await until(() => webhooks.stats.accepted > 300, 'some hundred deliveries are accepted')
    await pair.failOver()
    const before = webhooks.stats.accepted
    await played
    expect(webhooks.stats.accepted).toBeGreaterThan(before)
    const { count, lost } = await acceptedIn(sql, webhooks.log)
    expect(count).toBeGreaterThan(300)
    expect(lost).toEqual([])
  })

  it('reads again what is lost, if they do not, and counts it', async () => {
    simulation = createSimulation({ seed: 22, stepMs: [1, 5] })
    const api = await simulation.startApi({ limits: { organization: 1_000_000, user: 1_000_000 } })
    const { publicUrl } = await start(false, backend, api)
    const webhooks = simulation.startWebhooks({ url: `${publicUrl}/webhooks/buildkite`, secret, concurrency: 16 })
    webhooks.ping()
    await simulation.play({ builds: 20 })
    await allApplied(sql)
    await until(() => cycles(), 'a cycle has ended')
    await pair.stopReplication()
    await simulation.play({ builds: 30 })
    await allApplied(sql)
    const known = await builds()
    expect(known).toBeGreaterThan(45)
    // What is younger may still come by webhook, and does not count as lost.
    simulation.clock.pass(60_000)
    const after = new Date(simulation.clock.now() - 30_000)
    await until(() => cycles(after), 'a cycle has read that time')
    await pair.failOver()
    expect(await until(builds, 'the new server answers', 30_000)).toBeLessThan(known - 20)
    await until(async () => (await found()).length === 0, 'the mirror equals Buildkite', 90_000, 500)
    await until(async () => (await foundLost()) > 20, 'the cycle that has read them ends', 60_000)
  })
})

const foundLost = async () =>
  (await sql<{ n: number }[]>`select sum(builds_missing + builds_healed)::int as n from sync.cycles`)[0]?.n ?? 0

const builds = async () => (await sql<{ n: number }[]>`select count(*)::int as n from buildkite.builds`)[0]?.n ?? 0
const cycles = async (after = new Date(0)) =>
  (await sql<{ n: number }[]>`select count(*)::int as n from sync.cycles where watermark_to > ${after}`)[0]?.n ?? 0
const found = () => {
  simulation.clock.pass(1_000)
  return differences(pair.url, simulation.truth, { columns })
}
