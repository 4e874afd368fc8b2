import { and, eq, isNull, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { builds, failures, organizations, pipelines } from '../../src/database/schema.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeOrganizations, observePipelines } from '../../src/mirror/observe.ts'
import { fillMissingParents } from '../../src/mirror/orphans.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const acme = '00000000-0000-4000-8000-000000000001'
const web = '00000000-0000-4000-8000-000000000002'
const url = 'https://api.buildkite.com/v2/organizations/acme'
let testDatabase: TestDatabase
let database: Database
let now = Date.now()
const clock = () => now
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = openDatabase(testDatabase.url, { name: 'test' })
})
afterEach(async () => {
  await database.db.execute(sql`drop function if exists refuse cascade`)
  await database.db.execute(
    sql`truncate buildkite.organizations, buildkite.pipelines, buildkite.builds, sync.failures, sync.stale_history`,
  )
})
afterAll(async () => {
  await database.close()
  await testDatabase.drop()
})

/** Builds that only their URL links to the pipeline web. */
async function fill(count: number, organizationId: string | null): Promise<void> {
  await database.db.execute(sql`
    insert into buildkite.builds (id, organization_id, number, url, created_at, observed_at, first_seen_at, first_seen_via, changed_at)
    select md5('b' || n)::uuid, ${organizationId}::uuid, n, ${`${url}/pipelines/web/builds/`} || n, now(), now(), now(), 'webhook', now()
    from generate_series(1, ${count}::int) as n`)
}
const organization = { id: acme, slug: 'acme', url }
const pipeline = (slug: string, id = web) => ({ id, slug, name: slug, url: `${url}/pipelines/${slug}` })
const arrives = async (what: 'organization' | 'pipeline', slug = 'web') => {
  const at = new Date(now)
  const observed =
    what === 'organization'
      ? observeOrganizations([organization], at)
      : observePipelines([pipeline(slug)], at, { storeEnv: false })
  await applyObservations(database.db, observed, at)
}
const placed = () => database.db.$count(builds, eq(builds.pipeline_id, web))
const adopt = () => fillMissingParents(database.db, acme, clock)

test('a few rows are placed by the merge that adds their organization or pipeline', async () => {
  await fill(300, null)
  await arrives('organization')
  expect(await database.db.$count(builds, eq(builds.organization_id, acme))).toBe(300)
  await arrives('pipeline')
  expect(await placed()).toBe(300)
  expect(await adopt()).toBe(0)
})

test('of many rows the merge places a bounded number, and the rest follow in transactions of bounded size', async () => {
  await fill(4_500, null)
  await arrives('organization')
  await arrives('pipeline')
  expect(await placed()).toBeLessThanOrEqual(1_000)
  await adopt()
  expect(await placed()).toBe(4_500)
  const { rows } = await database.db.execute<{ rows: number }>(
    sql`select count(*)::int as rows from buildkite.builds group by xmin::text order by 1 desc`,
  )
  expect(rows[0]?.rows).toBeLessThanOrEqual(1_000)
})

test('one that cannot be placed is recorded by name, skipped and retried; the others are placed', async () => {
  await fill(1_500, acme)
  await arrives('organization')
  await database.db.execute(sql`
    create function refuse() returns trigger language plpgsql as $$ begin raise 'canary' using errcode = '57014'; end $$`)
  await database.db.execute(sql`
    create trigger refuse before update on buildkite.builds for each row when (new.number = 13) execute function refuse()`)
  await database.db.insert(pipelines).values({
    ...{ id: web, organization_id: acme, slug: 'web', url: `${url}/pipelines/web` },
    ...{ observed_at: new Date(), first_seen_at: new Date(), first_seen_via: 'rest', changed_at: new Date() },
  })
  expect(await adopt()).toBe(1_499)
  const [bad] = await database.db.select().from(builds).where(eq(builds.number, 13))
  const recorded = () => database.db.select().from(failures).where(eq(failures.kind, 'orphans'))
  expect(await recorded()).toMatchObject([
    { organization_id: acme, subject: `build ${bad?.id}`, build_id: bad?.id, code: '57014', tries: 1 },
  ])
  expect(await adopt()).toBe(0)
  expect(await recorded()).toMatchObject([{ tries: 1 }])
  now += MINUTE
  expect(await adopt()).toBe(0)
  expect(await recorded()).toMatchObject([{ tries: 2 }])
  now += HOUR
  await database.db.execute(sql`drop function refuse cascade`)
  expect(await adopt()).toBe(1)
  expect(await recorded()).toEqual([])
  expect(await database.db.$count(builds, isNull(builds.pipeline_id))).toBe(0)
})

test('if two pipelines had the same slug, the one seen last gets the builds, and a deleted one none', async () => {
  await arrives('organization')
  const old = '00000000-0000-4000-8000-000000000003'
  const common = { organization_id: acme, slug: 'web', first_seen_at: new Date(), first_seen_via: 'rest' as const }
  const row = (id: string, observed: string, deleted_at: Date | null = null) => ({
    ...{ ...common, id, observed_at: new Date(observed), changed_at: new Date(), deleted_at },
  })
  await database.db
    .insert(pipelines)
    .values([
      row(old, '2026-01-01'),
      row(web, '2026-02-01'),
      row('00000000-0000-4000-8000-000000000004', '2026-03-01', new Date()),
    ])
  await fill(3, acme)
  expect(await adopt()).toBe(3)
  expect(await placed()).toBe(3)
})

test('nothing is placed for an organization that is not known', async () => {
  await fill(2, acme)
  expect(await adopt()).toBe(0)
  expect(await database.db.$count(organizations, and(eq(organizations.id, acme)))).toBe(0)
})
