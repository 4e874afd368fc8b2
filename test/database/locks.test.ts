import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { withLock } from '../../src/database/locks.ts'
import { budgets } from '../../src/database/schema.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'

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

describe('a lock', () => {
  test('is refused to others while it is held, and free again afterwards', async () => {
    const entered = gate()
    const leave = gate()
    const first = withLock(one.db, 'cycle', async () => {
      entered.open()
      await leave.opened
      return 'done'
    })
    await entered.opened
    expect(await withLock(other.db, 'cycle', async () => 'never')).toEqual({ held: false })
    expect(await withLock(other.db, 'another', async () => 'free')).toEqual({ held: true, value: 'free' })
    leave.open()
    expect(await first).toEqual({ held: true, value: 'done' })
    expect(await withLock(other.db, 'cycle', async () => 'mine')).toEqual({ held: true, value: 'mine' })
  })

  test('does not hold back vacuum while its work goes on elsewhere', async () => {
    const entered = gate()
    const leave = gate()
    const held = withLock(one.db, 'long', async () => {
      entered.open()
      await leave.opened
    })
    await entered.opened
    const { rows } = await other.db.execute(sql`
      select state, backend_xmin::text as xmin, backend_xid::text as xid from pg_stat_activity
      where datname = current_database() and application_name = 'buildkite-mirror one'`)
    expect(rows).toEqual([{ state: 'idle in transaction', xmin: null, xid: null }])
    leave.open()
    await held
  })

  test('keeps what its work wrote, and drops it when the work fails', async () => {
    await withLock(one.db, 'write', async (tx) => {
      await tx.insert(budgets).values(row('kept'))
    })
    const failing = withLock(one.db, 'write', async (tx) => {
      await tx.insert(budgets).values(row('dropped'))
      throw new Error('the work failed')
    })
    await expect(failing).rejects.toThrow('the work failed')
    expect([await stored('kept'), await stored('dropped')]).toEqual([1, 0])
  })

  test('is lost with its connection, and the work cannot commit any more', async () => {
    const entered = gate()
    const leave = gate()
    const broken = withLock(one.db, 'lost', async (tx) => {
      entered.open()
      await leave.opened
      await tx.insert(budgets).values(row('late'))
    })
    await entered.opened
    await asAdmin(
      (admin) => admin`
        select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'buildkite-mirror one' and state = 'idle in transaction'`,
    )
    expect(await withLock(other.db, 'lost', async () => 'mine')).toEqual({ held: true, value: 'mine' })
    leave.open()
    await expect(broken).rejects.toThrow()
    expect(await stored('late')).toBe(0)
  })

  test('outlives every timeout that the database sets', async () => {
    await asAdmin((admin) =>
      admin.unsafe(
        `alter database ${new URL(testDatabase.url).pathname.slice(1)} set idle_in_transaction_session_timeout = '50ms'`,
      ),
    )
    const fresh = openDatabase(testDatabase.url, { name: 'fresh' })
    try {
      const outcome = await withLock(fresh.db, 'long', async (tx) => {
        // Time passes in another connection while the lock's own sits idle.
        await one.db.execute(sql`select pg_sleep(0.2)`)
        await tx.execute(sql`select 1`)
        return 'still held'
      })
      expect(outcome).toEqual({ held: true, value: 'still held' })
    } finally {
      await fresh.close()
    }
  })
})
