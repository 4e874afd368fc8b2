import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: postgres.Sql
beforeAll(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
})
afterAll(async () => {
  await sql.end({ timeout: 1 })
  await database.drop()
})

test('buildkite_reader reads every column of our schemas but payloads, sessions, the audit log and erased people, and writes none', async () => {
  const denied = await sql<{ name: string }[]>`
    select format('%s.%s.%s', nspname, relname, attname) as name
    from pg_attribute join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace
    where nspname in ('analytics', 'buildkite', 'settings', 'sync') and relkind in ('r', 'v') and attnum > 0 and not attisdropped
      and not has_column_privilege('buildkite_reader', attrelid, attnum, 'select')`
  const isPrivate = (name: string) => /^sync\.(sessions|audit_log|erased_people)\./.test(name)
  expect(denied.map(({ name }) => name).filter((name) => !isPrivate(name))).toEqual(['sync.deliveries.payload'])
  expect(denied.filter(({ name }) => isPrivate(name))).toHaveLength(17)
  const writable = await sql<{ name: string }[]>`
    select format('%s.%s', nspname, relname) as name from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname in ('analytics', 'buildkite', 'settings', 'sync') and relkind in ('r', 'v')
      and has_table_privilege('buildkite_reader', pg_class.oid, 'insert, update, delete, truncate')`
  expect(writable.map(({ name }) => name)).toEqual([])
})
