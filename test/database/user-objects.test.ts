import { fileURLToPath } from 'node:url'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readDefinitions } from '../../src/database/migrations/definitions.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { ConfigError } from '../../src/runtime/errors.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'

const migrations = readMigrationFiles({ migrationsFolder: fileURLToPath(new URL('../../drizzle', import.meta.url)) })
const next = (sql: string): MigrationMeta[] => [
  ...migrations,
  { sql: [sql], hash: sql, bps: true, folderMillis: 9_999_999_999_999 },
]
const viewIsReplaced = next(
  'drop view analytics.data_coverage; create view analytics.data_coverage as select 1 as as_of, 2 as exceptions',
)
const viewLosesColumn = next(
  'drop view analytics.data_coverage; create view analytics.data_coverage as select 1 as as_of',
)
const viewIsDropped = next('drop view analytics.data_coverage')
const tableIsReplaced = next('drop table sync.pauses; create table sync.pauses (organization_id uuid)')
const columnIsDropped = next('alter table sync.pauses drop column paused_at')
const functionIsReplaced = next(
  `drop function sync.refresh_users(); create function sync.refresh_users() returns int language sql as $$ select 1 $$;
   revoke execute on function sync.refresh_users() from public`,
)
const functionIsChanged = next('drop function sync.refresh_users()')

describe('an upgrade', () => {
  const role = `bkm_test_${process.pid}`
  let database: TestDatabase
  let sql: postgres.Sql
  beforeAll(() => asAdmin(async (admin) => void (await admin.unsafe(`create role ${role} nologin`))))
  beforeEach(async () => {
    database = await createTestDatabase()
    sql = postgres(database.url, { max: 1, onnotice: () => {} })
  })
  afterEach(async () => {
    await sql.end({ timeout: 1 })
    await database.drop()
  })
  afterAll(() => asAdmin(async (admin) => void (await admin.unsafe(`drop role ${role}`))))

  const may = async (what: string) => (await sql.unsafe<{ may: boolean }[]>(`select ${what} as may`))[0]?.may
  // Grants would name objects that these migrations replace: the roles appear when another test creates them.
  const definitions = readDefinitions().filter(({ name }) => !name.startsWith('grants/'))
  const upgrade = (known: MigrationMeta[]) => migrate(database.url, undefined, known, definitions)

  const trigger = `create function public.tell() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger watched before insert on sync.pauses for each row execute function public.tell()`

  test.each([
    [
      'a view',
      viewIsReplaced,
      'select on analytics.data_coverage',
      `has_table_privilege('${role}', 'analytics.data_coverage', 'select')`,
    ],
    [
      'a column of a view',
      viewLosesColumn,
      'select (as_of) on analytics.data_coverage',
      `has_column_privilege('${role}', 'analytics.data_coverage', 'as_of', 'select')`,
    ],
    [
      'a table',
      tableIsReplaced,
      'select, update on sync.pauses',
      `has_table_privilege('${role}', 'sync.pauses', 'update')`,
    ],
    [
      'a function',
      functionIsReplaced,
      'execute on function sync.refresh_users()',
      `has_function_privilege('${role}', 'sync.refresh_users()', 'execute')`,
    ],
  ])('keeps the grants on %s that it replaces', async (_what, known, grant, holds) => {
    await sql.unsafe(`grant ${grant} to ${role}`)
    await upgrade(known)
    expect(await may(holds)).toBe(true)
  })

  test('keeps the option to grant, and what the role for readers may', async () => {
    await sql.unsafe(`grant select on analytics.data_coverage to ${role} with grant option`)
    await upgrade(viewIsReplaced)
    expect(await may(`has_table_privilege('${role}', 'analytics.data_coverage', 'select with grant option')`)).toBe(
      true,
    )
    expect(await may(`has_table_privilege('buildkite_reader', 'analytics.data_coverage', 'select')`)).toBe(true)
  })

  test('keeps all of it on objects and columns that it renames', async () => {
    await sql.unsafe(`
      grant select on sync.pauses, analytics.data_coverage to ${role};
      grant update (paused_at) on sync.pauses to ${role};
      grant execute on function sync.refresh_users() to ${role};
      create policy mine on sync.pauses using (true);
      create rule quiet as on delete to sync.pauses do instead nothing;
      create publication ours for table sync.pauses;
      ${trigger}`)
    await upgrade(
      next(`alter table sync.pauses rename column paused_at to held_at; alter table sync.pauses rename to holds;
        alter view analytics.data_coverage rename to claims; alter function sync.refresh_users() rename to combine_users`),
    )
    const holds = await Promise.all([
      may(`has_table_privilege('${role}', 'sync.holds', 'select')`),
      may(`has_table_privilege('${role}', 'analytics.claims', 'select')`),
      may(`has_column_privilege('${role}', 'sync.holds', 'held_at', 'update')`),
      may(`has_function_privilege('${role}', 'sync.combine_users()', 'execute')`),
      may(`4 = (select count(*) from (
        select from pg_policy where polrelid = 'sync.holds'::regclass union all
        select from pg_rewrite where ev_class = 'sync.holds'::regclass union all
        select from pg_publication_rel where prrelid = 'sync.holds'::regclass union all
        select from pg_trigger where tgrelid = 'sync.holds'::regclass) as others)`),
    ])
    expect(holds).toEqual([true, true, true, true, true])
  })

  test('does not give back what a migration revokes', async () => {
    await sql.unsafe(`grant select on sync.pauses to ${role}`)
    await upgrade(next(`revoke select on sync.pauses from ${role}`))
    expect(await may(`has_table_privilege('${role}', 'sync.pauses', 'select')`)).toBe(false)
  })

  test.each([
    [
      'a grant on a view that is no more',
      `grant select on analytics.data_coverage to ${role}`,
      viewIsDropped,
      `the grant of SELECT on table analytics.data_coverage to ${role}`,
      `revoke select on analytics.data_coverage from ${role}`,
    ],
    [
      'a grant on a column that is no more',
      `grant select (exceptions) on analytics.data_coverage to ${role}`,
      viewLosesColumn,
      `SELECT (exceptions) on table analytics.data_coverage to ${role}`,
      `revoke select (exceptions) on analytics.data_coverage from ${role}`,
    ],
    [
      'a grant on a function that is no more',
      `grant execute on function sync.refresh_users() to ${role}`,
      functionIsChanged,
      `EXECUTE on function sync.refresh_users() to ${role}`,
      `revoke execute on function sync.refresh_users() from ${role}`,
    ],
    [
      'a publication',
      'create publication ours for table sync.pauses, sync.windows',
      tableIsReplaced,
      'sync.pauses in the publication ours',
      'alter publication ours drop table sync.pauses',
    ],
    [
      'a row policy',
      'create policy mine on sync.pauses using (true)',
      tableIsReplaced,
      'the policy mine on sync.pauses',
      'drop policy mine on sync.pauses',
    ],
    [
      'a trigger',
      trigger,
      tableIsReplaced,
      'the trigger watched on sync.pauses',
      'drop trigger watched on sync.pauses',
    ],
    [
      'a rule',
      'create rule quiet as on delete to sync.pauses do instead nothing',
      tableIsReplaced,
      'the rule quiet on sync.pauses',
      'drop rule quiet on sync.pauses',
    ],
    [
      'a view',
      'create view public.mine as select * from analytics.data_coverage',
      viewIsReplaced,
      'view mine depends on view analytics.data_coverage',
      'drop view public.mine',
    ],
    [
      'a materialized view',
      'create materialized view public.mine as select * from analytics.data_coverage',
      viewIsReplaced,
      'materialized view mine depends on view analytics.data_coverage',
      'drop materialized view public.mine',
    ],
    [
      'a function that returns its rows',
      'create function public.mine() returns setof analytics.data_coverage language sql as $$ select * from analytics.data_coverage $$',
      viewIsReplaced,
      'function mine() depends on type analytics.data_coverage',
      'drop function public.mine()',
    ],
    [
      'a row policy that reads a view',
      'create table public.t (); create policy mine on public.t using (exists (select from analytics.data_coverage))',
      viewIsReplaced,
      'policy mine on table t depends on view analytics.data_coverage',
      'drop policy mine on public.t',
    ],
    [
      'a view on a column',
      'create view public.mine as select paused_at from sync.pauses',
      columnIsDropped,
      'view mine depends on column paused_at of table sync.pauses',
      'drop view public.mine',
    ],
    [
      'the columns of a publication',
      'create publication ours for table sync.pauses where (paused_at is not null)',
      columnIsDropped,
      'publication of table sync.pauses in publication ours depends on column paused_at',
      'drop publication ours',
    ],
  ])('stops and names %s that it would drop, and goes on without it', async (_what, made, known, named, remedy) => {
    await sql.unsafe(made)
    const failing = upgrade(known)
    await expect(failing).rejects.toBeInstanceOf(ConfigError)
    await expect(failing).rejects.toThrow(named)
    await sql.unsafe(remedy)
    await upgrade(known)
  })
})

test('no migration drops with cascade', () => {
  const cascading = migrations.flatMap(({ sql }) => sql).filter((statement) => /drop[^;]*\bcascade\b/i.test(statement))
  expect(cascading).toEqual([])
})
