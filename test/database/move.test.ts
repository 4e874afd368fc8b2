import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type MoveProgress, moveDatabase } from '../../src/database/move.ts'
import { ConfigError, StoreError } from '../../src/runtime/errors.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let source: TestDatabase
let target: TestDatabase
let sql: postgres.Sql

beforeEach(async () => {
  source = await createTestDatabase()
  target = await createTestDatabase({ empty: true })
  sql = postgres(source.url, { max: 1, onnotice: () => {} })
})

afterEach(async () => {
  await sql.end({ timeout: 1 })
  await source.drop()
  await target.drop()
})

async function schemasOf({ url }: TestDatabase): Promise<string[]> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  const rows = await client<{ nspname: string }[]>`
    select nspname from pg_namespace where nspname !~ '^pg_' and nspname not in ('public', 'information_schema')`
  await client.end({ timeout: 1 })
  return rows.map(({ nspname }) => nspname)
}

async function move(options: { onProgress?: (progress: MoveProgress) => void; signal?: AbortSignal } = {}) {
  return moveDatabase({ from: source.url, to: target.url, ...options })
}

/** Values that a careless copy would break, in enough rows for more than one chunk. */
async function fill(): Promise<void> {
  await sql`
    insert into buildkite.builds (id, message, extra, pull_request_labels, created_at, observed_at, first_seen_at, first_seen_via, changed_at)
    select gen_random_uuid(), case i % 4 when 0 then null when 1 then '' when 2 then E'tab\t line\n \\N ü 🚀' else repeat('x', 500) end,
      jsonb_build_object('n', i, 'text', E'a\nb'), array['a b', null, '"quoted"'], now() - i * interval '1 hour', now(), now(), 'rest', now()
    from generate_series(1, 5000) as i`
  await sql`insert into settings.queue_rates values ('default', 0.008)`
  await sql`insert into settings.deployment_rules (pipeline) values ('shop'), ('web')`
  await sql`insert into sync.pauses values (gen_random_uuid(), 'backfill', now())`
}

describe('moving the mirror', () => {
  test('every table arrives whole, with triggers that slept and are awake again, and sequences that go on', async () => {
    await fill()
    const marked = await sql`select * from sync.stale_days order by 1`
    expect(marked.length).toBeGreaterThan(100)
    const { tables, leftOut } = await move()
    expect(leftOut).toEqual([])
    expect(tables).toContainEqual({
      name: 'buildkite.builds',
      rows: 5000,
      checksum: expect.stringMatching(/^[0-9a-f]{16}$/),
    })
    const there = postgres(target.url, { max: 1, onnotice: () => {} })
    for (const { name, rows } of tables) {
      const all = (client: postgres.Sql) => client.unsafe(`select t::text as line from ${name} as t order by 1`)
      const [mine, theirs] = await Promise.all([all(sql), all(there)])
      expect([name, theirs.length]).toEqual([name, rows])
      expect([...theirs]).toEqual([...mine])
    }
    expect([...(await there`select tgname from pg_trigger where not tgisinternal and tgenabled <> 'O'`)]).toEqual([])
    const [rule] = await there`insert into settings.deployment_rules (pipeline) values ('next') returning id`
    expect(rule?.id).toBe(3)
    await there.end({ timeout: 1 })
  })

  test('reports and leaves out a foreign table in our schemas', async () => {
    await sql`create table analytics.mine as select 1 as n`
    expect((await move()).leftOut).toEqual(['analytics.mine'])
  })

  test.each(['copy', 'compare', 'commit'] as const)(
    'stopped at its %s, it leaves the target empty, and can be run again',
    async (stage) => {
      await fill()
      const stop = new AbortController()
      const onProgress = ({ doing, table }: MoveProgress) => {
        if (doing === stage && (table === 'buildkite.builds' || table === '')) stop.abort()
      }
      await expect(move({ onProgress, signal: stop.signal })).rejects.toThrow()
      expect(await schemasOf(target)).toEqual([])
      expect((await move()).tables.length).toBeGreaterThan(30)
    },
  )

  const refused = async () => {
    const error = await move().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ConfigError)
    return error instanceof Error ? error.message : ''
  }

  test('a target with anything of ours in it is refused, with the way to empty it', async () => {
    await moveDatabase({ from: source.url, to: target.url })
    expect(await refused()).toMatch(/The target is not empty: it has the schemas .*'drop schema .*buildkite.* cascade'/)
  })

  test('a source that a service works on is refused', async () => {
    const service = postgres(source.url, { max: 1, connection: { application_name: 'buildkite-mirror serve' } })
    await service`select 1`
    expect(await refused()).toContain('The source is in use by "buildkite-mirror serve". Stop the service')
    await service.end({ timeout: 1 })
    expect(await schemasOf(target)).toEqual([])
  })

  test('a source of an older or a newer version is refused', async () => {
    const [last] = await sql`
      delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations) returning *`
    expect(await refused()).toContain("lacks 1 of this version's migrations. Run buildkite-mirror migrate")
    await sql`insert into drizzle.__drizzle_migrations ${sql([{ hash: last?.hash, created_at: last?.created_at }])}`
    await sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('future', 9999999999999)`
    expect(await refused()).toContain('holds 1 migration(s) that this version does not know')
  })

  test('deliveries that only the queue holds are not left behind', async () => {
    await sql`create schema bullmq`
    await sql`create table bullmq.job (queue text, data jsonb)`
    await sql`insert into bullmq.job values ('deliveries', '{"ids":[1]}'), ('deliveries', '{"kept":[{"key":"x"}]}')`
    expect(await refused()).toContain('holds 1 job(s) with deliveries that are in no table yet')
  })

  test('reports an unreachable target without its password', async () => {
    const to = 'postgres://user:hunter2@127.0.0.1:1/none'
    const error = await moveDatabase({ from: source.url, to }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(StoreError)
    expect(String(error)).toContain('connect to the target')
    expect(String(error)).not.toContain('hunter2')
  })
})
