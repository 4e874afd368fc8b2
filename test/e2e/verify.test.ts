import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HOUR, SECOND } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { startBuild } from '../../src/simulator/lifecycle/build-lifecycle.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const secret = 'the-secret-of-verify-tests'
const [backend] = testQueueBackends()

let home: TestDatabase
let sql: postgres.Sql
let redis: RedisServer | undefined
let simulation: Simulation
let service: ServiceProcess
let settings: Record<string, string>
/** Open, and nothing has happened to it for an hour. */
let quiet: Build

beforeEach(async () => {
  if (backend === 'redis') redis = await startRedisServer()
  home = await createTestDatabase()
  sql = postgres(home.url, { max: 1, onnotice: () => {} })
  simulation = createSimulation({
    seed: 3,
    pipelines: 4,
    agents: 20,
    clock: { now: () => Date.now(), pass: () => undefined },
  })
  simulation.writeHistory({ builds: 150, days: 30 })
  const { truth, mix } = simulation
  const [pipeline] = truth.pipelines
  if (!pipeline) throw new Error('There is no pipeline.')
  quiet = startBuild(truth, pipeline, Date.now() - HOUR, mix)
  truth.alive.delete(quiet)
  const api = await simulation.startApi({ limits: {} })
  settings = {
    DATABASE_URL: home.url,
    ...(redis ? { REDIS_URL: redis.url } : {}),
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    API_BUDGET_SHARE: '1',
  }
})

afterEach(async () => {
  await service.stop()
  await simulation.stop()
  await sql.end()
  await redis?.stop()
  redis = undefined
  await home.drop()
})

/** Starts the service, waits until it has read the history, and lets builds start, run and finish beside it. */
async function startUnderLoad(RECONCILE_INTERVAL: string): Promise<void> {
  service = await startService({ ...settings, WEBHOOK_SECRET: secret, RECONCILE_INTERVAL })
  simulation.startWebhooks({ url: `${service.publicUrl}/webhooks/buildkite`, secret }).ping()
  const owed = () => sql`
    select 1 from sync.windows where status <> 'done' union all
    select 1 where not exists (select from sync.windows) union all
    select 1 where not exists (select from sync.cycles where kind = 'pipelines' and error is null)`
  await until(async () => (await owed()).length === 0, 'the history is mirrored', 60_000)
  simulation.live({ everyMs: 100, atOnce: 12, steps: 3 })
  const { builds } = simulation.truth
  await until(() => simulation.truth.builds.length >= builds.length + 20, 'there is load', 60_000)
}

/** What `verify --json` says of the one organization. */
async function verify() {
  const { code, stdout, stderr } = await runCommand(['verify', '--json'], { ...settings, RECONCILE_INTERVAL: '1s' })
  if (stdout === '') throw new Error(`verify printed nothing, exit code ${code}: ${stderr}`)
  const [report] = JSON.parse(stdout)
  return { code, stderr, report }
}

describe('verify beside a live service under load', () => {
  it('exits 0 ten times of ten, with at least 99 % of what lies before the watermark compared', async () => {
    await startUnderLoad('1s')
    const lane = async (count: number) => {
      const runs = []
      for (let i = 0; i < count; i++) runs.push(await verify())
      return runs
    }
    // Several at a time: each spends most of its time waiting for the next cycle.
    const runs = (await Promise.all([lane(2), lane(2), lane(2), lane(2), lane(2)])).flat()
    for (const { code, report } of runs) {
      expect(report).toMatchObject({ findings: [], unreadable: [], error: null })
      expect(code).toBe(0)
      const compared = report.builds + report.jobs
      expect(compared / (compared + report.builds_in_flight + report.jobs_in_flight)).toBeGreaterThan(0.99)
      expect(report.builds).toBeGreaterThan(150)
    }
  }, 300_000)

  it('finds exactly the three differences that were planted: in an open build, in an old one, and in extra', async () => {
    await startUnderLoad('15s')
    const old = simulation.truth.builds.find(({ state, id }) => state === 'passed' && id !== quiet.id)
    const retried = simulation.truth.jobs.find(({ job }) => 'retried_by' in job && job.retried_by !== null)
    if (!old || !retried) throw new Error('The history has not what it takes.')
    const cycles = async () => (await sql`select 1 from sync.cycles where kind = 'hot' and error is null`).length
    const before = await cycles()
    // A cycle has just ended: the next one, which would correct the open build, is far.
    await until(async () => (await cycles()) > before, 'a cycle ends', 45_000, SECOND / 10)
    await sql`update buildkite.builds set message = 'forged' where id = ${quiet.id}`
    await sql`update buildkite.builds set finished_at = null where id = ${old.id}`
    await sql`update buildkite.jobs set extra = '{"retried_by": {"avatar_url": "forged"}}' where id = ${retried.job.id}`
    const { code, report } = await verify()
    const found = report.findings.map(
      (one: { kind: string; build_id: string; job_id: string | null; columns: { column: string }[] }) => [
        one.kind,
        one.job_id ?? one.build_id,
        ...one.columns.map(({ column }) => column),
      ],
    )
    expect(found.sort()).toEqual(
      [
        ['different', quiet.id, 'message'],
        ['different', old.id, 'finished_at'],
        ['different', retried.job.id, 'extra.retried_by'],
      ].sort(),
    )
    expect({ code, different: report.different, healed: report.healed }).toEqual({ code: 1, different: 3, healed: 0 })
  })
})
