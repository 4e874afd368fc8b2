import { Redis } from 'ioredis'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  type DeliveriesJob,
  type KeptDelivery,
  openQueues,
  type Queues,
  type ReconcileJob,
} from '../../src/queue/queues.ts'
import { createLog, type Log } from '../../src/runtime/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
const delivery = (key: string): DeliveriesJob => ({
  kept: [
    {
      key,
      event: 'ping',
      request_id: null,
      received_at: '2026-01-01T00:00:00.000Z',
      observed_at: '2026-01-01T00:00:00.000Z',
      payload: '{}',
    },
  ],
})

describe.runIf(testQueueBackends().includes('redis'))('deployments on one Redis', () => {
  let redis: RedisServer
  const closers: (() => Promise<unknown>)[] = []
  beforeAll(async () => {
    redis = await startRedisServer()
  })
  beforeEach(() => redis.flush())
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  afterAll(() => redis.stop())

  /** A database of a deployment of its own, which ran an earlier version before, or not. */
  async function deployment({ upgraded = false } = {}): Promise<TestDatabase> {
    const database = await createTestDatabase()
    closers.push(() => database.drop())
    await run(database, `update sync.deployment set id = gen_random_uuid(), used_shared_queue = ${upgraded}`)
    return database
  }

  async function run(database: TestDatabase, statement: string): Promise<postgres.RowList<postgres.Row[]>> {
    const sql = postgres(database.url, { max: 1, onnotice: () => {} })
    try {
      return await sql.unsafe(statement)
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  async function proxyTo(database: TestDatabase): Promise<TcpProxy> {
    const proxy = await startTcpProxy(database.url, 5432)
    closers.push(() => proxy.close())
    return proxy
  }

  async function open(databaseUrl: string, webhookSecret?: string, openLog = log): Promise<Queues> {
    return closing(await openQueues({ redisUrl: redis.url, databaseUrl, webhookSecret }, openLog))
  }
  /** As a process of the version before. */
  async function openOlder(): Promise<Queues> {
    return closing(await openQueues({ redisUrl: redis.url, databaseUrl: '', prefix: '{bk}' }, log))
  }
  function closing(queues: Queues): Queues {
    closers.push(() => queues.close(2_000))
    return queues
  }

  /** What a worker of these queues is given from now on. */
  function seenBy(queues: Queues): unknown[] {
    const seen: unknown[] = []
    const take = async (job: DeliveriesJob | ReconcileJob) =>
      void seen.push('kept' in job ? (job.kept[0] as KeptDelivery).key : job)
    const workers = [queues.workDeliveries(take, 2), queues.workReconcile(take, 1), queues.workBackfill(take, 1)]
    for (const worker of workers) closers.push(() => worker.close(2_000))
    return seen
  }

  test('each takes its own jobs only', async () => {
    const [first, second] = [await deployment(), await deployment()]
    const [ofFirst, ofSecond] = [await open(first.url), await open(second.url)]
    const seen = seenBy(ofSecond)
    for (const key of ['a', 'b', 'c', 'd']) await ofFirst.addDeliveries(delivery(key), 2_000)
    await ofFirst.schedule({ task: 'discover' }, 3_600_000)
    await ofSecond.addDeliveries(delivery('own'), 2_000)
    await until(() => seen.length > 0, 'the second has its job')
    expect((await ofFirst.depth()).deliveries.waiting).toBe(4)
    expect(seenBy(ofFirst)).toBeDefined()
    await until(async () => (await ofFirst.depth()).deliveries.waiting === 0, 'the first takes its own')
    expect(seen).toEqual(['own'])
  })

  test('processes that reach one database at two addresses share their jobs', async () => {
    const database = await deployment()
    const seen = seenBy(await open(database.url))
    await (await open((await proxyTo(database)).url)).addDeliveries(delivery('a'), 2_000)
    await until(() => seen.includes('a'), 'the job arrives')
  })

  test('all keys of a deployment are in one slot of a cluster', async () => {
    const database = await deployment()
    const queues = await open(database.url)
    seenBy(queues)
    await queues.addDeliveries(delivery('a'), 2_000)
    await queues.schedule({ task: 'discover' }, 3_600_000)
    const [row] = await run(database, 'select id from sync.deployment')
    const client = new Redis(redis.url)
    const keys = await client.keys('*')
    client.disconnect()
    expect(keys.length).toBeGreaterThan(5)
    // Where other processes may have left jobs, only the queues themselves are registered.
    const others = keys.filter((key) => !key.startsWith(`{bk:${row?.id}}:`))
    expect(others.filter((key) => !/^\{bk@\w+\}:\w+:meta$/.test(key))).toEqual([])
  })

  test('an upgrade processes what the version before left, and what it still adds', async () => {
    const older = await openOlder()
    const failing = older.workDeliveries(async () => {
      throw new Error('It is broken.')
    }, 1)
    await older.addDeliveries(delivery('to be retried'), 2_000)
    await until(async () => (await older.depth()).deliveries.delayed === 1, 'it waits for its retry')
    await failing.close(2_000)
    await older.addDeliveries(delivery('waiting'), 2_000)
    await older.addDeliveries({ ids: [7] }, 2_000)
    await older.ask({ task: 'verify', organization: 'o' })
    const database = await deployment({ upgraded: true })
    const queues = await open(database.url)
    expect(await queues.holdsDiverted()).toBe(true)
    expect((await queues.depth()).deliveries).toMatchObject({ waiting: 2, delayed: 1 })
    const seen = seenBy(queues)
    await until(() => seen.length === 4, 'all are processed')
    expect(seen).toEqual(
      expect.arrayContaining(['waiting', 'to be retried', { ids: [7] }, { task: 'verify', organization: 'o' }]),
    )
    await older.addDeliveries(delivery('later'), 2_000)
    await older.ask({ task: 'audit', organization: 'o' })
    await until(() => seen.length === 6, 'those added later, too')
    await until(async () => !(await queues.holdsDiverted()), 'nothing is left')
  })

  test('a new deployment leaves the queue of earlier versions alone', async () => {
    const older = await openOlder()
    await older.addDeliveries(delivery('of another'), 2_000)
    await older.ask({ task: 'verify' })
    const queues = await open((await deployment()).url)
    const seen = seenBy(queues)
    await queues.addDeliveries(delivery('own'), 2_000)
    await until(() => seen.length > 0, 'its own job')
    expect(seen).toEqual(['own'])
    expect((await older.depth()).deliveries.waiting).toBe(1)
    expect((await older.asked()).length).toBe(1)
  })

  test('on the schema of the version before, jobs go where its workers are', async () => {
    const database = await deployment()
    await run(database, 'alter table sync.deployment rename to later')
    const [queues, older] = [await open(database.url), await openOlder()]
    const seen = seenBy(older)
    await queues.addDeliveries(delivery('a'), 2_000)
    await until(() => seen.includes('a'), 'the older worker takes it')
    const waiting = seenBy(queues)
    await run(database, 'alter table sync.later rename to deployment')
    await until(async () => {
      await queues.addDeliveries(delivery('b'), 2_000)
      return waiting.includes('b')
    }, 'its own workers start after the migration')
  })

  test('what is accepted before Postgres was ever reached arrives in the right deployment, even if its receiver is gone', async () => {
    const [database, other] = [await deployment(), await deployment()]
    const proxy = await proxyTo(database)
    await proxy.cut()
    const receiver = await open(proxy.url)
    await receiver.addDeliveries(delivery('left behind'), 2_000)
    await receiver.close(2_000)
    const second = await open(proxy.url)
    const seen = seenBy(second)
    const seenByOther = seenBy(await open(other.url))
    await second.addDeliveries(delivery('kept'), 2_000)
    expect(await second.holdsDiverted()).toBe(true)
    await proxy.restore()
    await until(() => seen.length === 2, 'both arrive')
    expect(seen.sort()).toEqual(['kept', 'left behind'])
    expect(seenByOther).toEqual([])
    await until(async () => !(await second.holdsDiverted()), 'nothing is left')
  })

  test('what is accepted during an outage arrives, even if Postgres has another address afterwards', async () => {
    const database = await deployment()
    const proxy = await proxyTo(database)
    await (await open(proxy.url)).close(2_000)
    await proxy.cut()
    const receiver = await open(proxy.url)
    await receiver.addDeliveries(delivery('left behind'), 2_000)
    await receiver.close(2_000)
    const queues = await open(database.url)
    expect(await queues.holdsDiverted()).toBe(true)
    await until(async () => (await queues.depth()).deliveries.waiting === 1, 'it is counted')
    const seen = seenBy(queues)
    await until(() => seen.includes('left behind'), 'it arrives')
    await until(async () => !(await queues.holdsDiverted()), 'nothing is left')
  })

  test('what is accepted under one webhook secret arrives after the secret has changed', async () => {
    const proxy = await proxyTo(await deployment())
    await (await open(proxy.url, 'old secret')).close(2_000)
    await proxy.cut()
    const receiver = await open(proxy.url, 'old secret')
    await receiver.addDeliveries(delivery('left behind'), 2_000)
    await receiver.close(2_000)
    await proxy.restore()
    const seen = seenBy(await open(proxy.url, 'new secret'))
    await until(() => seen.includes('left behind'), 'it arrives')
  })

  test('two deployments with one address, each in its own network, do not take what the other accepted during an outage', async () => {
    const database = await deployment()
    const proxy = await proxyTo(database)
    await proxy.cut()
    const receiver = await open(proxy.url, 'secret of the first')
    await receiver.addDeliveries(delivery('of the first'), 2_000)
    await receiver.close(2_000)
    const second = await open(proxy.url, 'secret of the second')
    await second.addDeliveries(delivery('of the second'), 2_000)
    expect((await second.depth()).deliveries.waiting).toBe(1)
    await proxy.restore()
    const seen = seenBy(second)
    await until(() => seen.includes('of the second'), 'the second has its job')
    await second.close(2_000)
    await run(database, `update sync.deployment set id = gen_random_uuid(), addresses = '{}'`) // the database of the first
    const seenByFirst = seenBy(await open(proxy.url, 'secret of the first'))
    await until(() => seenByFirst.length > 0, 'the first has its job')
    expect([seen, seenByFirst]).toEqual([['of the second'], ['of the first']])
  })

  test('the secrets are neither in Redis nor in Postgres nor in the log', async () => {
    const database = await deployment()
    const lines: string[] = []
    const url = new URL(database.url)
    url.password = 'wrong-password'
    url.searchParams.set('host', '/nowhere')
    const queues = await open(url.href, 'webhook-secret', collecting(lines))
    await queues.addDeliveries(delivery('a'), 2_000)
    await (await open(database.url, 'webhook-secret', collecting(lines))).addDeliveries(delivery('b'), 2_000)
    const client = new Redis(redis.url)
    const keys = await client.keys('*')
    client.disconnect()
    const rows = await run(database, 'select * from sync.deployment')
    expect(lines.length).toBeGreaterThan(0)
    expect(JSON.stringify([keys, rows, lines])).not.toMatch(/webhook-secret|wrong-password/)
  })

  test('workers also start where each connection to Postgres takes longer than the first read may', async () => {
    const proxy = await startTcpProxy((await deployment()).url, 5432, 2_000)
    closers.push(() => proxy.close())
    const lines: string[] = []
    const queues = await open(proxy.url, undefined, collecting(lines))
    const seen = seenBy(queues)
    await queues.addDeliveries(delivery('a'), 2_000)
    await until(() => seen.includes('a'), 'the job arrives')
    expect(lines.join()).toContain('The id of this deployment cannot be read from Postgres')
  })

  test('a missing row of the deployment is reported with the remedy, and jobs arrive once it is back', async () => {
    const database = await deployment()
    await run(database, 'delete from sync.deployment')
    const lines: string[] = []
    const queues = await open(database.url, undefined, collecting(lines))
    const seen = seenBy(queues)
    await queues.addDeliveries(delivery('a'), 2_000)
    await until(() => lines.length > 0, 'it is reported')
    expect(lines.join()).toContain('sync.deployment has no row')
    expect(lines.join()).toContain('insert into sync.deployment')
    await run(database, 'insert into sync.deployment (used_shared_queue) values (false)')
    await until(() => seen.includes('a'), 'the job arrives')
    expect(lines.length).toBe(1)
  })

  test('a missing privilege is reported with the remedy', async () => {
    const database = await deployment()
    const role = `queue_test_${process.pid}`
    await run(database, `create role ${role} login password 'p'`)
    closers.push(() => run(database, `drop owned by ${role}; drop role ${role}`))
    const url = new URL(database.url)
    url.username = role
    url.password = 'p'
    const lines: string[] = []
    const seen = seenBy(await open(url.href, undefined, collecting(lines)))
    await until(() => lines.join().includes('grant select, update on sync.deployment'), 'it is reported')
    await (await open(url.href)).addDeliveries(delivery('a'), 2_000)
    await run(database, `grant usage on schema sync to ${role}; grant select on sync.deployment to ${role}`)
    await until(() => seen.includes('a'), 'the workers start as soon as they may read the id')
    await until(() => lines.join().includes('cannot be recorded'), 'what is still missing is reported')
    await run(database, `grant update on sync.deployment to ${role}`)
    const addresses = 'select cardinality(addresses) as count from sync.deployment'
    await until(async () => (await run(database, addresses))[0]?.count === 1, 'the address is recorded')
  })
})

/** A log whose lines are added to `lines`. */
function collecting(lines: string[]): Log {
  return createLog('warn', { write: (line) => void lines.push(line) })
}
