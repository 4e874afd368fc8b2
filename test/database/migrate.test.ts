import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import postgres from 'postgres'
import { afterEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { migrate, missingMigrations, pendingMigrations } from '../../src/database/migrations/migrate.ts'
import { LAST_REPLACED } from '../../src/database/migrations/replaced-migrations.ts'
import { ConfigError, StoreError } from '../../src/runtime/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const open: TestDatabase[] = []
afterEach(async () => {
  for (const database of open.splice(0)) await database.drop()
})

async function emptyDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase({ empty: true })
  open.push(database)
  return database
}

async function pendingAt(url: string): Promise<number> {
  const database = openDatabase(url, { name: 'test' })
  try {
    return await pendingMigrations(database.db)
  } finally {
    await database.close()
  }
}

const migrations = readMigrationFiles({ migrationsFolder: fileURLToPath(new URL('../../drizzle', import.meta.url)) })
const later = (sql: string): MigrationMeta => ({ sql: [sql], hash: sql, bps: true, folderMillis: 9_999_999_999_999 })

/** A database with the schema of this version. */
async function currentDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase()
  open.push(database)
  return database
}

/** A database with these rows in place of the one of the baseline: as if older migrations had made its tables. */
async function databaseWith(...created: number[]): Promise<{ url: string; hashes: () => Promise<string[]> }> {
  const { url } = await currentDatabase()
  const query = async (text: string) => {
    const client = postgres(url, { max: 1, onnotice: () => {} })
    const rows = await client.unsafe<{ hash: string }[]>(text)
    await client.end()
    return rows.map(({ hash }) => hash)
  }
  await query('delete from drizzle.__drizzle_migrations')
  for (const at of created)
    await query(`insert into drizzle.__drizzle_migrations (hash, created_at) values ('at ${at}', ${at})`)
  return { url, hashes: () => query('select hash from drizzle.__drizzle_migrations order by id') }
}

describe('migrating', () => {
  test('an empty database gets every migration, and a second run changes nothing', async () => {
    const { url } = await emptyDatabase()
    expect(await pendingAt(url)).toBeGreaterThan(0)
    await migrate(url)
    expect(await pendingAt(url)).toBe(0)
    await migrate(url)
    expect(await pendingAt(url)).toBe(0)
  })

  test('eight processes that start at once all succeed', async () => {
    const { url } = await emptyDatabase()
    await Promise.all(Array.from({ length: 8 }, () => migrate(url)))
    expect(await pendingAt(url)).toBe(0)
  })

  test('behind a long transaction holds up no webhook, and ends when that transaction ends', async () => {
    const { url } = await currentDatabase()
    const locking = later('lock table sync.deliveries, buildkite.cluster_queues in access exclusive mode')
    const client = postgres(url, { max: 2, onnotice: () => {} })
    const reader = await client.reserve()
    await reader`begin`
    await reader`select count(*) from buildkite.cluster_queues`
    let migrated = false
    const migrating = migrate(url, undefined, [...migrations, locking]).then(() => {
      migrated = true
    })
    // Inserts one after another, as the receiver makes them, until the migration has tried several times.
    const waits: number[] = []
    const until = Date.now() + 6_000
    while (Date.now() < until) {
      const began = performance.now()
      await client`
        insert into sync.deliveries (key, event, received_at, observed_at)
        values (${String(waits.length)}, 'ping', now(), now())`
      waits.push(performance.now() - began)
      await new Promise((next) => setTimeout(next, 20))
    }
    expect(migrated).toBe(false)
    expect(Math.max(...waits)).toBeGreaterThan(500) // else the migration never came to the inbox
    expect(Math.max(...waits)).toBeLessThan(2_000)
    await reader`rollback`
    reader.release()
    await migrating
    expect(migrated).toBe(true)
    await client.end()
  })

  test('that loses its connection half-way leaves a database that the next run completes', async () => {
    const { url } = await currentDatabase()
    const known = [...migrations, later('create table one ()'), later('lock table buildkite.builds')]
    const client = postgres(url, { max: 1, onnotice: () => {} })
    const recorded = async () => (await client`select from drizzle.__drizzle_migrations`).length
    const proxy = await startTcpProxy(url, 5432)
    let broken: Promise<unknown> | undefined
    await client.begin(async (tx) => {
      // The last migration needs it.
      await tx`lock table buildkite.builds in access share mode`
      broken = migrate(proxy.url, undefined, known).catch((error: unknown) => error)
      await until(
        async () => (await tx`select from drizzle.__drizzle_migrations`).length > migrations.length,
        'it is half-way',
      )
      await proxy.close()
    })
    expect(await broken).toMatchObject({ kind: 'transient' })
    expect(await recorded()).toBe(migrations.length + 1)
    await migrate(url, undefined, known)
    expect(await recorded()).toBe(known.length)
    await client.end()
  })

  test('a database newer than the code is worked with while it allows that, and else refused in a clear sentence', async () => {
    const { url } = await emptyDatabase()
    await migrate(url)
    const database = openDatabase(url, { name: 'test' })
    await database.db.execute(
      sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('future', 9999999999999)`,
    )
    await migrate(url) // The unknown migration is one that this program can work with: it raised nothing.
    await database.db.execute(sql`update sync.compatibility set migrations_needed = 1000`)
    await database.close()
    const refused = migrate(url)
    await expect(refused).rejects.toThrow(ConfigError)
    await expect(refused).rejects.toThrow('newer than this program: it holds 1 migration that this version')
  })

  test('a view of the user on one that is replaced is named, with what to do', async () => {
    const { url } = await currentDatabase()
    const known = [
      ...migrations,
      later('drop view analytics.data_coverage; create view analytics.data_coverage as select 1 as one'),
    ]
    const client = postgres(url, { max: 1, onnotice: () => {} })
    await client`create view public.ours as select * from analytics.data_coverage`
    const failing = migrate(url, undefined, known)
    await expect(failing).rejects.toBeInstanceOf(ConfigError)
    await expect(failing).rejects.toThrow(/view ours depends on view analytics.data_coverage.*Drop those objects/)
    await client`drop view public.ours`
    await client.end()
    await migrate(url, undefined, known)
  })

  test('records the baseline, and does not run it, where all migrations that it replaced were applied', async () => {
    const { url, hashes } = await databaseWith(1_700_000_000_000, LAST_REPLACED.created_at)
    expect(await pendingAt(url)).toBe(migrations.length)
    await migrate(url, undefined, migrations.slice(0, 1))
    expect(await hashes()).toEqual(['at 1700000000000', `at ${LAST_REPLACED.created_at}`, migrations[0]?.hash])
    expect(await pendingAt(url)).toBe(migrations.length - 1)
  })

  test('refuses a database with only some of them, and names the commit to upgrade through', async () => {
    const { url, hashes } = await databaseWith(1_700_000_000_000)
    const failing = migrate(url)
    await expect(failing).rejects.toBeInstanceOf(ConfigError)
    await expect(failing).rejects.toThrow(
      `lacks the migration 0028_names. Run buildkite-mirror migrate of commit ${LAST_REPLACED.commit} first`,
    )
    expect(await hashes()).toEqual(['at 1700000000000'])
  })

  test('a database that does not exist is a permanent StoreError with its SQLSTATE', async () => {
    const { url } = await emptyDatabase()
    const missing = new URL(url)
    missing.pathname = '/no_such_database'
    const error = await migrate(missing.href).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(StoreError)
    expect(error).toMatchObject({ kind: 'permanent', code: '3D000' })
  })

  test('only what is missing is applied, in order', () => {
    const known = ['a', 'b', 'c'].map((hash, index) => ({ hash, sql: [], bps: true, folderMillis: index }))
    expect(missingMigrations(known, ['a']).map((migration) => migration.hash)).toEqual(['b', 'c'])
    expect(missingMigrations(known, ['a', 'b', 'c'])).toEqual([])
    expect(() => missingMigrations(known, ['a', 'x'])).toThrow(ConfigError)
    expect(() => missingMigrations(known, ['a', 'x'], 4)).toThrow(ConfigError)
    expect(missingMigrations(known, ['a', 'x'], 3).map((migration) => migration.hash)).toEqual(['b', 'c'])
  })
})
