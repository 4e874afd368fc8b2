import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { migrate, setUpRoles } from '../../src/database/migrations/migrate.ts'
import { migrateQueue } from '../../src/queue/postgres.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { ConfigError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'

const prefix = `bkm_roles_${process.pid}_`
const schemas = ['analytics', 'buildkite', 'bullmq', 'drizzle', 'settings', 'sync']
let database: TestDatabase
let sql: postgres.Sql
let users: string[] = []

beforeEach(() => {
  users = []
})
afterEach(async () => {
  await sql.end({ timeout: 1 })
  await database.drop()
  await asAdmin(async (admin) => {
    for (const user of users) await admin.unsafe(`drop role if exists ${user}`)
  })
})

async function open(options: { empty?: boolean } = {}) {
  database = await createTestDatabase(options)
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
}

async function createUser(name: string, attributes = '') {
  const user = prefix + name
  users.push(user)
  await sql.unsafe(`create role ${user} login ${attributes}`)
  return user
}

function urlOf(user: string): string {
  const url = new URL(database.url)
  url.username = user
  return url.href
}

const withRoles = async (url = database.url) => {
  await setUpRoles(url)
  await migrate(url)
}

/** The owners of all that is in our schemas. */
const owners = async () =>
  (
    await sql<{ owner: string }[]>`
      with spaces as (select oid, nspowner from pg_namespace where nspname = any (${schemas}))
      select nspowner::regrole::text as owner from spaces
      union select relowner::regrole::text from pg_class join spaces on relnamespace = spaces.oid
      union select proowner::regrole::text from pg_proc join spaces on pronamespace = spaces.oid
      union select typowner::regrole::text from pg_type join spaces on typnamespace = spaces.oid order by owner`
  ).map(({ owner }) => owner)

describe('migrate --roles', () => {
  test('hands an existing mirror and its queue to buildkite_owner, and may be repeated', async () => {
    await open()
    await migrateQueue(database.url)
    for (let time = 0; time < 2; time++) {
      await withRoles()
      await migrateQueue(database.url)
      expect(await owners()).toEqual(['buildkite_owner'])
    }
    const [may] = await sql`
      select has_table_privilege('buildkite_worker', 'buildkite.builds', 'insert') as worker,
        has_table_privilege('buildkite_web', 'bullmq.job', 'insert') as web,
        has_table_privilege('buildkite_reader', 'analytics.builds', 'select') as reader`
    expect(may).toEqual({ worker: true, web: true, reader: true })
  })

  test('leaves tables of other users in our schemas alone', async () => {
    await open()
    const analyst = await createUser('analyst')
    await sql.unsafe(`grant create, usage on schema analytics to ${analyst}`)
    await sql.unsafe(`set role ${analyst}; create table analytics.own (n int); reset role`)
    await withRoles()
    expect(await owners()).toEqual([analyst, 'buildkite_owner'].sort())
    await sql`drop table analytics.own`
  })

  test('works for a user that is no superuser, but owns the database and may create roles', async () => {
    await open({ empty: true })
    const admin = await createUser('admin', 'createrole')
    await sql.unsafe(`alter database ${new URL(database.url).pathname.slice(1)} owner to ${admin}`)
    await asAdmin(async (superuser) => {
      // Another test may have created the roles before, as another user.
      const [known] = await superuser`select 1 from pg_roles where rolname = 'buildkite_owner'`
      if (known) await superuser.unsafe(`grant buildkite_owner to ${admin} with admin option`)
    })
    await withRoles(urlOf(admin))
    await migrateQueue(urlOf(admin))
    expect(await owners()).toEqual(['buildkite_owner'])
  })

  test('refuses a user that may not do it in a sentence that says who may', async () => {
    await open()
    const nobody = await createUser('nobody')
    await expect(withRoles(urlOf(nobody))).rejects.toThrow(ConfigError)
    await expect(withRoles(urlOf(nobody))).rejects.toThrow(
      /may not set up the roles \(.+\)\. Run buildkite-mirror migrate --roles as a superuser/,
    )
  })
})

test('the init script of the docs is enough for migrate, which then needs no superuser', async () => {
  await open({ empty: true })
  const page = readFileSync(new URL('../../docs/operations/database-roles.md', import.meta.url), 'utf8')
  const script = /```sql\n(create role buildkite_owner;[^`]*)```/.exec(page)?.[1] ?? ''
  const statements = script
    .replaceAll('database buildkite', `database ${new URL(database.url).pathname.slice(1)}`)
    .replaceAll(/\b(mirror_\w+)\b/g, `${prefix}$1`)
  users = [...statements.matchAll(/create role (\w+) login/g)].map(([, user = '']) => user)
  expect(users).toHaveLength(5)
  for (const statement of statements.split(';\n').filter(Boolean)) {
    await sql.unsafe(statement).catch((error: postgres.PostgresError) => {
      // The group roles are there if another test has created them.
      if (error.code !== '42710') throw error
    })
  }
  const owner = urlOf(`${prefix}mirror_owner`)
  await withRoles(owner)
  await migrateQueue(owner)
  expect(await owners()).toEqual(['buildkite_owner'])
  // Nothing is missing, so a process with AUTO_MIGRATE=true starts, too.
  for (const user of ['mirror_web', 'mirror_worker', 'mirror_reconciler']) await migrate(urlOf(prefix + user))

  await sql`delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations)`
  await expect(migrate(urlOf(`${prefix}mirror_web`))).rejects.toThrow(
    /may not migrate the database \(.+\)\. Run buildkite-mirror migrate as a member of buildkite_owner/,
  )
})

describe('a queue in Postgres', () => {
  const ask = async (url: string) => {
    const queues = await openQueues({ redisUrl: undefined, databaseUrl: url, mayMigrate: false }, createLog('silent'))
    try {
      return await queues.check()
    } finally {
      await queues.close(2_000)
    }
  }

  test('whose schema is missing is not created by a process that may not migrate, which says what to do', async () => {
    await open()
    await expect(ask(database.url)).rejects.toThrow(/does not have the schema bullmq .* Run buildkite-mirror migrate/)
    expect([...(await sql`select from pg_namespace where nspname = 'bullmq'`)]).toEqual([])
  })

  test('says which grant its user lacks', async () => {
    await open()
    await migrateQueue(database.url)
    const nobody = await createUser('nobody')
    await expect(ask(urlOf(nobody))).rejects.toThrow(
      /refuses the database user: permission denied for schema bullmq\. Make it a member of the role/,
    )
  })
})
