import { fileURLToPath } from 'node:url'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isConcurrent, withoutConcurrently } from '../../src/database/migrations/concurrent-indexes.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const migrations = readMigrationFiles({ migrationsFolder: fileURLToPath(new URL('../../drizzle', import.meta.url)) })
const later = (...sql: string[]): MigrationMeta => ({
  sql,
  hash: sql.join(),
  bps: true,
  folderMillis: 9_999_999_999_999,
})
const index = later(
  '-- For a question of the page.\ncreate index concurrently "jobs_test" on "buildkite"."jobs" ("agent_id");',
  'create index concurrently jobs_test_2 on buildkite.jobs (exit_status) where exit_status is not null',
)
const known = [...migrations, index]

describe('a migration that builds indexes concurrently', () => {
  let database: TestDatabase
  let sql: postgres.Sql
  beforeEach(async () => {
    database = await createTestDatabase()
    sql = postgres(database.url, { max: 4, onnotice: () => {} })
    await fill(1, 20_000)
  })
  afterEach(async () => {
    await sql.end({ timeout: 1 })
    await database.drop()
  })

  /** Jobs with these numbers. */
  async function fill(from: number, to: number): Promise<void> {
    await sql`
      insert into buildkite.jobs (id, build_id, observed_at, first_seen_at, first_seen_via, changed_at)
      select md5('j' || n)::uuid, md5('b')::uuid, now(), now(), 'webhook', now() from generate_series(${from}::int, ${to}::int) as n`
  }
  async function valid(): Promise<Record<string, boolean>> {
    const rows = await sql<{ name: string; valid: boolean }[]>`
      select relname as name, indisvalid as valid from pg_index join pg_class on oid = indexrelid where relname like 'jobs_test%'`
    return Object.fromEntries(rows.map((row) => [row.name, row.valid]))
  }
  async function recorded(): Promise<number> {
    return (await sql`select from drizzle.__drizzle_migrations where hash = ${index.hash}`).length
  }
  const both = { jobs_test: true, jobs_test_2: true }
  /** The session that builds an index and waits. */
  const building = () =>
    sql<{ pid: number }[]>`
      select pid from pg_stat_activity where datname = current_database() and query like '%create index concurrently%'
      and wait_event_type = 'Lock' and pid <> pg_backend_pid()`
  /** Has every build of an index wait until `done` is called. */
  async function longReader(): Promise<() => Promise<void>> {
    const reader = await sql.reserve()
    await reader`begin isolation level repeatable read`
    await reader`select count(*) from buildkite.jobs`
    return async () => {
      await reader`rollback`
      reader.release()
    }
  }

  test('lets jobs be written while it waits and builds', async () => {
    const done = await longReader()
    const migrating = migrate(database.url, undefined, known)
    await until(async () => (await building()).length > 0, 'it waits for the reader')
    const waits: number[] = []
    for (let n = 1; n <= 50; n += 1) {
      const began = performance.now()
      await fill(20_000 + n, 20_000 + n)
      await sql`update buildkite.jobs set exit_status = ${n} where id = md5('j' || ${n}::int)::uuid`
      waits.push(performance.now() - began)
    }
    expect(Math.max(...waits)).toBeLessThan(1_000)
    expect(await recorded()).toBe(0)
    await done()
    await migrating
    expect(await valid()).toEqual(both)
    expect(await recorded()).toBe(1)
  })

  test('whose statement was cut short leaves an invalid index, which the next run builds again', async () => {
    const done = await longReader()
    const migrating = migrate(database.url, undefined, known).catch((error: unknown) => error)
    const [session] = await until(async () => {
      const rows = await building()
      return rows.length > 0 && rows
    }, 'it waits for the reader')
    await sql`select pg_terminate_backend(${session?.pid ?? 0})`
    expect(await migrating).toMatchObject({ name: 'StoreError' })
    await done()
    expect(await valid()).toEqual({ jobs_test: false })
    await migrate(database.url, undefined, known)
    expect(await valid()).toEqual(both)
    expect(await recorded()).toBe(1)
  })

  test('whose process vanished is completed by the next run, which waits for the statement that Postgres still runs', async () => {
    const done = await longReader()
    const proxy = await startTcpProxy(database.url, 5432)
    const migrating = migrate(proxy.url, undefined, known).catch((error: unknown) => error)
    await until(async () => (await building()).length > 0, 'it waits for the reader')
    await proxy.close()
    expect(await migrating).toMatchObject({ kind: 'transient' })
    const again = migrate(database.url, undefined, known)
    await until(
      async () => (await sql`select from pg_locks where locktype = 'advisory' and granted`).length > 0,
      'the next run has begun',
    )
    await done()
    await again
    expect(await valid()).toEqual(both)
    expect(await recorded()).toBe(1)
  })

  test('is applied once by eight processes that start at once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => migrate(database.url, undefined, known)))
    expect(await valid()).toEqual(both)
    expect(await recorded()).toBe(1)
  })
})

test('a migration is either concurrent as a whole or a transaction', () => {
  expect(isConcurrent(index)).toBe(true)
  expect(isConcurrent(later('drop index concurrently if exists buildkite.jobs_test'))).toBe(true)
  expect(isConcurrent(later('create index a on buildkite.jobs (id)', "select 'create index concurrently'"))).toBe(false)
  const mixed = later('create index concurrently a on buildkite.jobs (id)', 'alter table buildkite.jobs add x int')
  expect(() => isConcurrent(mixed)).toThrow(/This is something else: alter table/)
  expect(() => isConcurrent(later('create index concurrently a on jobs (id)'))).toThrow(/<schema>.<table>/)
  expect(withoutConcurrently(index).sql.join()).not.toMatch(/concurrently/)
  for (const migration of migrations) expect(() => isConcurrent(migration)).not.toThrow()
})
