import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import {
  type Definition,
  inDependencyOrder,
  readDefinitions,
  triggerTables,
} from '../../src/database/migrations/definitions.ts'
import { migrate, pendingMigrations } from '../../src/database/migrations/migrate.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'

/** Without the grants of processes: their roles appear when another test creates them. */
const present = readDefinitions().filter(({ name }) => !/^grants\/(?!buildkite_reader)/.test(name))
const pipelines = 'views/analytics/pipelines.sql'

/** The present definitions, with `sql` in place of the one called `name`, or in addition to them. */
function withDefinition(name: string, sql: string): Definition[] {
  return inDependencyOrder([...present.filter((one) => one.name !== name), { name, sql, checksum: sql }])
}

/** The view with one more column, which `create or replace view` accepts. */
const widened = withDefinition(
  pipelines,
  (present.find(({ name }) => name === pipelines)?.sql ?? '').replace(/\nfrom /, ',\n  1 as one_more\nfrom ') +
    `\ncomment on column analytics.pipelines.one_more is 'One.';`,
)

describe('the definitions', () => {
  let database: TestDatabase
  let sql: postgres.Sql
  beforeEach(async () => {
    database = await createTestDatabase()
    sql = postgres(database.url, { max: 4, onnotice: () => {} })
  })
  afterEach(async () => {
    await sql.end({ timeout: 1 })
    await database.drop()
  })

  const apply = (definitions: readonly Definition[]) => migrate(database.url, undefined, undefined, [...definitions])
  /** The version of each record's row: it changes with every write. */
  const records = async () =>
    Object.fromEntries(
      (await sql<{ name: string; version: string }[]>`select name, xmin::text as version from sync.definitions`).map(
        ({ name, version }) => [name, version],
      ),
    )
  const columnIsThere = async () =>
    (await sql`select from pg_attribute where attrelid = 'analytics.pipelines'::regclass and attname = 'one_more'`)
      .length === 1

  test('are applied once: unchanged ones are not applied again', async () => {
    const before = await records()
    expect(Object.keys(before)).toEqual(expect.arrayContaining(present.map(({ name }) => name)))
    await apply(present)
    expect(await records()).toEqual(before)
  })

  test('that changed are applied, and only those', async () => {
    const before = await records()
    await apply(widened)
    const after = await records()
    expect(Object.keys(after).filter((name) => after[name] !== before[name])).toEqual([pipelines])
    expect(await columnIsThere()).toBe(true)
  })

  test('are not applied to a database with a migration that this program does not know', async () => {
    await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('future', 9999999999999)`
    await apply(widened)
    expect(await columnIsThere()).toBe(false)
  })

  test('are applied all or none', async () => {
    const wrong = withDefinition(
      'views/analytics/wrong.sql',
      'create or replace view analytics.wrong as select nothing',
    )
    const both = inDependencyOrder([...widened.filter(({ name }) => name === pipelines), ...wrong])
    await expect(apply(both)).rejects.toThrow()
    expect(await columnIsThere()).toBe(false)
  })

  test('are applied once by eight processes that start at once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => apply(widened)))
    expect(await columnIsThere()).toBe(true)
  })

  test('leave what users built on them, and their grants', async () => {
    const role = `bkm_definitions_${process.pid}`
    await asAdmin((admin) => admin.unsafe(`create role ${role} nologin`))
    try {
      await sql.unsafe(`
        create view public.mine as select * from analytics.pipelines;
        create materialized view public.stored as select * from analytics.pipelines;
        create function public.rows() returns setof analytics.pipelines language sql as 'select * from analytics.pipelines';
        grant select on analytics.pipelines to ${role}`)
      await apply(widened)
      const kept = await sql`
        select to_regclass('public.mine') is not null and to_regclass('public.stored') is not null
          and to_regprocedure('public.rows()') is not null and has_table_privilege(${role}, 'analytics.pipelines', 'select') as all`
      expect([...kept]).toEqual([{ all: true }])
      expect(await columnIsThere()).toBe(true)
    } finally {
      await sql.unsafe(`drop owned by ${role}`)
      await asAdmin((admin) => admin.unsafe(`drop role ${role}`))
    }
  })

  test('wait for a long query without a lock, and are applied when it ends', async () => {
    const reader = await sql.reserve()
    await reader`begin`
    await reader`select count(*) from analytics.pipelines`
    const began = Date.now()
    const changing = apply(widened)
    const waits: number[] = []
    await until(
      async () => {
        const asked = performance.now()
        await sql`select count(*) from analytics.builds`
        waits.push(performance.now() - asked)
        return Date.now() - began > 4_000
      },
      'it has tried several times',
      20_000,
      20,
    )
    expect(await columnIsThere()).toBe(false)
    expect(Math.max(...waits)).toBeLessThan(2_000)
    await reader`rollback`
    reader.release()
    await changing
    expect(await columnIsThere()).toBe(true)
  })

  test('that were never applied count as a missing migration', async () => {
    const { db, close } = openDatabase(database.url, { name: 'test' })
    await sql`delete from sync.definitions where name = ${pipelines}`
    expect(await pendingMigrations(db)).toBe(1)
    await apply(present)
    expect(await pendingMigrations(db)).toBe(0)
    await close()
  })
})

test('a definition follows those of its kind that its SQL names, and functions, views, grants and triggers follow in this order', () => {
  const one = (name: string, sql: string): Definition => ({ name, sql, checksum: sql })
  const ordered = inDependencyOrder([
    one('grants/b.sql', 'grant select on a.v to b'),
    one('triggers/s.t/x.sql', 'create trigger'),
    one('views/a/b.sql', "select * from a.c; comment on view a.b is 'see a.d'"),
    one('views/a/c.sql', 'select * from a.e -- not a.b'),
    one('views/a/d.sql', 'select * from a.b'),
    one('views/a/e.sql', 'select a.f()'),
    one('functions/a.f.sql', 'select * from a.b'),
  ]).map(({ name }) => name)
  expect(ordered).toEqual([
    'functions/a.f.sql',
    'views/a/e.sql',
    'views/a/c.sql',
    'views/a/b.sql',
    'views/a/d.sql',
    'grants/b.sql',
    'triggers/s.t/x.sql',
  ])
})

test('each file replaces the object that its name says, comments on nothing else, and drops nothing', () => {
  for (const { name, sql } of present.filter((one) => !one.name.startsWith('grants/'))) {
    const [kind, ...path] = name.replace(/\.sql$/, '').split('/')
    const object = kind === 'triggers' ? path[1] : path.join('.')
    const [created, ...others] = sql.match(/^create .*/gm) ?? []
    expect([created?.split('(')[0], others]).toEqual([
      expect.stringMatching(`^create or replace (${kind?.slice(0, -1)}|aggregate) ${object}\\b`),
      [],
    ])
    for (const [comment] of sql.matchAll(/^comment on \w+ [\w."]+/gm)) expect(comment).toMatch(`${object}`)
    expect(sql).not.toMatch(/^(drop|alter)\b/im)
  }
})

test('tables are locked in the order in which deliveries are merged', () => {
  expect(triggerTables(present)[0]).toBe('buildkite.organizations')
  expect(triggerTables(present)).toEqual([...new Set(triggerTables(present))])
})
