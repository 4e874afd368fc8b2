import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = openDatabase(testDatabase.url, { name: 'test' })
})
afterAll(async () => {
  await database.close()
  await testDatabase.drop()
})

test('every schema, table, view and column has a comment', async () => {
  const { rows } = await database.db.execute<{ name: string }>(sql`
    with ours as (select oid, nspname from pg_namespace where nspname in ('buildkite', 'sync', 'analytics', 'settings'))
    select nspname as name from ours where obj_description(oid, 'pg_namespace') is null
    union all
    select nspname || '.' || relname from pg_class c join ours on ours.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm') and obj_description(c.oid, 'pg_class') is null
    union all
    select nspname || '.' || relname || '.' || attname
    from pg_attribute join pg_class c on c.oid = attrelid join ours on ours.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped and col_description(attrelid, attnum) is null`)
  expect(rows.map((row) => row.name)).toEqual([])
})
