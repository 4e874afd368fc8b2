import { readFileSync } from 'node:fs'
import { eq, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { recordFailure } from '../../src/database/failures.ts'
import { reference_item_syncs } from '../../src/database/reference-tables.ts'
import { deleteOldRows } from '../../src/database/retention.ts'
import { audit_log, budgets, cycles, deliveries, drift, failures, sessions } from '../../src/database/schema.ts'
import { DAY } from '../../src/runtime/time.ts'
import { deleteSettled, dropPayloads } from '../../src/webhooks/sweeper.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { deliveriesOf, setStage } from './stage.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
})
beforeEach(() => {
  database = openDatabase(testDatabase.url, { name: 'test', connections: 1 })
})
afterEach(async () => {
  await database.db.execute(sql`truncate sync.deliveries`)
  await database.close()
})
afterAll(() => testDatabase.drop())

type Changes = Partial<typeof deliveries.$inferInsert>

function delivery(key: string, daysOld: number, changes: Changes = {}): typeof deliveries.$inferInsert {
  const at = new Date(Date.now() - daysOld * DAY)
  return { key, event: 'ping', status: 'applied', received_at: at, observed_at: at, payload: '{}', ...changes }
}

/** How many deliveries were looked at in any way, how often all of them, and how often by the index of kept payloads. */
async function reads() {
  await database.db.execute(sql`select pg_stat_force_next_flush()`)
  const { rows } = await database.db.execute<{ rows: number; whole: number; kept: number }>(sql`
    select (seq_tup_read + idx_tup_fetch)::int as rows, seq_scan::int as whole,
      (select idx_scan::int from pg_stat_user_indexes where indexrelname = 'deliveries_payload_kept') as kept
    from pg_stat_user_tables where schemaname = 'sync' and relname = 'deliveries'`)
  return rows[0] ?? { rows: 0, whole: 0, kept: 0 }
}

describe('dropping payloads', () => {
  test.each(['never', 'just'])(
    'looks only at those that are kept, in a table that was %s analyzed',
    async (analyzed) => {
      const { db } = database
      for (let start = 0; start < 20_000; start += 2_000) {
        const emptied = (n: number) => delivery(`emptied ${start + n}`, 300 - n / 20, { payload: null })
        await db.insert(deliveries).values(Array.from({ length: 2_000 }, (_, n) => emptied(n)))
      }
      await db.insert(deliveries).values(Array.from({ length: 1_200 }, (_, n) => delivery(`kept ${n}`, 10)))
      if (analyzed === 'just') await db.execute(sql`analyze sync.deliveries`)
      const before = await reads()
      await dropPayloads({ db, payloadRetentionDays: 7 })
      const after = await reads()
      expect(await db.$count(deliveries, sql`payload is not null`)).toBe(0)
      // Each is found, locked and written.
      expect(after.rows - before.rows).toBeLessThan(4 * 1_200)
      expect(after.kept).toBeGreaterThan(before.kept)
      expect(after.whole).toBe(before.whole)
    },
  )

  test('leaves a delivery its payload that is being replayed', async () => {
    const { db } = database
    await db.insert(deliveries).values([delivery('replayed', 10), delivery('done with', 9)])
    const other = openDatabase(testDatabase.url, { name: 'replay', connections: 1 })
    let over = false
    let dropping = Promise.resolve()
    await other.db.transaction(async (tx) => {
      await tx.update(deliveries).set({ status: 'pending' }).where(eq(deliveries.key, 'replayed'))
      dropping = dropPayloads({ db, payloadRetentionDays: 7 }).finally(() => {
        over = true
      })
      const waits = sql`select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))`
      await until(async () => over || (await tx.execute(waits)).rowCount, 'payloads are dropped, or that waits for us')
    })
    await dropping
    expect((await deliveriesOf({ database })).map(({ payload }) => payload)).toEqual(['{}', null])
    await other.close()
  })
})

describe('the sweeper', () => {
  test('deletes old deliveries also while payloads cannot be dropped', async () => {
    const { db } = database
    await db.execute(sql`create function keep() returns trigger language plpgsql as $$ begin raise 'no'; end $$`)
    await db.execute(sql`create trigger keep before update of payload on sync.deliveries execute function keep()`)
    await db.insert(deliveries).values([delivery('kept', 10), delivery('old', 400, { payload: null })])
    const stage = await setStage({ backend: 'postgres', databaseUrl: testDatabase.url })
    stage.sweep()
    await until(async () => (await db.$count(deliveries)) === 1, 'the old one is deleted')
    expect(await deliveriesOf(stage)).toMatchObject([{ key: 'kept', payload: '{}' }])
    await stage.close()
  })

  test('forgets a replica that lost its lease days ago', async () => {
    const { db } = database
    const unit = { kind: 'replica', organizationId: null, subject: 'host 1' } as const
    await recordFailure(db, unit, new Error('It stopped renewing its lease.'), new Date(Date.now() - 2 * DAY))
    const stage = await setStage({ backend: 'postgres', databaseUrl: testDatabase.url })
    stage.sweep()
    await until(async () => (await db.$count(failures)) === 0, 'it is forgotten')
    await stage.close()
  })

  test('deletes no delivery that another worker holds, and the others without waiting for it', async () => {
    const { db } = database
    const emptied = { payload: null }
    await db.insert(deliveries).values([delivery('held', 400, emptied), delivery('old', 399, emptied)])
    const other = openDatabase(testDatabase.url, { name: 'other', connections: 1 })
    await other.db.transaction(async (tx) => {
      await tx.select().from(deliveries).where(eq(deliveries.key, 'held')).for('update')
      await db.execute(sql`set lock_timeout = '2s'`)
      expect(await deleteSettled({ db, deliveryRetentionDays: 365 })).toBe(1)
    })
    expect(await deliveriesOf({ database })).toMatchObject([{ key: 'held' }])
    await other.close()
  })
})

describe('tables of sync', () => {
  test('each have a rule in docs/operations/data-retention.md', async () => {
    const page = readFileSync(new URL('../../docs/operations/data-retention.md', import.meta.url), 'utf8')
    const listed = [...page.matchAll(/^\| (`sync\..*?) \|/gm)].flatMap(([, names = '']) =>
      names.replaceAll('`', '').split(', '),
    )
    const { rows } = await database.db.execute<{ name: string }>(
      sql`select 'sync.' || relname as name from pg_class where relnamespace = 'sync'::regnamespace and relkind in ('r', 'p', 'm')`,
    )
    expect(listed.sort()).toEqual(rows.map(({ name }) => name).sort())
  })

  const id = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`
  const daysAgo = (days: number) => new Date(Date.now() - days * DAY)

  test('that only grow lose their old rows, whatever their number, and none that another process holds', async () => {
    const { db } = database
    const read = (n: number, days: number) => ({ name: 'artifacts', subject_id: id(n), read_at: daysAgo(days) })
    await db.insert(reference_item_syncs).values(Array.from({ length: 4_500 }, (_, n) => read(n, 31)))
    await db.insert(reference_item_syncs).values(read(9_999, 29))
    const cycle = { organization_id: id(1), kind: 'hot' as const, finished_at: null }
    await db.insert(cycles).values([31, 29].map((days) => ({ ...cycle, started_at: daysAgo(days) })))
    const found = {
      organization_id: id(1),
      build_id: id(2),
      kind: 'missing' as const,
      columns: [],
      mirror: {},
      buildkite: {},
      found_by: 'audit' as const,
    }
    const healed = [daysAgo(366), daysAgo(364), null]
    await db.insert(drift).values(healed.map((healed_at) => ({ ...found, found_at: daysAgo(400), healed_at })))
    const budget = (scope: string, days: number) => ({ scope, state: {}, updated_at: daysAgo(days) })
    await db.insert(budgets).values([budget('held', 8), budget('old', 8), budget('used', 6)])
    await db.insert(sessions).values([2, 0, -1].map((days) => ({ key: `${days} days ago`, ends_at: daysAgo(days) })))
    const entry = { who: 'admin', via: 'form', address: '::1', request: 'POST /sign-in', result: 'done', times: 1 }
    await db.insert(audit_log).values([366, 364].map((days) => ({ ...entry, at: daysAgo(days) })))
    const other = openDatabase(testDatabase.url, { name: 'other', connections: 1 })
    await other.db.transaction(async (tx) => {
      await tx.select().from(budgets).where(eq(budgets.scope, 'held')).for('update')
      await db.execute(sql`set lock_timeout = '2s'`)
      await deleteOldRows(db, new Date())
    })
    await other.close()
    expect(await db.$count(reference_item_syncs)).toBe(1)
    expect(await db.$count(cycles)).toBe(1)
    expect((await db.select().from(drift)).map((row) => row.healed_at)).toEqual([healed[1], null])
    expect((await db.select().from(sessions)).map(({ key }) => key)).toEqual(['0 days ago', '-1 days ago'])
    expect(await db.$count(audit_log)).toBe(1)
    expect((await db.select().from(budgets)).map(({ scope }) => scope).sort()).toEqual(['held', 'used'])
  })

  test('are cleaned by the sweeper', async () => {
    await database.db
      .insert(reference_item_syncs)
      .values({ name: 'annotations', subject_id: id(1), read_at: daysAgo(31) })
    const stage = await setStage({ backend: 'postgres', databaseUrl: testDatabase.url })
    stage.sweep()
    const left = () => database.db.$count(reference_item_syncs, eq(reference_item_syncs.name, 'annotations'))
    await until(async () => (await left()) === 0, 'the old one is deleted')
    await stage.close()
  })
})
