import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { withLease } from '../../src/database/leases.ts'
import { budgets, failures, leases } from '../../src/database/schema.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

let testDatabase: TestDatabase
let one: Database
let other: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
})
afterAll(async () => {
  await testDatabase.drop()
})
beforeEach(() => {
  one = openDatabase(testDatabase.url, { name: 'one', connections: 3 })
  other = openDatabase(testDatabase.url, { name: 'other', connections: 3 })
})
afterEach(async () => {
  await Promise.all([one.close(), other.close()])
})

/** A promise and the means to resolve it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

const row = (scope: string) => ({ scope, state: {}, updated_at: new Date() })
const stored = async (scope: string) => (await one.db.select().from(budgets).where(eq(budgets.scope, scope))).length
const expiry = async (name: string) => {
  const [lease] = await other.db.select().from(leases).where(eq(leases.name, name))
  return lease?.expires_at.getTime() ?? 0
}
/** What a frozen holder amounts to: its lease is not renewed and runs out. */
const expire = (name: string) => one.db.update(leases).set({ expires_at: sql`'epoch'` }).where(eq(leases.name, name))

describe('a lease', () => {
  test('is refused to others while it is held, and free again afterwards', async () => {
    const entered = gate()
    const leave = gate()
    const first = withLease(one.db, 'cycle', async () => {
      entered.open()
      await leave.opened
      return 'done'
    })
    await entered.opened
    expect(await withLease(other.db, 'cycle', async () => 'never')).toEqual({ held: false })
    expect(await withLease(other.db, 'another', async () => 'free')).toEqual({ held: true, value: 'free' })
    leave.open()
    expect(await first).toEqual({ held: true, value: 'done' })
    expect(await withLease(other.db, 'cycle', async () => 'mine')).toEqual({ held: true, value: 'mine' })
  })

  test('that was released has expired, also on a clock that rounds to milliseconds', async () => {
    const acquired = async () => (await other.db.select().from(leases).where(eq(leases.name, 'short')))[0]?.acquired_at
    const held = await withLease(one.db, 'short', acquired)
    expect(held).toEqual({ held: true, value: expect.any(Date) })
    expect(await expiry('short')).toBeLessThan(Number(await acquired()))
  })

  test('goes to one of many concurrent processes', async () => {
    const leave = gate()
    let held = 0
    let ended = 0
    const ask = async (db: Database['db']) => {
      const end = await withLease(db, 'rush', async () => {
        held += 1
        await leave.opened
      })
      ended += 1
      return end
    }
    const asking = Array.from({ length: 8 }, (_, index) => ask(index % 2 ? one.db : other.db))
    await until(() => held > 0 && ended === 7, 'one of them has it')
    leave.open()
    const ends = await Promise.all(asking)
    expect([held, ends.filter((end) => end.held).length]).toEqual([1, 1])
  })

  test('holds no transaction open during the work', async () => {
    const entered = gate()
    const leave = gate()
    const held = withLease(one.db, 'long', async () => {
      entered.open()
      await leave.opened
    })
    await entered.opened
    const { rows } = await other.db.execute(sql`
      select 1 from pg_stat_activity where datname = current_database() and application_name = 'buildkite-mirror one'
        and (state <> 'idle' or backend_xmin is not null)`)
    expect(rows).toEqual([])
    leave.open()
    await held
  })

  test('keeps what its work wrote, and is released when the work fails', async () => {
    await withLease(one.db, 'write', ({ db }) => db.transaction((tx) => tx.insert(budgets).values(row('kept'))))
    const failing = withLease(one.db, 'write', async () => {
      throw new Error('the work failed')
    })
    await expect(failing).rejects.toThrow('the work failed')
    expect(await stored('kept')).toBe(1)
    expect(await withLease(other.db, 'write', async () => 'mine')).toEqual({ held: true, value: 'mine' })
    expect(await one.db.$count(failures)).toBe(0)
  })

  test('that is not renewed goes to another process, which is recorded, and its old holder can no longer commit', async () => {
    const entered = gate()
    const leave = gate()
    const frozen = withLease(
      one.db,
      'lost',
      async ({ db }) => {
        entered.open()
        await leave.opened
        const late = [
          db.transaction((tx) => tx.insert(budgets).values(row('late'))),
          db.insert(budgets).values(row('late')),
          db.execute(sql`with late as (delete from ${budgets} returning 1) select count(*) from late`),
        ]
        const ends = await Promise.allSettled(late)
        expect(ends.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
        expect(await db.select().from(budgets)).toBeDefined()
        await db.insert(budgets).values(row('late'))
      },
      { holder: 'frozen replica' },
    )
    await entered.opened
    await expire('lost')
    expect(await withLease(other.db, 'lost', async () => 'mine')).toEqual({ held: true, value: 'mine' })
    leave.open()
    expect(await frozen).toEqual({ held: false })
    expect(await stored('late')).toBe(0)
    const recorded = await one.db.select().from(failures)
    expect(recorded.map(({ kind, subject, code }) => [kind, subject, code])).toEqual([
      ['replica', 'frozen replica', 'lease_expired'],
    ])
  })

  test('cannot be taken over between the check and the commit of its holder', async () => {
    const entered = gate()
    const leave = gate()
    const held = withLease(one.db, 'commit', ({ db }) =>
      db.transaction(async (tx) => {
        entered.open()
        await leave.opened
        await tx.insert(budgets).values(row('first'))
      }),
    )
    await entered.opened
    await expire('commit')
    const taking = withLease(other.db, 'commit', () => stored('first'))
    const isWaiting = async () => {
      const { rows } = await one.db.execute(sql`select 1 from pg_stat_activity where wait_event_type = 'Lock'
        and datname = current_database() and application_name = 'buildkite-mirror other'`)
      return rows.length > 0
    }
    await until(isWaiting, 'the other one waits')
    leave.open()
    expect(await held).toMatchObject({ held: true })
    expect(await taking).toEqual({ held: true, value: 1 })
  })

  test('is renewed also while a transaction of its work is open', async () => {
    const held = await withLease(
      one.db,
      'open',
      ({ db }) =>
        db.transaction(async () => {
          const first = await expiry('open')
          await until(async () => (await expiry('open')) > first, 'it is renewed')
        }),
      { validMs: 300 },
    )
    expect(held).toMatchObject({ held: true })
  })

  test('that cannot be renewed ends the work with an error, for nobody else has it', async () => {
    const proxy = await startTcpProxy(testDatabase.url, 5432)
    const far = openDatabase(proxy.url, { name: 'far', connections: 2 })
    const held = withLease(
      far.db,
      'away',
      async ({ signal }) => {
        await proxy.cut()
        await until(() => signal.aborted, 'the work learns of it')
        signal.throwIfAborted()
      },
      { validMs: 300 },
    )
    await expect(held).rejects.toThrow('could not be renewed')
    await far.close()
  })

  test('is renewed during the work, and aborts the work when it is lost', async () => {
    const end = await withLease(
      one.db,
      'renewed',
      async ({ signal }) => {
        const first = await expiry('renewed')
        await until(async () => (await expiry('renewed')) > first, 'it is renewed')
        await other.db.update(leases).set({ fence: 99 }).where(eq(leases.name, 'renewed'))
        await until(() => signal.aborted, 'the work learns that it is lost')
      },
      { validMs: 150 },
    )
    expect(end.held).toBe(true)
  })
})
