import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { builds, deliveries } from '../../src/database/schema.ts'
import type { KeptDelivery } from '../../src/queue/queues.ts'
import { openFromQueue } from '../../src/webhooks/inbox/from-queue.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { untilProgress } from '../support/until.ts'
import { buildPayload, type Stage, setStage } from './stage.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = openDatabase(testDatabase.url, { name: 'test' })
  await database.db.execute(sql`create table inserts (at timestamptz default clock_timestamp())`)
  await database.db.execute(sql`
    create function count_inserts() returns trigger language plpgsql as $$ begin
      insert into inserts default values; return null;
    end $$`)
  await database.db.execute(sql`
    create trigger count_inserts after insert on sync.deliveries for each statement execute function count_inserts()`)
})
beforeEach(async () => {
  await database.db.execute(sql`truncate sync.deliveries, buildkite.builds, inserts`)
})
afterAll(async () => {
  await database.close()
  await testDatabase.drop()
})

/** How many statements have inserted into the inbox. */
const inserts = async () => Number((await database.db.execute(sql`select count(*) as n from inserts`)).rows[0]?.n)

function kept(number: number, payload = JSON.stringify(buildPayload({ number, id: randomUUID() }))): KeptDelivery {
  const at = new Date().toISOString()
  return { key: randomUUID(), event: 'build.running', request_id: null, received_at: at, observed_at: at, payload }
}
const many = (count: number) => Array.from({ length: count }, (_, n) => kept(n + 1))

describe('deliveries of many jobs', () => {
  test('are moved to the inbox with few inserts', async () => {
    const { move } = openFromQueue({ db: database.db, storeEnv: false })
    await Promise.all(Array.from({ length: 60 }, () => move(many(50))))
    expect(await database.db.$count(deliveries)).toBe(3_000)
    expect(await inserts()).toBeLessThanOrEqual(2 + 3)
  })

  test('are moved in statements of bounded size, and only once however often their job runs', async () => {
    const { move } = openFromQueue({ db: database.db, storeEnv: false })
    const large = Array.from({ length: 12 }, (_, n) => [kept(n, JSON.stringify({ padding: 'x'.repeat(1024 * 1024) }))])
    for (let times = 0; times < 2; times++) await Promise.all(large.map(move))
    expect(await database.db.$count(deliveries)).toBe(12)
    expect(await inserts()).toBeGreaterThanOrEqual(2 * 4)
  })

  test('are all moved, and one that no receiver would store fails by name', async () => {
    const { move } = openFromQueue({ db: database.db, storeEnv: false })
    const jobs = Array.from({ length: 6 }, () => many(5))
    jobs[3]?.splice(2, 0, { ...kept(0), payload: 'null byte: \u0000' })
    await Promise.all(jobs.map(move))
    const rows = await database.db.select().from(deliveries)
    expect(rows).toHaveLength(31)
    expect(rows.flatMap(({ payload, error }) => (payload === null ? [error] : []))).toEqual([
      'The body is not a JSON object.',
    ])
  })
})

describe.each(testQueueBackends())('with the queue on %s', (backend) => {
  let postgres: TcpProxy
  let stage: Stage
  beforeEach(async () => {
    postgres = await startTcpProxy(testDatabase.url, 5432)
    stage = await setStage({ backend, databaseUrl: postgres.url })
  })
  afterEach(async () => {
    await postgres.restore()
    await stage.close()
    await postgres.close()
  })
  const applied = () => database.db.$count(builds)

  // The queue on Postgres accepts nothing while Postgres is unavailable.
  const onRedis = backend === 'redis' ? test : () => {}
  onRedis('webhooks that come without Postgres travel in jobs of many', async () => {
    const count = 600
    await postgres.cut()
    for (let n = 0; n < count; n += 20) {
      const some = many(20).map((_, index) => stage.post('build.running', buildPayload({ number: n + index + 1 })))
      if (n % 200 === 0) await Promise.all(some)
      for (const answer of await Promise.all(some)) expect(answer.status).toBe(202)
    }
    const { deliveries: depth } = await stage.queues.depth()
    expect(depth.waiting).toBeLessThanOrEqual(count / 10)
    await postgres.restore()
    stage.work()
    await untilProgress(applied, count, 'every build is a row')
    expect(await inserts()).toBeLessThanOrEqual(depth.waiting)
  })

  test('jobs of many deliveries leave the queue with fewer inserts than jobs, and all are applied', async () => {
    for (let job = 0; job < 30; job++) await stage.queues.addDeliveries({ kept: many(40) }, 3_000)
    stage.work()
    await untilProgress(applied, 1_200, 'every build is a row')
    expect(await inserts()).toBeLessThan(30)
  })
})
