import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { until, untilProgress } from '../support/until.ts'

const secret = 'the-secret-of-killed-tests'

let test: TestDatabase
let sql: postgres.Sql
let simulation: Simulation
let redis: RedisServer | undefined
let service: ServiceProcess | undefined

beforeEach(async () => {
  test = await createTestDatabase()
  sql = postgres(test.url, { max: 2, onnotice: () => {} })
})

afterEach(async () => {
  await service?.stop()
  service = undefined
  await redis?.stop()
  redis = undefined
  await simulation.stop()
  await sql.end({ timeout: 1 })
  await test.drop()
})

async function start(settings: Record<string, string>): Promise<ServiceProcess> {
  service = await startService({
    DATABASE_URL: test.url,
    ...(redis ? { REDIS_URL: redis.url } : {}),
    API_BUDGET_SHARE: '1',
    ...settings,
  })
  return service
}

async function count(table: string): Promise<number> {
  const [row] = await sql<{ count: string }[]>`select count(*) from ${sql(table)}`
  return Number(row?.count)
}

describe.each(testQueueBackends())('killed with -9 while webhooks arrive, the queue on %s', (backend) => {
  it('has every delivery that it answered with 202 in its tables after the restart', async () => {
    if (backend === 'redis') redis = await startRedisServer()
    simulation = createSimulation({ seed: 11, stepMs: [1, 5] })
    const first = await start({ WEBHOOK_SECRET: secret, WEBHOOK_TOLERANCE: '1d' })
    const url = (to: ServiceProcess) => `${to.publicUrl}/webhooks/buildkite`
    const webhooks = simulation.startWebhooks({ url: url(first), secret, concurrency: 32 })
    webhooks.keep = true
    webhooks.ping()
    const played = simulation.play({ builds: 110 })
    await until(() => webhooks.stats.accepted > 500, 'some hundred deliveries are accepted')
    await first.stop('SIGKILL')
    const second = await start({ WEBHOOK_SECRET: secret, WEBHOOK_TOLERANCE: '1d' })
    webhooks.url = url(second)
    await played

    const accepted = webhooks.log.filter(({ status }) => status === 202)
    expect(webhooks.stats.sent).toBeGreaterThan(1_000)
    expect(webhooks.stats.answers.error).toBeGreaterThan(0)
    expect(accepted.length).toBeGreaterThan(500)
    const pending = async () =>
      (await sql<{ n: number }[]>`select count(*)::int as n from sync.deliveries where status = 'pending'`)[0]?.n ?? 0
    await untilProgress(pending, 0, 'every delivery is applied')
    const kept = await sql<{ request_id: string; status: string }[]>`select request_id, status from sync.deliveries`
    const applied = new Set(kept.filter(({ status }) => status === 'applied').map(({ request_id }) => request_id))
    expect(accepted.filter(({ request_id }) => !applied.has(request_id)).map(({ event }) => event)).toEqual([])
    const builds = new Set((await sql<{ id: string }[]>`select id from buildkite.builds`).map(({ id }) => id))
    const jobs = new Set((await sql<{ id: string }[]>`select id from buildkite.jobs`).map(({ id }) => id))
    const missing = accepted.filter(({ body }) => {
      const { build, job } = JSON.parse(body)
      return (build && !builds.has(build.id)) || (job && !jobs.has(job.id))
    })
    expect(missing.map(({ event }) => event)).toEqual([])
  })
})

const asText = (finding: { kind: string; build_id: string; job_id: string | null; columns: { column: string }[] }) =>
  [finding.kind, finding.job_id ?? finding.build_id, ...finding.columns.map(({ column }) => column)].join(' ')

/** Spoils builds and jobs all over the mirror; returns what `verify` must find, in its words. */
async function plantDifferences(): Promise<string[]> {
  const forged = await sql<{ id: string }[]>`
    update buildkite.builds set message = 'forged' where number % 400 = 7 returning id`
  const reopened = await sql<{ id: string }[]>`
    update buildkite.builds set state = 'running' where number % 400 = 8 and state = 'passed' returning id`
  const wrong = await sql<{ id: string }[]>`
    update buildkite.jobs set exit_status = 99 where exit_status = 0 and build_id in
      (select id from buildkite.builds where number % 400 = 9) returning id`
  const lost = await sql<{ id: string }[]>`
    delete from buildkite.jobs where build_id in (select id from buildkite.builds where number % 400 in (10, 11)) returning id`
  const gone = await sql<{ id: string }[]>`delete from buildkite.builds where number % 400 = 11 returning id`
  for (const rows of [forged, reopened, wrong, lost, gone]) expect(rows.length).toBeGreaterThan(0)
  const lines = (kind: string, rows: readonly { id: string }[], column: string[] = []) =>
    rows.map(({ id }) => [kind, id, ...column].join(' '))
  return [
    ...lines('different', forged, ['message']),
    ...lines('different', reopened, ['state']),
    ...lines('different', wrong, ['exit_status']),
    ...lines('missing', [...lost, ...gone]),
  ].sort()
}

describe('a backfill of 5,000 builds with 5 jobs each', () => {
  const builds = 5_000
  const reading = (api: Api) => ({ BUILDKITE_API_URL: api.url, BUILDKITE_API_TOKEN: demoToken.token })

  it('goes on after kill -9 without starting over, reads no list twice, and leaves a quiet organization at three requests; verify finds exactly what is planted in it, and heals it', async () => {
    simulation = createSimulation({ seed: 5, clock: realClock })
    simulation.writeHistory({ builds, jobs: 5, days: 80, mix: calmMix })
    // The default limits would take minutes.
    const api = await simulation.startApi({ limits: { organization: 1_000, user: 1_000 } })
    const settings = { ...reading(api), RECONCILE_INTERVAL: '1h' }
    const first = await start(settings)
    await untilProgress(
      () => count('buildkite.builds'),
      (read) => read > builds / 4,
      'a quarter is read',
    )
    await first.stop('SIGKILL')
    const before = await count('buildkite.builds')
    expect(before).toBeLessThan(builds)
    // Those of the backfill: cycles go on meanwhile, and list what is open or finished, or have no end.
    const isOfBackfill = ({ kind, query }: (typeof api.requests)[number]) =>
      kind === 'builds' &&
      !query.has('finished_from') &&
      !query.has('state[]') &&
      Date.parse(query.get('created_to') ?? '') < Date.now() + 86_400_000
    const listed = () => api.requests.filter(isOfBackfill).length
    const requestsBefore = listed()
    const second = await start(settings)
    // The lease of the process that was killed runs out first, and the backfill is scheduled once a minute.
    await untilProgress(() => count('buildkite.builds'), builds, 'all builds are read', 120_000)
    const left = builds - before
    // Each process begins with smaller pages, until it knows how large the builds are.
    expect(listed() - requestsBefore).toBeLessThanOrEqual(1.1 * Math.ceil(left / 100) + 12)
    // Six are the lists of the first cycle and of one that the restart may begin.
    expect(listed()).toBeLessThanOrEqual(1.1 * Math.ceil(builds / 100) + 24)
    expect(await count('buildkite.jobs')).toBe(builds * 5)
    await second.stop()
    service = undefined

    api.forget()
    const quiet = await runCommand(['reconcile', '--json'], { DATABASE_URL: test.url, ...reading(api) })
    expect(quiet.stderr).toBe('')
    expect(quiet.code).toBe(0)
    expect(JSON.parse(quiet.stdout)).toMatchObject([{ builds_missing: 0, builds_healed: 0, requests: 3 }])
    expect(api.count('builds')).toBe(3)
    expect(await differences(test.url, simulation.truth)).toEqual([])

    const planted = await plantDifferences()
    const verify = async (...args: string[]) => {
      const { code, stdout } = await runCommand(['verify', '--json', ...args], {
        DATABASE_URL: test.url,
        ...reading(api),
      })
      const [report] = JSON.parse(stdout)
      return { code, report, found: report.findings.map(asText).sort() }
    }
    const looked = await verify()
    expect(looked.code).toBe(1)
    expect(looked.report).toMatchObject({ builds, jobs: builds * 5 })
    expect(looked.found).toEqual(planted)
    const healing = await verify('--heal')
    expect(healing).toMatchObject({ code: 0, found: planted })
    expect(await differences(test.url, simulation.truth)).toEqual([])
    expect(await count('sync.drift')).toBe(planted.length)
  }, 400_000)
})
