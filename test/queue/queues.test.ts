import { Redis } from 'ioredis'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { type DeliveriesJob, openQueues, type Queues, type ReconcileJob } from '../../src/queue/queues.ts'
import { StoreError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends, testRedisUrl } from '../support/redis.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
const kept = {
  key: 'k',
  event: 'ping',
  request_id: null,
  received_at: '2026-01-01T00:00:00.000Z',
  observed_at: '2026-01-01T00:00:00.000Z',
  payload: '{}',
}

describe.each(testQueueBackends())('the queue on %s', (backend) => {
  let database: TestDatabase
  let proxy: TcpProxy
  let number = 0
  const closers: (() => Promise<void>)[] = []

  beforeAll(async () => {
    database = await createTestDatabase()
    proxy = await (backend === 'redis' ? startTcpProxy(testRedisUrl(), 6379) : startTcpProxy(database.url, 5432))
  })
  afterEach(async () => {
    await proxy.restore()
    for (const close of closers.splice(0).reverse()) await close()
    if (backend === 'postgres') await forgetJobs(database.url)
  })
  afterAll(async () => {
    await proxy.close()
    await database.drop()
  })

  async function open(prefix = `{test-${process.pid}-${number}}`): Promise<Queues> {
    number += 1
    const queues = await openQueues(
      { redisUrl: backend === 'redis' ? proxy.url : undefined, databaseUrl: proxy.url, prefix },
      log,
    )
    closers.push(() => queues.close(2_000))
    return queues
  }

  test('hands each job to a worker once, as it was added', async () => {
    const queues = await open()
    const seen: DeliveriesJob[] = []
    const worker = queues.workDeliveries(async (job) => void seen.push(job), 2)
    closers.push(() => worker.close(2_000))
    await queues.addDeliveries({ ids: [1, 2] }, 2_000)
    await queues.addDeliveries({ kept: [kept] }, 2_000)
    await until(() => seen.length === 2, 'both jobs are seen')
    expect(seen).toEqual([{ ids: [1, 2] }, { kept: [kept] }])
    await until(async () => (await queues.depth()).deliveries.active === 0, 'the queue is empty')
    expect((await queues.depth()).deliveries).toEqual({ waiting: 0, active: 0, delayed: 0, failed: 0 })
  })

  test('reports whether it holds deliveries that Postgres did not accept, until they are moved', async () => {
    const queues = await open()
    await queues.addDeliveries({ ids: [1] }, 2_000)
    expect(await queues.holdsDiverted()).toBe(false)
    await queues.addDeliveries({ kept: [kept] }, 2_000)
    expect(await queues.holdsDiverted()).toBe(true)
    const worker = queues.workDeliveries(async () => {}, 2)
    closers.push(() => worker.close(2_000))
    await until(async () => (await queues.depth()).deliveries.waiting === 0, 'the jobs are taken')
    await until(async () => !(await queues.holdsDiverted()), 'none is left')
  })

  test('a transient failure spends no attempt, however often it happens', async () => {
    const queues = await open()
    let runs = 0
    const worker = queues.workReconcile(async () => {
      runs += 1
      if (runs <= 2) throw new StoreError('transient', 'Postgres is down.')
    }, 1)
    closers.push(() => worker.close(2_000))
    await queues.schedule({ task: 'discover' }, 3_600_000)
    await until(() => runs === 3, 'the third run')
    await until(async () => (await queues.depth()).reconcile.active === 0, 'the job is done')
    expect((await queues.depth()).reconcile.failed).toBe(0)
  })

  test('a job that fails is tried again', async () => {
    const queues = await open()
    let runs = 0
    const worker = queues.workDeliveries(async () => {
      runs += 1
      if (runs === 1) throw new Error('It is broken.')
    }, 1)
    closers.push(() => worker.close(2_000))
    await queues.addDeliveries({ ids: [1] }, 2_000)
    await until(() => runs === 2, 'the second run')
  })

  test('a schedule runs at once and then regularly; repeating it changes nothing', async () => {
    const queues = await open()
    const seen: ReconcileJob[] = []
    const worker = queues.workReconcile(async (job) => void seen.push(job), 1)
    closers.push(() => worker.close(2_000))
    const hot: ReconcileJob = { task: 'hot', organization: 'b9a8c0ee-0000-4000-8000-000000000001' }
    await queues.schedule(hot, 3_600_000)
    await until(() => seen.length === 1, 'the first run')
    for (let i = 0; i < 5; i += 1) await queues.schedule(hot, 3_600_000)
    const { reconcile } = await queues.depth()
    expect(seen).toEqual([hot])
    expect([reconcile.waiting, reconcile.delayed]).toEqual([0, 1])
    await queues.schedule(hot, 500)
    await until(() => seen.length >= 3, 'the regular runs at the new interval')
    await queues.unschedule(hot)
    expect((await queues.depth()).reconcile.delayed).toBe(0)
  })

  test('a scheduled job that has waited for long keeps its place when it is scheduled again', async () => {
    const queues = await open()
    const seen: string[] = []
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const worker = queues.workReconcile(async ({ organization = '' }) => {
      seen.push(organization)
      await released
    }, 1)
    closers.push(() => worker.close(2_000))
    const schedule = (organization: string) => queues.schedule({ task: 'hot', organization }, 60_000)
    await schedule('first')
    await until(() => seen.length === 1, 'the worker is busy')
    for (const organization of ['second', 'third', 'fourth']) await schedule(organization)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5 * 60_000 })
    try {
      for (const organization of ['second', 'third']) await schedule(organization)
    } finally {
      vi.useRealTimers()
    }
    release()
    await until(() => seen.length >= 4, 'each has run')
    expect(seen.slice(0, 4)).toEqual(['first', 'second', 'third', 'fourth'])
  })

  test('backfill has a queue of its own, so that it never stands before a hot cycle', async () => {
    const queues = await open()
    await queues.schedule({ task: 'backfill', organization: 'o' }, 3_600_000)
    const depth = await queues.depth()
    expect(depth.backfill.waiting + depth.backfill.delayed).toBe(1)
    expect(depth.reconcile.waiting + depth.reconcile.delayed).toBe(0)
  })

  test('closing a worker aborts its handler and gives the job back', async () => {
    const queues = await open()
    let started = false
    const first = queues.workReconcile(async (_job, signal) => {
      started = true
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
    }, 1)
    await queues.schedule({ task: 'discover' }, 3_600_000)
    await until(() => started, 'the handler runs')
    await first.close(5_000)
    let again = false
    const second = queues.workReconcile(async () => {
      again = true
    }, 1)
    closers.push(() => second.close(2_000))
    await until(() => again, 'another worker runs the job')
  })

  test.each(['cut', 'hang'] as const)(
    'when its store is gone (%s), adding fails in time and works again afterwards',
    async (how) => {
      const queues = await open()
      await queues.addDeliveries({ ids: [1] }, 2_000)
      await proxy[how]()
      const begun = Date.now()
      await expect(queues.addDeliveries({ ids: [2] }, 800)).rejects.toMatchObject({
        name: 'StoreError',
        kind: 'transient',
      })
      await expect(queues.check()).rejects.toMatchObject({ name: 'StoreError', kind: 'transient' })
      expect(Date.now() - begun).toBeLessThan(4_500)
      await proxy.restore()
      await until(() => queues.addDeliveries({ ids: [3] }, 800).then(() => true), 'adding works again')
    },
  )

  test('opened while its store is down, it answers, and begins to work when the store comes', async () => {
    const prefix = `{test-late-${process.pid}}`
    await proxy.cut()
    const begun = Date.now()
    const queues = await open(prefix)
    const seen: DeliveriesJob[] = []
    const worker = queues.workDeliveries(async (job) => void seen.push(job), 1)
    closers.push(() => worker.close(2_000))
    await expect(queues.addDeliveries({ ids: [1] }, 300)).rejects.toMatchObject({ kind: 'transient' })
    expect(Date.now() - begun).toBeLessThan(5_000)
    await proxy.restore()
    await until(() => queues.addDeliveries({ ids: [7] }, 800).then(() => true), 'adding works')
    await until(() => seen.some((job) => 'ids' in job && job.ids[0] === 7), 'the job is worked')
  })

  test('a worker goes on after its store was gone for a while', async () => {
    const queues = await open()
    const seen: DeliveriesJob[] = []
    const worker = queues.workDeliveries(async (job) => void seen.push(job), 1)
    closers.push(() => worker.close(2_000))
    await queues.addDeliveries({ ids: [1] }, 2_000)
    await until(() => seen.length === 1, 'the first job')
    await proxy.cut()
    await expect(queues.addDeliveries({ ids: [2] }, 300)).rejects.toBeInstanceOf(StoreError)
    await proxy.restore()
    await until(() => queues.addDeliveries({ ids: [3] }, 800).then(() => true), 'adding works again')
    await until(() => seen.some((job) => 'ids' in job && job.ids[0] === 3), 'the job after the outage', 30_000)
  })

  test('a worker with nothing to do makes progress; one whose store is gone does not', async () => {
    const queues = await open()
    const worker = queues.workDeliveries(async () => {}, 1)
    closers.push(() => worker.close(2_000))
    const begun = worker.lastProgressAt
    await until(() => worker.lastProgressAt > begun, 'a sign of life')
    await proxy.cut()
    const last = worker.lastProgressAt
    await until(() => Date.now() - last > 2_500, 'the next sign is due')
    expect(worker.lastProgressAt).toBe(last)
  })

  test('closing holds its deadline when the store is gone', async () => {
    const queues = await open()
    const worker = queues.workDeliveries(async () => {}, 1)
    await queues.addDeliveries({ ids: [1] }, 2_000)
    await until(async () => (await queues.depth()).deliveries.waiting === 0, 'the job is taken')
    await proxy.cut()
    const begun = Date.now()
    await worker.close(1_000)
    await queues.close(1_000)
    expect(Date.now() - begun).toBeLessThan(3_000)
  })

  test('check warns of nothing that is as it should be', async () => {
    const queues = await open()
    const warnings = await queues.check()
    // The tests' Redis may keep no append-only file: that is the only warning it may get.
    expect(warnings.filter(({ name }) => name !== 'redis_persistence')).toEqual([])
  })
})

test('a connection lost while the queue on Postgres is being opened is a failed try, not the end of the process', async () => {
  const database = await createTestDatabase()
  const open = () => openQueues({ redisUrl: undefined, databaseUrl: database.url }, log)
  await (await open()).close(2_000)
  const sql = postgres(database.url, { max: 2 })
  const opening = await sql.begin(async (holder) => {
    await holder`lock table bullmq.migration in access exclusive mode`
    const opened = open()
    await until(
      () =>
        sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
        and application_name = 'buildkite-mirror queue' and wait_event_type = 'Lock'`.then((rows) => rows.length > 0),
      'the connection is lost while it waits',
    )
    return { opened }
  })
  const queues = await opening.opened
  await until(() => queues.addDeliveries({ ids: [1] }, 800).then(() => true), 'it opens in the end')
  await queues.close(2_000)
  await sql.end({ timeout: 1 })
  await database.drop()
})

describe.runIf(testQueueBackends().includes('redis'))('an unavailable Redis', () => {
  const job: ReconcileJob = { task: 'discover' }
  const faults = (queues: Queues) =>
    Promise.all(
      [
        queues.check(),
        queues.depth(),
        queues.asked(),
        queues.ask(job),
        queues.schedule(job, 60_000),
        queues.addDeliveries({ ids: [1] }, 2_000),
      ].map((asked) =>
        asked.then(
          () => 'answered',
          (error: unknown) => error instanceof StoreError && [error.kind, error.store, error.message].join(' '),
        ),
      ),
    )
  const same = Array(6).fill('transient redis Redis cannot be reached (ECONNREFUSED).')

  test('from the start gives one message for every call, at once', async () => {
    const queues = await openQueues({ redisUrl: 'redis://127.0.0.1:1', databaseUrl: '' }, log)
    const begun = performance.now()
    expect(await faults(queues)).toEqual(same)
    expect(performance.now() - begun).toBeLessThan(1_000)
    await queues.close(1_000)
  })

  test('that fails later gives the same message', async () => {
    const proxy = await startTcpProxy(testRedisUrl(), 6379)
    const queues = await openQueues({ redisUrl: proxy.url, databaseUrl: '', prefix: `{away-${process.pid}}` }, log)
    await queues.depth()
    await proxy.close()
    await until(async () => (await faults(queues)).join() === same.join(), 'all say the same')
    await queues.close(1_000)
  })
})

describe.runIf(testQueueBackends().includes('redis'))('a Redis that forgot everything', () => {
  test('is filled again by the same calls', async () => {
    const prefix = `{test-flush-${process.pid}}`
    const queues = await openQueues({ redisUrl: testRedisUrl(), databaseUrl: 'postgres://unused', prefix }, log)
    const seen: unknown[] = []
    const deliveries = queues.workDeliveries(async (job) => void seen.push(job), 1)
    const reconcile = queues.workReconcile(async (job) => void seen.push(job), 1)
    await queues.schedule({ task: 'discover' }, 3_600_000)
    await until(() => seen.length === 1, 'the first run')
    const redis = new Redis(testRedisUrl())
    const keys = await redis.keys(`${prefix}:*`)
    await redis.del(...keys)
    redis.disconnect()
    await queues.schedule({ task: 'discover' }, 3_600_000)
    await queues.addDeliveries({ ids: [1] }, 2_000)
    await until(() => seen.length === 3, 'the schedule and the delivery run again')
    await Promise.all([deliveries.close(2_000), reconcile.close(2_000)])
    await queues.close(2_000)
  })
})

/** On Postgres the tests share one schema of jobs: each begins with none. */
async function forgetJobs(url: string): Promise<void> {
  const { default: postgres } = await import('postgres')
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = 'bullmq' and tablename <> 'migration'`
    if (tables.length > 0) await sql.unsafe(`truncate ${tables.map((table) => table.name).join(', ')}`)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
