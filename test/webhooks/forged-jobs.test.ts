import { randomUUID } from 'node:crypto'
import { createPostgresBackend, Queue, withBackend } from 'bullmq'
import { sql } from 'drizzle-orm'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { builds } from '../../src/database/schema.ts'
import type { BareQueue } from '../../src/queue/engine.ts'
import { DAY } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends, testRedisUrl } from '../support/redis.ts'
import { tracesInPostgres } from '../support/traces.ts'
import { until } from '../support/until.ts'
import { buildPayload, deliveriesOf, type Stage, setStage } from './stage.ts'

// Anyone who can write to the queue's store can forge jobs. They are no more trusted than a request.

const canary = 'canary-in-the-queue'

/** The forger's own BullMQ, without the time limits of the service: some jobs are large. */
function inRedis(prefix: string): [BareQueue, () => void] {
  const connection = new Redis(testRedisUrl(), { maxRetriesPerRequest: null })
  return [new Queue('deliveries', { connection, prefix }), () => connection.disconnect()]
}

function inPostgres(url: string): BareQueue {
  const { Queue: PostgresQueue } = withBackend(createPostgresBackend)
  return new PostgresQueue('deliveries', { connection: { connectionString: url, schema: 'bullmq', max: 1 } })
}

describe.each(testQueueBackends())('a job forged in the queue on %s', (backend) => {
  let testDatabase: TestDatabase
  let stage: Stage
  let queue: BareQueue
  let disconnect: () => void
  beforeAll(async () => {
    testDatabase = await createTestDatabase()
  })
  beforeEach(async () => {
    stage = await setStage({ backend, databaseUrl: testDatabase.url })
    ;[queue, disconnect] = backend === 'redis' ? inRedis(stage.prefix) : [inPostgres(testDatabase.url), () => {}]
  })
  afterEach(async () => {
    await queue.close()
    disconnect()
    await stage.database.db.execute(sql`truncate sync.deliveries, buildkite.builds`)
    await stage.close()
  })
  afterAll(() => testDatabase.drop())

  const kept = (changes: object = {}) => {
    const at = new Date().toISOString()
    const payload = JSON.stringify(buildPayload({ id: randomUUID() }))
    return {
      key: randomUUID(),
      event: 'build.running',
      request_id: null,
      received_at: at,
      observed_at: at,
      payload,
      ...changes,
    }
  }
  /** A good delivery, with which the worker shows that it still works. */
  const settledAfter = async (jobs: readonly unknown[], rows: number) => {
    for (const job of jobs) await queue.add('apply', job, {})
    stage.work()
    const id = randomUUID()
    expect((await stage.post('build.running', buildPayload({ id, number: 77 }))).status).toBe(202)
    await until(
      async () => {
        const all = await deliveriesOf(stage)
        return all.length === rows + 1 && all.every(({ status }) => status !== 'pending')
      },
      'every delivery is settled',
      60_000,
    )
    expect((await stage.database.db.select().from(builds)).some((build) => build.id === id)).toBe(true)
    return deliveriesOf(stage)
  }

  test('is stored without secrets', async () => {
    const { build, pipeline, event } = buildPayload({ id: randomUUID(), number: 666 })
    const payload = {
      event,
      build: { ...build, env: { A: canary }, password: canary, message: `https://u:${canary}@h/?token=${canary}` },
      pipeline: { ...pipeline, repository: `https://${canary}@github.com/acme/web.git`, configuration: canary },
    }
    await settledAfter([{ kept: [kept({ payload: JSON.stringify(payload) })] }], 1)
    const stored = await tracesInPostgres(testDatabase.url)
    const tables = stored.split('\n').filter((line) => !/^"?bullmq/.test(line))
    expect(tables.filter((line) => line.includes(canary))).toEqual([])
    expect(stored).toContain('https://h/?token=REDACTED')
  })

  test('with deliveries that no receiver would store leaves failed ones that say why; the others are applied', async () => {
    const good = kept()
    const bad: [unknown, RegExp][] = [
      [null, /malformed/],
      ['text', /malformed/],
      [{ key: 1 }, /malformed \(key: .*event: /],
      [kept({ event: 'e'.repeat(201) }), /malformed \(event: /],
      [kept({ received_at: 'yesterday' }), /malformed \(received_at: /],
      [kept({ observed_at: '9999-01-01T00:00:00.000Z' }), /from the future/],
      [kept({ observed_at: new Date(Date.now() + 2 * DAY).toISOString() }), /from the future/],
      [kept({ payload: { build: 1 } }), /malformed \(payload: /],
      // Postgres takes no job with a NUL.
      ...(backend === 'redis' ? [[kept({ payload: 'NUL: \u0000' }), /not a JSON object/] as [unknown, RegExp]] : []),
      [kept({ payload: '[1]' }), /not a JSON object/],
      [kept({ payload: 'x'.repeat(17 * 1024 * 1024) }), /malformed \(payload: Too big/],
      [
        kept({ payload: `{${Array.from({ length: 60_000 }, (_, n) => `"k${n}":${n}`).join(',')}}` }),
        /60001 values, more than 50000/,
      ],
      [kept({ payload: null }), /has no payload/],
    ]
    const rows = await settledAfter([{ kept: [...bad.map(([one]) => one), good] }], bad.length + 1)
    const failed = rows.filter(({ status }) => status === 'failed')
    expect(failed).toHaveLength(bad.length)
    for (const [, error] of bad)
      expect(failed.some((row) => error.test(row.error ?? '') && row.payload === null)).toBe(true)
    expect(rows.find(({ key }) => key === good.key)?.status).toBe('applied')
    expect(stage.counted.get('deliveries_processed_total failed other')).toBeGreaterThan(0)
  })

  test('of no known shape is not run, not retried, and stays as failed with its reason', async () => {
    const forged = [
      null,
      [],
      { kept: 'nonsense' },
      { ids: ['x; drop table'] },
      { ids: [1.5] },
      { ids: Array.from({ length: 10_001 }, (_, n) => n + 1) },
      { kept: Array.from({ length: 10_001 }, () => null) },
      { ids: [1], trace: 'x' },
    ]
    await settledAfter(forged, 0)
    await until(async () => (await queue.getJobCounts('failed')).failed === forged.length, 'all have failed', 60_000)
    for (const job of await queue.getJobs(['failed'], 0, 20)) {
      expect(job.failedReason).toMatch(
        /^A job in the queue deliveries is malformed \(.*Only the service may write to its queue/,
      )
    }
  })

  test('with ids of no delivery changes nothing', async () => {
    const before = (await queue.getJobCounts('failed')).failed
    await settledAfter([{ ids: [1, 999_999_999, Number.MAX_SAFE_INTEGER] }, { ids: [] }], 0)
    expect((await queue.getJobCounts('failed')).failed).toBe(before)
  })
})
