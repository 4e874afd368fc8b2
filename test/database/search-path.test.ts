import { randomUUID } from 'node:crypto'
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

// Functions in SQL are exempt if Postgres parsed their body when it created them (prosqlbody): such a body contains no names, only
// references, and so does an aggregate. With `set`, Postgres could not inline them into views.
test('every function finds its names without the search_path of its caller', async () => {
  const functions = await sql<{ name: string; is_safe: boolean }[]>`
    select oid::regprocedure::text as name,
      prosqlbody is not null or prokind = 'a' or coalesce('search_path=pg_catalog, pg_temp' = any (proconfig), false) as is_safe
    from pg_proc where pronamespace::regnamespace::text in ('analytics', 'buildkite', 'settings', 'sync')`
  expect(functions.length).toBeGreaterThan(20)
  expect(functions.filter(({ is_safe }) => !is_safe)).toEqual([])
})

test('a trigger does not call a function in public that fits better than the one of Postgres', async () => {
  await sql.unsafe(`
    create function public.array_remove(uuid[], uuid) returns uuid[] language plpgsql as $$
    begin
      raise exception 'public.array_remove was called';
    end $$`)
  // The planted function would be called: this is how Postgres chooses without a fixed search_path.
  await expect(sql`select array_remove(array[${randomUUID()}::uuid], null)`).rejects.toThrow('was called')
  const row = {
    id: randomUUID(),
    organization_id: randomUUID(),
    pipeline_id: randomUUID(),
    rebuilt_from_id: randomUUID(),
    number: 1,
    extra: {},
    observed_at: new Date(),
    first_seen_at: new Date(),
    first_seen_via: 'webhook',
    changed_at: new Date(),
  }
  await sql.unsafe(
    'insert into buildkite.builds select filled.* from json_populate_record(null::buildkite.builds, $1::text::json) as filled',
    [JSON.stringify(row)],
  )
  await sql`update buildkite.builds set branch = 'main'`
})
