import { randomUUID } from 'node:crypto'
import { eq, inArray, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { builds, deliveries } from '../../src/database/schema.ts'
import type { Queues } from '../../src/queue/queues.ts'
import { deleteSettled, dropPayloads, sweep } from '../../src/webhooks/sweeper.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends, testRedisUrl } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { until, untilProgress } from '../support/until.ts'
import { buildPayload, deliveriesOf, type Stage, setStage, silent } from './stage.ts'

describe.each(testQueueBackends())('the webhook path with its queue on %s', (backend) => {
  let database: TestDatabase
  let postgres: TcpProxy
  let stage: Stage

  beforeAll(async () => {
    database = await createTestDatabase()
    postgres = await startTcpProxy(database.url, 5432)
  })
  afterEach(async () => {
    await postgres.restore()
    await stage.close()
  })
  afterAll(async () => {
    await postgres.close()
    await database.drop()
  })

  const buildStates = async (ids: readonly string[]) => {
    const rows = await stage.database.db
      .select()
      .from(builds)
      .where(inArray(builds.id, [...ids]))
    return new Map(rows.map((row) => [row.id, row.state]))
  }

  test('turns deliveries into rows', async () => {
    stage = await setStage({ backend, databaseUrl: postgres.url })
    stage.work()
    const ids = Array.from({ length: 50 }, () => randomUUID())
    const answers = await Promise.all(
      ids.map((id, index) => stage.post('build.running', buildPayload({ id, number: index + 1 }))),
    )
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]))
    await until(async () => (await buildStates(ids)).size === 50, 'all builds are rows')
    await until(async () => (await deliveriesOf(stage)).every((row) => row.status === 'applied'), 'all are settled')
  })

  test('a delivery that cannot be applied is recorded as failed with its error, and the others continue', async () => {
    stage = await setStage({ backend, databaseUrl: postgres.url })
    const id = randomUUID()
    const mark = randomUUID()
    await Promise.all([
      stage.post('build.running', { build: { number: 7, message: 'canary' } }, { 'x-buildkite-request': mark }),
      stage.post('build.running', buildPayload({ id })),
    ])
    stage.work()
    await until(async () => (await buildStates([id])).size === 1, 'the good build is a row')
    const failed = await until(async () => {
      const rows = await stage.database.db.select().from(deliveries).where(eq(deliveries.request_id, mark))
      return rows.find((row) => row.status === 'failed')
    }, 'the bad delivery is recorded as failed')
    expect(failed.error).toMatch(/no build with an id/)
    expect(failed.error).not.toContain('canary')
    expect(failed.payload).toContain('canary')
    expect(failed.attempts).toBe(1)
  })

  test('one that Postgres refuses does not keep back those in the same batch', async () => {
    stage = await setStage({ backend, databaseUrl: postgres.url })
    await refusePoison(stage)
    const poison = randomUUID()
    const good = Array.from({ length: 6 }, () => randomUUID())
    const ids = [...good.slice(0, 3), poison, ...good.slice(3)]
    await Promise.all(
      ids.map((id) => stage.post('build.running', buildPayload({ id, number: id === poison ? 666 : 1 }))),
    )
    stage.work()
    await until(async () => (await buildStates(good)).size === good.length, 'the good builds are rows')
    const failed = await until(
      async () => (await deliveriesOf(stage)).find((row) => row.payload?.includes(poison) && row.status === 'failed'),
      'the refused delivery is recorded as failed',
    )
    expect(failed.error).toMatch(/SQLSTATE P0001/)
    expect(failed.error).not.toContain('canary')
    expect((await buildStates([poison])).size).toBe(0)
  })

  test('passes over what is out of scope or of an unknown kind', async () => {
    stage = await setStage({ backend, databaseUrl: postgres.url })
    stage.work({ pipelinesExclude: ['secret-*'], organizations: ['acme'] })
    const wanted = randomUUID()
    const excluded = randomUUID()
    const foreign = randomUUID()
    await stage.post('build.running', buildPayload({ id: excluded, pipeline: 'secret-plan' }))
    await stage.post('build.running', buildPayload({ id: foreign, org: 'other' }))
    await stage.post('package.created', { event: 'package.created' })
    await stage.post('build.running', buildPayload({ id: wanted }))
    await until(() => stage.counted.get('deliveries_processed_total ignored build.running') === 2, 'two are ignored')
    await until(() => stage.counted.get('deliveries_processed_total ignored other') === 1, 'so is the third')
    await until(async () => (await buildStates([wanted])).size === 1, 'the wanted build is a row')
    expect((await buildStates([excluded, foreign])).size).toBe(0)
  })

  test('a job that was lost is enqueued again by the sweeper, once', async () => {
    stage = await setStage({ backend, databaseUrl: postgres.url })
    const id = randomUUID()
    const [row] = await stage.database.db
      .insert(deliveries)
      .values({
        key: randomUUID(),
        event: 'build.running',
        received_at: new Date(),
        observed_at: new Date(),
        enqueued_at: new Date(Date.now() - 3_600_000),
        payload: JSON.stringify(buildPayload({ id })),
      })
      .returning()
    expect(row?.status).toBe('pending')
    const parts = {
      db: stage.database.db,
      queues: stage.queues,
      payloadRetentionDays: 7,
      deliveryRetentionDays: 365,
      log: silent,
    }
    const free: number[] = []
    const queues: Pick<Queues, 'depth' | 'addDeliveries'> = {
      depth: () => stage.queues.depth(),
      async addDeliveries(job, ms) {
        // As a worker looks, which may be at it before we have returned.
        const rows = await stage.database.db.select().from(deliveries).for('update', { skipLocked: true })
        free.push(...rows.map((each) => each.id))
        await stage.queues.addDeliveries(job, ms)
      },
    }
    expect(await sweep({ ...parts, queues })).toBe(1)
    expect(free).toContain(row?.id)
    expect(await sweep(parts)).toBe(0)
    stage.work()
    await until(async () => (await buildStates([id])).size === 1, 'the build is a row')
  })

  test('while the inbox is locked, as by a migration that indexes it, accepts webhooks and applies them afterwards', async () => {
    stage = await setStage({ backend, databaseUrl: postgres.url })
    stage.work()
    const ids = Array.from({ length: 3 }, () => randomUUID())
    await stage.database.db.transaction(async (tx) => {
      await tx.execute(sql`lock table sync.deliveries in share mode`)
      for (const id of ids) expect((await stage.post('build.running', buildPayload({ id }))).status).toBe(202)
    })
    await untilProgress(async () => (await buildStates(ids)).size, ids.length, 'every one is a row')
  })

  test.each(['cut', 'hang'] as const)(
    'while Postgres is gone (%s), answers in time and loses nothing it accepted',
    async (how) => {
      stage = await setStage({ backend, databaseUrl: postgres.url })
      stage.work()
      stage.sweep()
      const first = randomUUID()
      await stage.post('build.running', buildPayload({ id: first }))
      await until(async () => (await buildStates([first])).size === 1, 'all is well')
      await postgres[how]()
      const accepted = [first]
      for (let i = 0; i < 8; i += 1) {
        const id = randomUUID()
        const answer = await stage.post('build.running', buildPayload({ id }))
        expect(answer.ms).toBeLessThan(4_500)
        // With the queue in the same database there is nowhere to keep it.
        expect(answer.status).toBe(backend === 'redis' ? 202 : 503)
        if (answer.status === 202) accepted.push(id)
        else expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      }
      await postgres.restore()
      await until(
        async () => {
          const id = randomUUID()
          const { status } = await stage.post('build.running', buildPayload({ id }))
          if (status === 202) accepted.push(id)
          return status === 202
        },
        'deliveries are accepted again',
        30_000,
      )
      await untilProgress(
        async () => (await buildStates(accepted)).size,
        accepted.length,
        'every accepted one is a row',
      )
    },
  )
})

/** Makes Postgres refuse every build with the number 666. */
async function refusePoison({ database: { db } }: Stage): Promise<void> {
  await db.execute(sql`create or replace function refuse() returns trigger language plpgsql as
    $$ begin if new.number = 666 then raise exception 'canary'; end if; return new; end $$`)
  await db.execute(sql`create or replace trigger refuse before insert on buildkite.builds
    for each row execute function refuse()`)
}

describe.runIf(testQueueBackends().includes('redis'))('the webhook path without its Redis', () => {
  let database: TestDatabase
  let postgres: TcpProxy
  let redis: TcpProxy
  let stage: Stage
  beforeAll(async () => {
    database = await createTestDatabase()
    postgres = await startTcpProxy(database.url, 5432)
    redis = await startTcpProxy(testRedisUrl(), 6379)
  })
  afterEach(async () => {
    await postgres.restore()
    await redis.restore()
    await stage.close()
  })
  afterAll(async () => {
    await postgres.close()
    await redis.close()
    await database.drop()
  })

  test.each(['cut', 'hang'] as const)(
    '(%s) keeps deliveries in Postgres, and the sweeper enqueues them when it is back',
    async (how) => {
      stage = await setStage({ backend: 'redis', databaseUrl: postgres.url, redisUrl: redis.url })
      const ids = Array.from({ length: 5 }, () => randomUUID())
      await redis[how]()
      for (const id of ids) {
        const answer = await stage.post('build.running', buildPayload({ id }))
        expect(answer.status).toBe(202)
        expect(answer.ms).toBeLessThan(4_500)
      }
      await redis.restore()
      stage.work()
      stage.sweep()
      const wanted = inArray(builds.id, ids)
      // One whose mark for the sweeper was lost as well is swept up when its job is overdue, after 15 s.
      await untilProgress(() => stage.database.db.$count(builds, wanted), 5, 'all are rows', 40_000)
    },
  )

  test.each(['cut', 'hang'] as const)('and without Postgres (%s) answers 503 with Retry-After in time', async (how) => {
    stage = await setStage({ backend: 'redis', databaseUrl: postgres.url, redisUrl: redis.url })
    await redis[how]()
    await postgres[how]()
    const answers = await Promise.all(Array.from({ length: 20 }, () => stage.post('build.running', buildPayload())))
    for (const answer of answers) {
      expect(answer.status).toBe(503)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      expect(answer.ms).toBeLessThan(4_500)
    }
    await postgres.restore()
    await redis.restore()
    await until(async () => (await stage.post('build.running', buildPayload())).status === 202, 'all is well again')
  })

  test('comes up with Redis down and works when it comes', async () => {
    await redis.cut()
    stage = await setStage({ backend: 'redis', databaseUrl: postgres.url, redisUrl: redis.url })
    stage.work()
    stage.sweep()
    const id = randomUUID()
    expect((await stage.post('build.running', buildPayload({ id }))).status).toBe(202)
    await redis.restore()
    await until(
      async () => {
        const rows = await stage.database.db.select().from(builds).where(eq(builds.id, id))
        return rows.length === 1
      },
      'the delivery is a row',
      40_000,
    ) // the queue is tried again every few seconds, and this machine may be busy
  })
})

test('payloads of settled deliveries are dropped after their time, those of failed ones are not', async () => {
  const testDatabase = await createTestDatabase()
  const database = openDatabase(testDatabase.url, { name: 'test' })
  const old = new Date(Date.now() - 8 * 86_400_000)
  const row = (key: string, status: 'applied' | 'ignored' | 'failed' | 'pending', received_at: Date) => ({
    key,
    event: 'ping',
    status,
    received_at,
    observed_at: received_at,
    payload: '{}',
  })
  await database.db
    .insert(deliveries)
    .values([
      row('old applied', 'applied', old),
      row('old ignored', 'ignored', old),
      row('old failed', 'failed', old),
      row('old pending', 'pending', old),
      row('new applied', 'applied', new Date()),
    ])
  await dropPayloads({ db: database.db, payloadRetentionDays: 7 })
  const rows = await database.db.select().from(deliveries)
  expect(rows.filter((each) => each.payload === null).map((each) => each.key)).toEqual(['old applied', 'old ignored'])
  await database.close()
  await testDatabase.drop()
})

test('old deliveries are deleted once they are settled and their payloads gone, however many; others stay', async () => {
  const testDatabase = await createTestDatabase()
  const database = openDatabase(testDatabase.url, { name: 'test' })
  const old = new Date(Date.now() - 100 * 86_400_000)
  const row = (key: string, more: Partial<typeof deliveries.$inferInsert> = {}) => ({
    ...{ key, event: 'ping', status: 'applied' as const, received_at: old, observed_at: old, payload: null },
    ...more,
  })
  await database.db
    .insert(deliveries)
    .values([
      ...Array.from({ length: 1_200 }, (_, n) => row(`old ${n}`, { status: n % 2 ? 'applied' : 'ignored' })),
      row('with its payload', { payload: '{}' }),
      row('failed', { status: 'failed' }),
      row('pending', { status: 'pending', payload: '{}' }),
      row('younger', { received_at: new Date(Date.now() - 98 * 86_400_000) }),
    ])
  expect(await deleteSettled({ db: database.db, deliveryRetentionDays: 99 })).toBe(1_200)
  const rows = await database.db.select().from(deliveries)
  expect(rows.map(({ key }) => key).sort()).toEqual(['failed', 'pending', 'with its payload', 'younger'])
  await database.close()
  await testDatabase.drop()
})
