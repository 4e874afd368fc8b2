import net from 'node:net'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { asStoreError, type Database, type Db, openDatabase, withStoreError } from '../../src/database/connection.ts'
import { budgets } from '../../src/database/schema.ts'
import { StoreError } from '../../src/runtime/errors.ts'
import { DeadlineError } from '../../src/runtime/time.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = openDatabase(testDatabase.url, { name: 'test', connections: 2 })
})
afterAll(async () => {
  await database.close()
  await testDatabase.drop()
})

const failure = (work: PromiseLike<unknown>) =>
  work.then(
    () => Promise.reject(new Error('It should have failed.')),
    (thrown: unknown) => asStoreError(thrown, 'try'),
  )

const write = sql`update ${budgets} set state = state where scope = 'none'`

describe('a database', () => {
  test('answers a ping, and shows its name in pg_stat_activity', async () => {
    await database.ping()
    const { rows } = await database.db.execute(sql`select current_setting('application_name') as name`)
    expect(rows).toEqual([{ name: 'buildkite-mirror test' }])
  })

  test('that nobody runs fails its ping at once, as transient, and closes', async () => {
    const gone = openDatabase(`postgres://x@127.0.0.1:${await closedPort()}/x`, { name: 'test' })
    await expect(gone.ping()).rejects.toMatchObject({ name: 'StoreError', kind: 'transient', code: 'ECONNREFUSED' })
    await gone.close(100)
  })

  test('that never answers fails its ping within seconds, and closes', async () => {
    const silent = net.createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const address = silent.address()
    const port = address && typeof address === 'object' ? address.port : 0
    const hung = openDatabase(`postgres://x@127.0.0.1:${port}/x`, { name: 'test' })
    await expect(hung.ping()).rejects.toMatchObject({ name: 'StoreError', kind: 'transient' })
    await hung.close(100)
    silent.close()
  })

  test('works again after the server dropped every connection', async () => {
    await database.ping()
    await asAdmin(
      (admin) => admin`
        select pg_terminate_backend(pid) from pg_stat_activity
        where datname = ${new URL(testDatabase.url).pathname.slice(1)} and pid <> pg_backend_pid()`,
    )
    const faults: StoreError[] = []
    for (let tries = 0; tries < 10; tries++) {
      const fault = await database.ping().then(
        () => undefined,
        (thrown: unknown) => asStoreError(thrown, 'ping'),
      )
      if (!fault) break
      faults.push(fault)
    }
    expect(faults.every((fault) => fault.kind === 'transient')).toBe(true)
    await database.ping()
  })

  test('gives up a query that takes too long, but for one that may take long', async () => {
    const hasty = openDatabase(`${testDatabase.url}?query_timeout=300`, { name: 'hasty', connections: 1 })
    const asleep = sql`select pg_sleep(0.6), current_setting('statement_timeout') as longest`
    expect(await failure(hasty.db.execute(asleep))).toMatchObject({ kind: 'transient' })
    const { rows } = await hasty.db.transactionWithTimeout(120_000, (tx) => tx.execute(asleep))
    expect(rows).toMatchObject([{ longest: '2min' }])
    expect(await failure(hasty.db.execute(asleep))).toMatchObject({ kind: 'transient' })
    expect((await hasty.db.execute(sql`show statement_timeout`)).rows).toEqual([{ statement_timeout: '1min' }])
    await hasty.close()
  })

  test('survives the loss of a connection in the middle of a transaction, and gives the next one a sound connection', async () => {
    const narrow = openDatabase(testDatabase.url, { name: 'narrow', connections: 1 })
    const broken = narrow.db.transaction(async (tx) => {
      const { rows } = await tx.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`)
      await asAdmin((admin) => admin`select pg_terminate_backend(${rows[0]?.pid ?? 0})`)
      await tx.execute(sql`select 1`)
    })
    expect((await failure(broken)).kind).toBe('transient')
    const failed = narrow.db.transaction(async () => Promise.reject(new Error('the work failed')))
    await expect(failed).rejects.toThrow('the work failed')
    expect((await narrow.db.execute(sql`select 1 as one`)).rows).toEqual([{ one: 1 }])
    await narrow.close()
  })

  test.each([
    ['a transaction', (db: Db) => db.transaction((tx) => tx.execute(write))],
    [
      'a transaction that passes its error on',
      (db: Db) => db.transaction((tx) => withStoreError('write', () => tx.execute(write))),
    ],
    ['a single statement', (db: Db) => db.execute(write)],
  ])('closes a connection whose server has become read-only, after %s', async (_what, work) => {
    const narrow = openDatabase(testDatabase.url, { name: 'narrow', connections: 1 })
    await narrow.db.execute(sql`set default_transaction_read_only = on`)
    expect(await failure(work(narrow.db))).toMatchObject({ kind: 'transient', code: '25006' })
    await work(narrow.db)
    await narrow.close()
  })

  test('frees the rows of a transaction whose process is frozen', async () => {
    const frozen = openDatabase(testDatabase.url, { name: 'frozen', idleLimitMs: 300 })
    await database.db.insert(budgets).values({ scope: 'frozen', state: {}, updated_at: new Date() })
    const lock = sql`select 1 from ${budgets} where scope = 'frozen' for update`
    let thaw = () => {}
    const frost = new Promise<void>((resolve) => {
      thaw = resolve
    })
    let locked = () => {}
    const hasLocked = new Promise<void>((resolve) => {
      locked = resolve
    })
    const lost = failure(
      frozen.db.transaction(async (tx) => {
        await tx.execute(lock)
        locked()
        await frost
        await tx.execute(sql`update ${budgets} set state = '{"by": "frozen"}'`)
      }),
    )
    await hasLocked
    await database.db.transactionWithTimeout(5_000, (tx) => tx.execute(lock))
    thaw()
    expect(await lost).toMatchObject({ kind: 'transient' })
    const rows = await database.db.delete(budgets).where(sql`${budgets.scope} = 'frozen'`).returning()
    expect(rows).toMatchObject([{ state: {} }])
    expect((await frozen.db.execute(sql`select 1 as one`)).rows).toEqual([{ one: 1 }])
    await frozen.close()
  })

  test('limits only idle transactions, in the round trip of begin', async () => {
    const limits = sql`select current_setting('idle_in_transaction_session_timeout') as idle, current_setting('statement_timeout') as statement`
    const narrow = openDatabase(testDatabase.url, { name: 'narrow', connections: 1 })
    const within = (work: Database['db']['transaction']) => work(async (tx) => (await tx.execute(limits)).rows)
    expect(await within((work) => narrow.db.transactionWithTimeout(120_000, work))).toEqual([
      { idle: '30s', statement: '2min' },
    ])
    expect(await within((work) => narrow.db.transaction(work, { accessMode: 'read only' }))).toEqual([
      { idle: '30s', statement: '1min' },
    ])
    expect((await narrow.db.execute(limits)).rows).toEqual([{ idle: '0', statement: '1min' }])
    await narrow.close()
  })

  test('closes within its deadline while a transaction is still open', async () => {
    const busy = openDatabase(testDatabase.url, { name: 'busy' })
    let entered = () => {}
    const inside = new Promise<void>((resolve) => {
      entered = resolve
    })
    const cut = failure(
      busy.db.transaction(async (tx) => {
        entered()
        await tx.execute(sql`select pg_sleep(1.5)`)
      }),
    )
    await inside
    await busy.close(100)
    expect((await cut).kind).toBe('transient')
  })

  test('times are dates with milliseconds, both ways', async () => {
    const updated_at = new Date('2026-03-29T01:02:03.456Z')
    await database.db.insert(budgets).values({ scope: 'times', state: { a: [1] }, updated_at })
    expect(await database.db.select().from(budgets)).toEqual([{ scope: 'times', state: { a: [1] }, updated_at }])
  })
})

describe('a store error', () => {
  test('holds neither SQL nor the values that a query was given', async () => {
    const canary = 'canary-7f3a'
    const row = { scope: canary, state: canary, updated_at: new Date() }
    const queries = [
      () => database.db.execute(sql`select ${canary}::uuid`),
      () => database.db.execute(sql`select * from no_such_table where x = ${canary}`),
      () => database.db.execute(sql.raw(`select '${canary}' from from`)),
      () => database.db.transaction((tx) => tx.insert(budgets).values([row, row])),
    ]
    for (const query of queries) {
      const error = await failure(query())
      expect(error.kind).toBe('permanent')
      expect(error.code).toMatch(/^[0-9A-Z]{5}$/)
      expect(`${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toContain(canary)
      expect(error.message).not.toMatch(/select|insert/)
    }
  })

  test('names the table and constraint that refused a row', async () => {
    const row = { scope: 'twice', state: {}, updated_at: new Date() }
    const error = await failure(database.db.insert(budgets).values([row, row]))
    expect(error.message).toBe(
      'Could not try: Postgres refused the data (SQLSTATE 23505, table sync.budgets, constraint budgets_pkey).',
    )
  })

  test('is transient when a query was cancelled, deadlocked or too late, and passes through unchanged', async () => {
    const cancelled = await failure(
      database.db.transaction(async (tx) => {
        await tx.execute(sql`set local statement_timeout = '10ms'`)
        await tx.execute(sql`select pg_sleep(5)`)
      }),
    )
    expect(cancelled).toMatchObject({ kind: 'transient', code: '57014' })
    expect(asStoreError(new DeadlineError('Postgres did not answer within 2s'), 'try').kind).toBe('transient')
    expect(asStoreError(cancelled, 'do something else')).toBe(cancelled)
  })

  test('is permanent for a fault of our own, which stays its cause', () => {
    const fault = new TypeError('x is not a function')
    const error = asStoreError(fault, 'try')
    expect(error).toBeInstanceOf(StoreError)
    expect(error).toMatchObject({ kind: 'permanent', cause: fault, message: 'Could not try: TypeError.' })
  })
})

function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(address && typeof address === 'object' ? address.port : 1))
    })
  })
}
