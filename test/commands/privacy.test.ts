import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runCommand } from '../support/service.ts'
import { tracesInPostgres } from '../support/traces.ts'

const canary = 'canary-s3cret'
const ada = '0190a1b2-0000-7000-8000-000000000006'
let database: TestDatabase
let sql: postgres.Sql
beforeAll(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
})
beforeEach(async () => {
  await sql`truncate buildkite.pipelines, buildkite.builds, sync.deliveries, sync.drift, sync.erased_people, sync.user_identities`
  const extra = { client_secret: canary, deep: [{ url: `https://x/?token=${canary}` }], kept: 1 }
  const payload = JSON.stringify({ event: 'ping', password: canary, sender: { id: ada, name: 'Ada Lovelace' } })
  await sql`insert into buildkite.pipelines (id, repository, badge_url, extra, observed_at, first_seen_at, first_seen_via, changed_at)
    values (gen_random_uuid(), ${`https://u:${canary}@host/`}, ${`https://badge/${canary}`}, ${sql.json(extra)}, now(), now(), 'rest', '2020-01-01')`
  await sql`insert into buildkite.builds (id, message, creator_id, creator_name, creator_email, observed_at, first_seen_at, first_seen_via, changed_at)
    values (gen_random_uuid(), 'By Ada Lovelace', ${ada}, 'Ada Lovelace', 'Ada@example.com', now(), now(), 'rest', now())`
  await sql`insert into sync.deliveries (key, event, received_at, observed_at, payload) values ('1', 'ping', now(), now(), ${payload})`
})
afterAll(async () => {
  await sql.end()
  await database.drop()
})

const run = (...args: string[]) => runCommand(args, { DATABASE_URL: database.url })
const traces = async (text: string) =>
  (await tracesInPostgres(database.url)).split('\n').filter((line) => line.toLowerCase().includes(text))

describe('redact', () => {
  it('removes secrets that an earlier version stored, once', async () => {
    const planned = await run('redact', '--dry-run', '--json')
    expect(planned.code).toBe(0)
    const rows = { 'buildkite.pipelines': 1, 'sync.deliveries': 1 }
    expect(JSON.parse(planned.stdout)).toEqual({ dry_run: true, rows })
    expect(await traces(canary)).not.toEqual([])
    const done = await run('redact')
    expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/buildkite.pipelines +1/) })
    expect(await traces(canary)).toEqual([])
    const [row] =
      await sql`select repository, badge_url, extra, changed_at > now() - interval '1 minute' as fresh from buildkite.pipelines`
    expect(row).toEqual({
      repository: 'https://host/',
      badge_url: null,
      extra: { deep: [{ url: 'https://x/?token=REDACTED' }], kept: 1 },
      fresh: true,
    })
    expect(await run('redact')).toMatchObject({ code: 0, stdout: 'No row has a secret.\n' })
  })
})

describe('erase-person', () => {
  it('counts with --dry-run, then erases, and reports the name in free text', async () => {
    const planned = await run('erase-person', '--email', 'ada@example.com', '--dry-run')
    expect(planned).toMatchObject({ code: 0, stdout: expect.stringContaining('Nothing was changed.') })
    expect(planned.stdout).toMatch(/1 user ids, 1 e-mail addresses, 0 user names, 1 names/)
    expect(planned.stdout).toMatch(/buildkite.builds +1/)
    expect(await traces('ada@example.com')).not.toEqual([])
    const done = await run('erase-person', '--email', 'ada@example.com', '--json')
    expect(JSON.parse(done.stdout)).toEqual({
      dry_run: false,
      identities: { id: 1, email: 1, username: 0, name: 1 },
      rows: { 'buildkite.builds': 1, 'buildkite.users': 1, 'sync.deliveries': 1, 'sync.user_identities': 1 },
      mentions: { 'buildkite.builds': 1 },
    })
    expect([await traces('ada@example.com'), await traces(ada)]).toEqual([[], []])
  })

  it('asks for a person, in a form that makes sense', async () => {
    const cases: [string[], string][] = [
      [[], 'Choose the person: --email <address> or --user-id <uuid>.'],
      [['--email', 'ada'], '--email has "ada", which is not an e-mail address.'],
      [['--user-id', '17'], '--user-id has "17", which is not a UUID.'],
    ]
    for (const [args, message] of cases) {
      expect(await run('erase-person', ...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(message) })
    }
  })
})
