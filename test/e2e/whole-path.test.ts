import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences, type Omissions } from '../support/differences.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { sceneOf } from '../support/scene.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { until, untilProgress } from '../support/until.ts'

const secret = 'the-secret-of-whole-path-tests'
const unlimited = {}

describe.each(testQueueBackends())('the whole path with the queue on %s', (backend) => {
  let redis: RedisServer | undefined
  let test: TestDatabase
  let simulation: Simulation
  let service: ServiceProcess | undefined

  beforeEach(async () => {
    // Of its own each time: what one service has scheduled is not the next one's.
    if (backend === 'redis') redis = await startRedisServer()
    test = await createTestDatabase()
    simulation = createSimulation({ seed: 7, stepMs: [1, 20], pipelines: 3 })
  })

  afterEach(async () => {
    await service?.stop()
    service = undefined
    await redis?.stop()
    redis = undefined
    await simulation.stop()
    await test.drop()
  })

  async function start(settings: Record<string, string>): Promise<ServiceProcess> {
    service = await startService({
      DATABASE_URL: test.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      RECONCILE_INTERVAL: '1s',
      API_BUDGET_SHARE: '1',
      WEBHOOK_TOLERANCE: '1d',
      ...settings,
    })
    return service
  }

  const sendTo = (to: ServiceProcess, drop = 0) =>
    simulation.startWebhooks({ url: `${to.publicUrl}/webhooks/buildkite`, secret, drop })

  const allApplied = () =>
    untilProgress(
      () => count(test.url, "select count(*) from sync.deliveries where status = 'pending'"),
      0,
      'every delivery is applied',
    )

  const equalsTruth = (omit: Omissions = {}) =>
    until(
      async () => {
        // Buildkite's clock goes on: a read within the second in which all came to its end would be no later than its webhooks.
        simulation.clock.pass(1_000)
        const found = await differences(test.url, simulation.truth, omit)
        if (found.length > 0) throw new Error(`The mirror differs from the truth:\n${found.join('\n')}`)
        return true
      },
      'the mirror equals the truth',
      45_000,
      // Comparing is hard work, and the simulated API lives in this process too.
      500,
    ).catch(async (error: unknown) => {
      const sql = postgres(test.url, { max: 1, onnotice: () => {} })
      const scene = service && (await sceneOf(service, sql))
      await sql.end({ timeout: 1 })
      throw new Error(`${String(error)}\n${scene}`, { cause: error })
    })

  it('equals the truth by webhooks alone, in all that webhooks tell', async () => {
    const running = await start({ WEBHOOK_SECRET: secret })
    const webhooks = sendTo(running)
    webhooks.keep = true
    webhooks.ping()
    await simulation.play({ builds: 80 })
    await webhooks.settled()
    expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
    await allApplied()
    const reported = new Set(webhooks.log.map(({ body }) => whatWebhooksTell(JSON.parse(body).job)))
    const unreported = simulation.truth.jobs.filter(({ job }) => !reported.has(whatWebhooksTell(job)))
    await equalsTruth({ ...untoldByWebhooks, jobs: (job) => !reported.has(whatWebhooksTell(job)) })
    // Waiters, waiting block steps, jobs skipped with their build: Buildkite has no event for these.
    expect(unreported.length).toBeLessThan(simulation.truth.jobs.length / 3)
    expect(await count(test.url, "select count(*) from sync.deliveries where status = 'failed'")).toBe(0)
  })

  it('equals the truth by REST alone, history and what happens after', async () => {
    simulation.writeHistory({ builds: 500, days: 40 })
    const api = await simulation.startApi({ limits: unlimited })
    await start({ BUILDKITE_API_URL: api.url, BUILDKITE_API_TOKEN: demoToken.token })
    await equalsTruth()
    await simulation.play({ builds: 40 })
    await equalsTruth()
  })

  it('equals the truth with half of the webhooks dropped', async () => {
    simulation.writeHistory({ builds: 200, days: 40 })
    const api = await simulation.startApi({ limits: unlimited })
    const running = await start({
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      WEBHOOK_SECRET: secret,
    })
    const webhooks = sendTo(running, 0.5)
    webhooks.ping()
    await simulation.play({ builds: 60 })
    await webhooks.settled()
    expect(webhooks.stats.dropped).toBeGreaterThan(100)
    expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
    await equalsTruth({ columns: { pipelines: liveCounters } })
  })
})

/** A job as text, without its agent's present state, and without what Buildkite tells only in the events of its retry. */
function whatWebhooksTell(job: object | undefined): string | undefined {
  const unreported = new Set(['retried', 'retried_in_job_id', 'retry_type', 'retried_by'])
  return JSON.stringify(job, (key, value) => {
    if (key === 'agent') return value?.id
    return unreported.has(key) ? undefined : value
  })
}

/** How busy a pipeline is at the moment of the request; read again every five minutes. */
const liveCounters = [
  'scheduled_builds_count',
  'running_builds_count',
  'scheduled_jobs_count',
  'running_jobs_count',
  'waiting_jobs_count',
]

/** What no webhook carries: the live counters of a pipeline, and who retried a job beyond name and e-mail. */
const untoldByWebhooks: Omissions = {
  columns: { pipelines: liveCounters, jobs: ['retried_by_id', 'extra'] },
}

async function count(url: string, query: string): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const [row] = await sql.unsafe<{ count: string }[]>(query)
    return Number(row?.count)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
