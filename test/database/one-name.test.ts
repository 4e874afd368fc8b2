import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'

const migration = readFileSync(new URL('../../drizzle/0002_one_name.sql', import.meta.url), 'utf8')

/** What the migration renames: the view, the old and the new name of the column. */
const renames = [...migration.matchAll(/^ {6}\('(\w+)', '(\w+)', '(\w+)'\)/gm)].map(
  ([, view = '', before = '', after = '']) => ({ view, before, after }),
)

const role = `bkm_one_name_${process.pid}`
let database: TestDatabase
let sql: postgres.Sql
beforeEach(async () => {
  await asAdmin((admin) => admin.unsafe(`create role ${role} nologin`))
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
  await returnTo0001()
})
afterEach(async () => {
  await sql.end({ timeout: 1 })
  await database.drop()
  await asAdmin((admin) => admin.unsafe(`drop role ${role}`))
})

/** Gives the database the names, and the records, that migration 0001 and its definitions left. */
async function returnTo0001(): Promise<void> {
  for (const { view, before, after } of renames)
    await sql.unsafe(`alter view analytics.${view} rename column ${after} to ${before}`)
  await sql.unsafe(`
    alter view analytics.reference_syncs rename to dimensions;
    alter table analytics.queue_waits_daily rename column concurrency_wait_seconds to concurrency_seconds;
    delete from drizzle.__drizzle_migrations where hash = '${createHash('sha256').update(migration).digest('hex')}';
    update sync.definitions set checksum = 'of the previous version' where name like 'views/%';
    update sync.definitions set name = 'views/analytics/dimensions.sql' where name = 'views/analytics/reference_syncs.sql'`)
}

const columnsOf = async (relation: string) =>
  (
    await sql<{ name: string }[]>`
      select attname as name from pg_attribute where attrelid = to_regclass(${relation}) and attnum > 0 and not attisdropped`
  ).map(({ name }) => name)

test('the columns and the view get their new names', async () => {
  expect(renames.length).toBeGreaterThan(10)
  await migrate(database.url)
  for (const { view, before, after } of renames) {
    const columns = await columnsOf(`analytics.${view}`)
    expect(columns).toContain(after)
    expect(columns).not.toContain(before)
  }
  expect(await columnsOf('analytics.queue_waits_daily')).toContain('concurrency_wait_seconds')
  expect(await columnsOf('analytics.dimensions')).toEqual([])
  expect(await columnsOf('analytics.reference_syncs')).toContain('read_at')
  expect([...(await sql`select from sync.definitions where name like '%dimensions.sql'`)]).toEqual([])
})

test("views of users that read the renamed columns follow, with their own columns' names", async () => {
  await sql.unsafe(`
    insert into buildkite.jobs (id, name, type, state, observed_at, first_seen_at, first_seen_via, changed_at)
      values (gen_random_uuid(), 'test', 'script', 'passed', now(), now(), 'rest', now());
    create view public.mine as select name, state from analytics.jobs where name = 'test';
    create materialized view public.stored as select name from analytics.jobs;
    create view public.lists as select * from analytics.dimensions`)
  await migrate(database.url)
  await sql`refresh materialized view public.stored`
  expect([...(await sql`select * from public.mine`)]).toEqual([{ name: 'test', state: 'passed' }])
  expect([...(await sql`select * from public.stored`)]).toEqual([{ name: 'test' }])
  expect([...(await sql`select * from public.lists`)]).toEqual([])
})

test('grants of users on what is renamed stay', async () => {
  await sql.unsafe(`
    grant select on analytics.dimensions to ${role};
    grant select (slug) on analytics.pipelines to ${role}`)
  await migrate(database.url)
  const [may] = await sql`
    select has_table_privilege(${role}, 'analytics.reference_syncs', 'select') as renamed_view,
      has_column_privilege(${role}, 'analytics.pipelines', 'pipeline', 'select') as renamed_column,
      has_column_privilege(${role}, 'analytics.pipelines', 'name', 'select') as other_column,
      has_table_privilege('buildkite_reader', 'analytics.reference_syncs', 'select') as reader`
  expect(may).toEqual({ renamed_view: true, renamed_column: true, other_column: false, reader: true })
})
