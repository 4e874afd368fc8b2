import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { refreshRollups } from '../../src/analytics/rollups.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeBuilds, observeWebhook } from '../../src/mirror/observe.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

// Stops of builds that only the jobs show, because the mirror read the build after they had ended. Times are minutes of one day.

let home: TestDatabase
let database: Database
let sql: postgres.Sql
beforeAll(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'test' })
  sql = postgres(home.url, { max: 1, onnotice: () => {} })
})
beforeEach(() => sql`truncate buildkite.builds, buildkite.jobs, buildkite.build_attempts cascade`)
afterAll(async () => {
  await sql.end()
  await database.close()
  await home.drop()
})

const at = (minute: number) => new Date(Date.UTC(2026, 2, 2, 10, 0) + minute * 60_000).toISOString()
const uuid = (number: number) => `00000000-0000-7000-8000-${String(number).padStart(12, '0')}`
type Fields = Record<string, unknown>

/** A build that started at minute 0. */
function build(state: string, finished: number | null, jobs: Fields[], fields: Fields = {}): Fields {
  return {
    id: uuid(1),
    number: 1,
    url: 'https://api.buildkite.com/v2/organizations/acme/pipelines/app/builds/1',
    state,
    blocked: false,
    branch: 'main',
    commit: 'c0ffee',
    created_at: at(0),
    started_at: at(0),
    finished_at: finished === null ? null : at(finished),
    pipeline: {
      id: uuid(99),
      slug: 'app',
      url: 'https://api.buildkite.com/v2/organizations/acme/pipelines/app',
      name: 'App',
      default_branch: 'main',
    },
    jobs,
    ...fields,
  }
}

function job(number: number, state: string, from: number, to: number | null, fields: Fields = {}): Fields {
  return {
    id: uuid(100 + number),
    type: 'script',
    name: `job ${number}`,
    state,
    exit_status: state === 'passed' ? 0 : 1,
    created_at: at(0),
    runnable_at: at(from),
    started_at: at(from),
    finished_at: to === null ? null : at(to),
    retried: false,
    ...fields,
  }
}

const gate = (number: number, unblocked: number | null): Fields => ({
  id: uuid(100 + number),
  type: 'manual',
  label: 'Release?',
  state: unblocked === null ? 'blocked' : 'unblocked',
  unblocked_at: unblocked === null ? null : at(unblocked),
})
const retried = (next: number, retry_type = 'manual'): Fields => ({
  retried: true,
  retried_in_job_id: uuid(100 + next),
  retry_type,
})

async function read(one: Fields, minute: number): Promise<void> {
  const seen = new Date(at(minute))
  const observed = observeBuilds([one], seen, { storeEnv: false, organizationId: uuid(98) })
  await applyObservations(database.db, observed, seen)
}

/** A webhook that shows the build as it was then. */
async function receive(event: string, one: Fields, minute: number): Promise<void> {
  const { jobs: _, pipeline, ...rest } = one
  const seen = new Date(at(minute))
  await applyObservations(
    database.db,
    observeWebhook(event, { event, build: rest, pipeline, sender: null }, seen, {
      storeEnv: false,
      organizationId: uuid(98),
    }),
    seen,
  )
}

/** Result, first result, attempts, minutes of running, of the first run, and whether that is an estimate. */
async function shown(): Promise<unknown[] | undefined> {
  const [row] = await sql`
    select result, first_result, attempts::int, run_seconds / 60, first_run_seconds / 60, is_estimate from analytics.builds`.values()
  return row
}

const attempts = () =>
  sql`
  select state, extract(epoch from started_at - ${at(0)}::timestamptz)::int / 60, extract(epoch from finished_at - ${at(0)}::timestamptz)::int / 60
  from analytics.build_attempts order by finished_at`.values()

test('no stop: the seconds are those of the build', async () => {
  await read(build('passed', 12, [job(1, 'passed', 0, 5), job(2, 'passed', 6, 11)]), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, 12, 12, false])
})

test('a gate that held the build for an hour', async () => {
  await read(build('passed', 70, [job(1, 'passed', 0, 5), gate(2, 64), job(3, 'passed', 65, 70)]), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, 10, 10, true])
  expect([...(await attempts())]).toEqual([
    ['blocked', 0, 5],
    ['passed', 65, 70],
  ])
})

test('two gates without a job between them', async () => {
  await read(build('passed', 70, [job(1, 'passed', 0, 5), gate(2, 30), gate(3, 64), job(4, 'passed', 65, 70)]), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, 10, 10, true])
})

test('a gate that was unblocked while another job ran or waited for an agent', async () => {
  await read(build('passed', 70, [job(1, 'passed', 0, 66), gate(2, 64), job(3, 'passed', 65, 70)]), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, 70, 70, false])
  const waits = { runnable_at: at(5), started_at: at(65) }
  await read(build('passed', 70, [job(1, 'passed', 0, 5), gate(2, 64), job(3, 'passed', 65, 70, waits)]), 1_001)
  expect(await shown()).toEqual(['passed', 'passed', 1, 70, 70, false])
})

test('a job that a person retried a day later', async () => {
  const first = job(1, 'failed', 0, 5, retried(2))
  await read(build('passed', 1_565, [first, job(2, 'passed', 1_560, 1_565)]), 2_000)
  expect(await shown()).toEqual(['passed', 'failed', 2, 10, 5, true])
})

test('a second retry by hand: the failure before it counts only until its retry', async () => {
  const jobs = [job(1, 'failed', 0, 5, retried(2)), job(2, 'passed', 60, 65, retried(3)), job(3, 'passed', 120, 125)]
  await read(build('passed', 125, jobs), 2_000)
  expect(await shown()).toEqual(['passed', 'failed', 3, 15, 5, true])
  expect((await attempts()).map(([state]) => state)).toEqual(['failed', 'passed', 'passed'])
})

test('a retry by hand of a job that passed, beside a failure that nobody retried', async () => {
  const jobs = [job(1, 'passed', 0, 5, retried(3)), job(2, 'failed', 0, 4), job(3, 'passed', 60, 65)]
  await read(build('failed', 65, jobs), 2_000)
  expect(await shown()).toEqual(['failed', 'failed', 2, 10, 5, true])
})

test('a build canceled at a gate at the moment its last job ended has one attempt', async () => {
  await read(build('canceled', 5, [job(1, 'passed', 0, 5), gate(2, null)], { blocked: true }), 1_000)
  expect(await shown()).toEqual(['canceled', 'canceled', 1, 5, 5, false])
})

test('the day of a build is rebuilt when a job arrives that ran on another day', async () => {
  const first = job(1, 'failed', 0, 5, retried(2))
  const last = job(2, 'passed', 1_560, 1_565)
  await read(build('passed', 1_565, [last]), 2_000)
  const rolledUp = async () => {
    await refreshRollups(database.db)
    return (
      await sql`select day::text, mean_seconds, first_failed::int from analytics.pipeline_durations_daily
      join analytics.build_results_daily using (day, pipeline_id)`.values()
    )[0]
  }
  expect(await rolledUp()).toEqual(['2026-03-03', 93_900, 0])
  await read(build('passed', 1_565, [first, last]), 2_001)
  expect(await rolledUp()).toEqual(['2026-03-03', 600, 1])
})

test('a retry by Buildkite', async () => {
  await read(build('passed', 12, [job(1, 'failed', 0, 5, retried(2, 'automatic')), job(2, 'passed', 6, 11)]), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, 12, 12, false])
})

test('a start that Buildkite has moved to the retry', async () => {
  const jobs = [job(1, 'failed', 0, 5, retried(2)), job(2, 'passed', 60, 65)]
  await read(build('passed', 65, jobs, { started_at: at(60) }), 2_000)
  expect(await shown()).toEqual(['passed', 'failed', 2, 10, 5, true])
})

test('a build that runs again', async () => {
  await read(build('running', null, [job(1, 'failed', 0, 5, retried(2)), job(2, 'running', 60, null)]), 61)
  expect(await shown()).toEqual([null, 'failed', 1, 5, 5, true])
})

test('a build canceled at a gate', async () => {
  await read(build('canceled', 70, [job(1, 'passed', 0, 5), gate(2, null)], { blocked: true }), 1_000)
  expect(await shown()).toEqual(['canceled', 'canceled', 1, 5, 5, true])
})

test('a build without jobs: nothing shows whether it stopped', async () => {
  await read(build('passed', 70, []), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, null, null, true])
})

test('a stop that a webhook showed is not derived again', async () => {
  const jobs = [job(1, 'passed', 0, 5), gate(2, 64), job(3, 'passed', 65, 70)]
  await receive('build.running', build('running', null, []), 0)
  await receive('build.finished', build('passed', 5.005, [], { blocked: true }), 5.01)
  await read(build('passed', 70, jobs), 1_000)
  expect(await shown()).toEqual(['passed', 'passed', 1, expect.closeTo(10.005, 3), expect.closeTo(10.005, 3), false])
})

test('of two stops, the one whose webhook was lost', async () => {
  const jobs = [job(1, 'passed', 0, 5), gate(2, 64), job(3, 'failed', 65, 70, retried(4)), job(4, 'passed', 130, 135)]
  await receive('build.running', build('running', null, []), 0)
  await receive('build.finished', build('passed', 5.005, [], { blocked: true }), 5.01)
  await read(build('passed', 135, jobs), 1_000)
  expect(await shown()).toEqual(['passed', 'failed', 2, expect.closeTo(15.005, 3), expect.closeTo(10.005, 3), true])
})
