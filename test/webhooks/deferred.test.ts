import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { builds, deliveries, failures } from '../../src/database/schema.ts'
import { oldestPending } from '../../src/http/status/probes.ts'
import type { DeliveriesJob } from '../../src/queue/queues.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import { type ApplyParts, applyDue, deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { sweep } from '../../src/webhooks/sweeper.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { buildPayload, silent } from './stage.ts'

let testDatabase: TestDatabase
let database: Database
let now: number
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = openDatabase(testDatabase.url, { name: 'test' })
})
beforeEach(() => {
  now = Date.now()
})
afterEach(async () => {
  await database.db.execute(sql`drop function if exists refuse cascade`)
  await database.db.execute(sql`truncate sync.deliveries, sync.failures, buildkite.builds`)
})
afterAll(async () => {
  await database.close()
  await testDatabase.drop()
})

const BAD = 666
const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
const parts = ({ db } = database): ApplyParts => ({ db, filter, storeEnv: false, log: silent, clock: () => now })
const anyJob: DeliveriesJob = { ids: [] }

/** Puts the webhooks of so many builds into the inbox, the one numbered `BAD` among the first. */
async function fill(count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, n) => n + 1)
  numbers.splice(3, 0, BAD)
  const at = new Date(now)
  const rows = numbers.map((number) => ({
    key: randomUUID(),
    event: 'build.running',
    received_at: at,
    observed_at: at,
    payload: JSON.stringify(buildPayload({ id: randomUUID(), number })),
  }))
  await database.db.insert(deliveries).values(rows)
}

/** Postgres fails with this SQLSTATE whenever the bad build is written. */
async function failWith(sqlState: string, before = ''): Promise<void> {
  await database.db.execute(
    sql.raw(`
      create or replace function refuse() returns trigger language plpgsql as $$ begin
        ${before} raise 'canary' using errcode = '${sqlState}'; return new; end $$;
      create or replace trigger refuse before insert on buildkite.builds for each row when (new.number = ${BAD}) execute function refuse()`),
  )
}

const mirrored = () => database.db.$count(builds)
const bad = async () => {
  const rows = await database.db
    .select()
    .from(deliveries)
    .where(sql`payload like ${`%"number":${BAD},%`}`)
  return rows[0]
}
const recorded = () => database.db.select().from(failures).where(eq(failures.kind, 'delivery'))

test.each(['57014', '53200', '55P03', '40P01', '58030'])(
  'one that always fails with %s is deferred, and all behind it are applied by the same job',
  async (sqlState) => {
    await fill(200)
    await failWith(sqlState)
    await deliveryHandler(parts())(anyJob)
    expect(await mirrored()).toBe(200)
    const row = await bad()
    expect(row).toMatchObject({ status: 'pending', attempts: 1, next_try_at: new Date(now + MINUTE) })
    expect(row?.error).toContain(sqlState)
    expect(await recorded()).toMatchObject([
      { subject: `delivery ${row?.id} (build.running)`, code: sqlState, tries: 1 },
    ])
  },
)

test('it is not tried until it is due, and then retried alone with a growing back-off', async () => {
  await fill(20)
  await failWith('57014')
  const apply = deliveryHandler(parts())
  await apply(anyJob)
  const waits: number[] = []
  for (let tries = 2; tries <= 11; tries++) {
    await fill(1)
    await database.db.delete(deliveries).where(sql`attempts = 0 and payload like ${`%"number":${BAD},%`}`)
    await apply(anyJob)
    expect((await bad())?.attempts).toBe(tries - 1)
    expect(await applyDue(parts())).toBe(false)
    now = (await bad())?.next_try_at?.getTime() ?? 0
    expect(await applyDue(parts())).toBe(true)
    const [failure] = await recorded()
    expect(failure?.tries).toBe(tries)
    waits.push(((await bad())?.next_try_at?.getTime() ?? 0) - now)
  }
  expect(waits.slice(0, 3)).toEqual([2 * MINUTE, 4 * MINUTE, 8 * MINUTE])
  expect(waits.at(-1)).toBe(6 * HOUR)
})

test('its failure is deleted once it is applied or has failed permanently', async () => {
  await fill(1)
  await failWith('57014')
  await deliveryHandler(parts())(anyJob)
  now += MINUTE
  await database.db.execute(sql`drop function refuse cascade`)
  expect(await applyDue(parts())).toBe(true)
  expect(await bad()).toMatchObject({ status: 'applied', next_try_at: null, error: null })
  expect(await recorded()).toEqual([])

  await database.db.execute(sql`truncate sync.deliveries, buildkite.builds`)
  await fill(1)
  await failWith('57014')
  await deliveryHandler(parts())(anyJob)
  now += MINUTE
  await failWith('P0001')
  expect(await applyDue(parts())).toBe(true)
  expect(await bad()).toMatchObject({ status: 'failed', next_try_at: null })
  expect(await recorded()).toEqual([])
})

test('it is due if its next try was set by a clock that was days ahead', async () => {
  await fill(1)
  await failWith('57014')
  now += 3 * DAY
  await deliveryHandler(parts())(anyJob)
  now -= 3 * DAY
  await database.db.execute(sql`drop function refuse cascade`)
  expect(await applyDue(parts())).toBe(true)
  expect(await bad()).toMatchObject({ status: 'applied' })
})

test('hundreds about one build whose row somebody has locked hold up the others only briefly', async () => {
  const id = randomUUID()
  const about = (count: number) => {
    const rows = Array.from({ length: count }, (_, n) => {
      const at = new Date(now + n)
      const payload = JSON.stringify(buildPayload({ id, number: 1, state: count === 1 ? 'scheduled' : 'running' }))
      return { event: 'build.running', received_at: at, observed_at: at, payload, key: randomUUID() }
    })
    return database.db.insert(deliveries).values(rows)
  }
  await about(1)
  await deliveryHandler(parts())(anyJob)
  await about(300)
  await fill(50)
  const timeouts = { batch: 100, single: 300, hurried: 30 }
  await database.db.transaction(async (tx) => {
    await tx.execute(sql`select from ${builds} where id = ${id} for update`)
    const began = performance.now()
    await deliveryHandler({ ...parts(), timeouts })(anyJob)
    // One by one they would take 300 times 300 ms.
    expect(performance.now() - began).toBeLessThan(60_000)
  })
  const pending = await database.db.select().from(deliveries).where(eq(deliveries.status, 'pending'))
  expect(pending).toHaveLength(300)
  expect(pending.every(({ payload, next_try_at }) => payload?.includes(id) && next_try_at !== null)).toBe(true)
  expect(await mirrored()).toBe(1 + 51)
})

test('the sweeper does not enqueue deferred deliveries', async () => {
  await fill(1)
  await failWith('57014')
  await deliveryHandler(parts())(anyJob)
  await database.db.update(deliveries).set({ enqueued_at: null })
  const idle = { waiting: 0, active: 0, delayed: 0, failed: 0 }
  const queues = {
    depth: async () => ({ deliveries: idle, reconcile: idle, backfill: idle }),
    addDeliveries: async () => {},
  }
  const retention = { payloadRetentionDays: 7, deliveryRetentionDays: 365 }
  now += HOUR
  expect(await sweep({ db: database.db, queues, ...retention, log: silent, clock: () => now })).toBe(0)
})

test('an outage in the middle of a batch defers none', async () => {
  await fill(30)
  await failWith('57014', 'perform pg_sleep(5);')
  const proxy = await startTcpProxy(testDatabase.url, 5432)
  const far = openDatabase(proxy.url, { name: 'far' })
  const applying = deliveryHandler(parts(far))(anyJob)
  const failing = expect(applying).rejects.toMatchObject({ kind: 'transient' })
  const isAsleep = async () => {
    const { rows } = await database.db.execute(sql`select 1 from pg_stat_activity where wait_event = 'PgSleep'`)
    return rows.length > 0
  }
  await until(isAsleep, 'the batch is being written')
  await proxy.cut()
  await failing
  expect(await recorded()).toEqual([])
  expect((await bad())?.next_try_at).toBeNull()
  await far.close()
})

test('one at which Postgres becomes unavailable every time is deferred after some tries', async () => {
  await fill(30)
  await failWith('57P02')
  const apply = deliveryHandler(parts())
  let failed = 0
  while (failed < 20 && (await mirrored()) < 30) {
    await apply(anyJob).catch((error: unknown) => {
      expect(error).toMatchObject({ kind: 'transient' })
      failed += 1
    })
  }
  expect(failed).toBeLessThan(20)
  expect(await mirrored()).toBe(30)
  expect(await recorded()).toMatchObject([{ code: '57P02' }])
  // And when it is due, it is not tried all the time.
  now += MINUTE
  await expect(applyDue(parts())).rejects.toMatchObject({ kind: 'transient' })
  expect(await applyDue(parts())).toBe(false)
})

test('it does not count as a backlog', async () => {
  await fill(3)
  await failWith('57014')
  await deliveryHandler(parts())(anyJob)
  expect(await oldestPending(database.db)).toBeUndefined()
})
