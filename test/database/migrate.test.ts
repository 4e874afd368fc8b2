import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { migrate, missingMigrations, pendingMigrations } from '../../src/database/migrate.ts'
import { ConfigError, StoreError } from '../../src/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

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
