import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import type { Webhooks } from '../../src/simulator/webhooks/webhooks.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { untilProgress } from '../support/until.ts'

const secret = 'the-secret-of-shutdown-tests'
/** The service's own deadline, and a moment for a busy machine. */
const WITHIN = 28_000

describe.each(testQueueBackends())('SIGTERM under load, the queue on %s', (backend) => {
  let test: TestDatabase
  let toPostgres: TcpProxy
  let redis: RedisServer | undefined
  let simulation: Simulation
  let webhooks: Webhooks
  let service: ServiceProcess

  beforeEach(async () => {
    if (backend === 'redis') redis = await startRedisServer()
    test = await createTestDatabase()
    toPostgres = await startTcpProxy(test.url, 5432)
    simulation = createSimulation({ seed: 21, stepMs: [1, 5] })
    const api = await simulation.startApi()
    simulation.writeHistory({ builds: 3_000, jobs: 5, days: 20 })
    service = await startService({
      DATABASE_URL: toPostgres.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: 'demo-token',
      WEBHOOK_SECRET: secret,
      WEBHOOK_TOLERANCE: '1d',
      RECONCILE_INTERVAL: '1s',
    })
    webhooks = simulation.startWebhooks({ url: `${service.publicUrl}/webhooks/buildkite`, secret, concurrency: 32 })
    webhooks.keep = true
  })

  afterEach(async () => {
    await service.stop('SIGKILL')
    await simulation.stop()
    await toPostgres.close()
    await redis?.stop()
    redis = undefined
    await test.drop()
  })

  /** Ends the service while webhooks stream in and history is read; resolves with its exit code, once all webhooks had an answer or none. */
  async function endUnderLoad(before: () => Promise<unknown> = async () => {}): Promise<number | string> {
    const played = simulation.play({ builds: 60 })
    await untilProgress(
      () => webhooks.stats.accepted,
      (accepted) => accepted > 200,
      'some hundred webhooks are accepted',
    )
    await before()
    const begun = Date.now()
    const code = await service.stop('SIGTERM')
    expect(Date.now() - begun).toBeLessThan(WITHIN)
    await played
    return code
  }

  /** Request ids that were answered 202 and stand nowhere in the inbox. */
  async function lost(): Promise<string[]> {
    const sql = postgres(test.url, { max: 1 })
    const rows = await sql<{ request_id: string }[]>`select request_id from sync.deliveries`
    await sql.end({ timeout: 1 })
    const kept = new Set(rows.map(({ request_id }) => request_id))
    const accepted = webhooks.log.filter(({ status }) => status === 202)
    return accepted.filter(({ request_id }) => !kept.has(request_id)).map(({ event }) => event)
  }

  it('ends with 0 within the deadline, having refused nothing and lost nothing that it had accepted', async () => {
    expect(await endUnderLoad()).toBe(0)
    // After the listener is gone there is no answer at all; but none is a refusal.
    expect(Object.keys(webhooks.stats.answers).filter((answer) => answer !== '202' && answer !== 'error')).toEqual([])
    expect(await lost()).toEqual([])
  }, 90_000)

  it('ends within the deadline while Postgres does not answer', async () => {
    await endUnderLoad(async () => toPostgres.hang())
    await toPostgres.restore()
    if (backend === 'postgres') expect(await lost()).toEqual([])
    // With Redis some may be in the queue alone; the next process moves them to the inbox.
    service = await startService({
      DATABASE_URL: test.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      WEBHOOK_SECRET: secret,
    })
    await untilProgress(async () => (await lost()).length, 0, 'everything accepted is in the inbox')
  }, 120_000)

  if (backend !== 'redis') return

  it('ends within the deadline while Redis is gone, and loses nothing', async () => {
    await endUnderLoad(async () => redis?.kill())
    expect(await lost()).toEqual([])
  }, 90_000)
})
