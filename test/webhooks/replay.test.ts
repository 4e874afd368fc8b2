import { randomUUID } from 'node:crypto'
import { eq, inArray, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { builds, deliveries } from '../../src/database/schema.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { HOUR } from '../../src/runtime/time.ts'
import { replay, type Selection } from '../../src/webhooks/apply/replay.ts'
import { dropPayloads } from '../../src/webhooks/sweeper.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runCommand } from '../support/service.ts'
import { until } from '../support/until.ts'
import { buildPayload, deliveriesOf, type Stage, setStage, silent } from './stage.ts'

let database: TestDatabase
let stage: Stage

beforeAll(async () => {
  database = await createTestDatabase()
})
beforeEach(async () => {
  stage = await setStage({ backend: 'postgres', databaseUrl: database.url })
})
afterEach(async () => {
  await stage.database.db.execute(sql`drop trigger if exists no_poison on buildkite.builds`)
  await stage.database.db.execute(sql`truncate sync.deliveries, buildkite.builds`)
  await stage.close()
})
afterAll(() => database.drop())

const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
const again = (selection: Selection) =>
  replay({ db: stage.database.db, filter, storeEnv: false, log: silent }, selection)
const run = (...args: string[]) => runCommand(['replay', ...args], { DATABASE_URL: database.url })
const settled = () =>
  until(async () => (await deliveriesOf(stage)).every(({ status }) => status !== 'pending'), 'all are settled')

/** Has the worker apply what waits, and then stop: with jobs left over it would take up what is replayed. */
async function applyAll(): Promise<void> {
  const worker = stage.work()
  await settled()
  await worker.close(2_000)
}

/** Makes Postgres refuse builds with the number 666, as a fault of ours would. */
async function refusePoison(): Promise<void> {
  await stage.database.db.execute(sql`
    create or replace function buildkite.refuse_poison() returns trigger language plpgsql as $$
    begin raise exception 'poison' using errcode = '22000'; end $$`)
  await stage.database.db.execute(sql`
    create trigger no_poison before insert on buildkite.builds for each row when (new.number = 666)
    execute function buildkite.refuse_poison()`)
}

/** Receives deliveries; every second one fails. */
async function receive(count: number): Promise<void> {
  await refusePoison()
  for (let i = 0; i < count; i++) {
    await stage.post('build.running', buildPayload({ id: randomUUID(), number: i % 2 ? 666 : 1 }))
  }
  await applyAll()
}

describe('replay', () => {
  test('applies what failed once its cause is fixed; a failed delivery has its error, tries and time', async () => {
    await receive(10)
    const failed = (await deliveriesOf(stage)).filter(({ status }) => status === 'failed')
    expect(failed).toHaveLength(5)
    for (const row of failed) {
      expect(row).toMatchObject({ attempts: 1, failed_at: expect.any(Date), applied_at: null })
      expect(row.error).toMatch(/22000/)
    }
    expect(await again({ failed: true })).toMatchObject({ applied: 0, failed: 5 })
    await stage.database.db.execute(sql`drop trigger no_poison on buildkite.builds`)
    expect(await again({ failed: true })).toMatchObject({ applied: 5, failed: 0, errors: {} })
    const rows = await deliveriesOf(stage)
    expect(rows.every(({ status, error, failed_at }) => status === 'applied' && !error && !failed_at)).toBe(true)
    expect(rows.filter(({ attempts }) => attempts === 3)).toHaveLength(5)
    expect(await stage.database.db.$count(builds)).toBe(10)
  })

  test('changes no row when everything was applied before', async () => {
    await receive(6)
    const before = await stage.database.db.select().from(builds).orderBy(builds.id)
    expect(await again({ since: new Date(0) })).toMatchObject({ applied: 3, failed: 3 })
    expect(await stage.database.db.select().from(builds).orderBy(builds.id)).toEqual(before)
  })

  test('leaves on a delivery that fails the second time when it was applied', async () => {
    await stage.post('build.running', buildPayload({ id: randomUUID(), number: 666 }))
    await applyAll()
    await stage.database.db.execute(sql`truncate buildkite.builds`)
    await refusePoison()
    expect(await again({ since: new Date(0) })).toMatchObject({ failed: 1 })
    expect(await deliveriesOf(stage)).toMatchObject([
      { status: 'failed', applied_at: expect.any(Date), failed_at: expect.any(Date) },
    ])
  })

  test('takes only what is asked for', async () => {
    await receive(4)
    const [first, second] = await deliveriesOf(stage)
    if (!first || !second) throw new Error('Nothing was received.')
    expect(await again({ ids: [first.id, 999_999] })).toMatchObject({ applied: 1, failed: 0, unknown: [999_999] })
    expect(await again({ ids: [first.id], failed: true })).toMatchObject({ applied: 0, failed: 0 })
    expect(await again({ since: new Date(Date.now() + HOUR) })).toMatchObject({ applied: 0, failed: 0 })
  })

  test('says which have no payload any more, and leaves them as they are', async () => {
    await receive(4)
    await dropPayloads({ db: stage.database.db, payloadRetentionDays: 0, clock: () => Date.now() + 1 })
    expect(await again({ since: new Date(0) })).toMatchObject({ applied: 0, failed: 2, without_payload: 2 })
    expect((await deliveriesOf(stage)).map(({ status }) => status)).toEqual(['applied', 'failed', 'applied', 'failed'])
  })

  test('goes through many batches, beside a worker that applies others', async () => {
    const now = new Date()
    const rows = Array.from({ length: 450 }, (_, i) => ({
      key: `key ${i}`,
      event: 'build.running',
      received_at: now,
      observed_at: now,
      status: 'failed' as const,
      payload: JSON.stringify(buildPayload({ id: randomUUID(), number: i + 1 })),
    }))
    await stage.database.db.insert(deliveries).values(rows)
    stage.work()
    const posts = Array.from({ length: 30 }, () => stage.post('build.running', buildPayload()))
    const report = await again({ failed: true })
    await Promise.all(posts)
    await settled()
    expect(report.applied + report.pending).toBe(450)
    expect(await stage.database.db.$count(builds)).toBe(480)
  })
})

describe('payloads', () => {
  test('are never dropped before they are applied, and those of failed deliveries are kept', async () => {
    await receive(4)
    await stage.database.db
      .update(deliveries)
      .set({ status: 'pending' })
      .where(
        inArray(
          deliveries.id,
          (await deliveriesOf(stage)).slice(0, 1).map(({ id }) => id),
        ),
      )
    await dropPayloads({ db: stage.database.db, payloadRetentionDays: 0, clock: () => Date.now() + HOUR })
    const left = await stage.database.db.select().from(deliveries).where(eq(deliveries.payload, deliveries.payload))
    expect(left.map(({ status }) => status).filter((status) => status === 'applied')).toEqual([])
    expect((await deliveriesOf(stage)).filter(({ payload }) => payload === null)).toHaveLength(1)
  })
})

describe('buildkite-mirror replay', () => {
  test('says how many it applied, and fails when some fail again', async () => {
    await receive(4)
    expect(await run('--failed')).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('0 applied, 0 ignored, 2 failed'),
      stderr: expect.stringMatching(/2 × .*22000/),
    })
    await stage.database.db.execute(sql`drop trigger no_poison on buildkite.builds`)
    const status = await runCommand(['status'], { DATABASE_URL: database.url })
    expect(status.stdout).toContain('2 webhook deliveries could not be applied')
    const { code, stdout } = await run('--since', '1h', '--json')
    expect([code, JSON.parse(stdout).applied]).toEqual([0, 4])
  })

  test('asks for a selection, and for one that makes sense', async () => {
    expect(await run()).toMatchObject({ code: 2, stderr: expect.stringContaining('--failed') })
    expect(await run('--id', 'seven')).toMatchObject({ code: 2, stderr: expect.stringContaining('"seven"') })
    expect(await run('--since', 'lately')).toMatchObject({ code: 2, stderr: expect.stringContaining('"lately"') })
    expect(await run('--id', '4711')).toMatchObject({ code: 1, stderr: expect.stringContaining('4711') })
  })
})
