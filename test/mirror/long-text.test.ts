import { randomBytes } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { refreshRollups } from '../../src/analytics/rollups.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { agents, builds, failures, jobs, organizations, pipelines } from '../../src/database/schema.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import type { Observations } from '../../src/mirror/observation.ts'
import {
  observeAgents,
  observeBuilds,
  observeOrganizations,
  observePipelines,
  observeWebhook,
} from '../../src/mirror/observe.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { at, base, buildPayload, ids, jobPayload, organizationPayload, pipelinePayload } from './payloads.ts'

/** Postgres compresses what it indexes, but not this. */
const long = randomBytes(50_000).toString('hex')
const options = { storeEnv: true }
let test: TestDatabase
let database: Database

beforeAll(async () => {
  test = await createTestDatabase()
  database = openDatabase(test.url, { name: 'test' })
})

afterAll(async () => {
  await database.close()
  await test.drop()
})

const apply = (observed: Observations) => applyObservations(database.db, observed, new Date())

const person = { id: ids.creator, name: long, email: long }
const organization = organizationPayload({ slug: long, name: long })
const pipeline = pipelinePayload({ slug: long, name: long, repository: long, tags: [long], created_by: person })
const agent = { id: ids.agent, url: `${base}/agents/${ids.agent}`, name: long, hostname: long, meta_data: [long] }
const job = jobPayload({
  ...{ state: 'passed', finished_at: '2026-05-01T10:00:30.000Z', name: long, label: long, step_key: long },
  ...{ group_key: long, command: long, agent_query_rules: [`queue=${long}`], unblocked_by: person, retried_by: person },
  ...{ unblocked_at: '2026-05-01T10:00:02.000Z', retried_in_job_id: ids.creator, agent },
})
const build = buildPayload({
  ...{ state: 'passed', finished_at: '2026-05-01T10:00:40.000Z', branch: long, commit: long, tag: long, message: long },
  ...{ source: long, author: { username: long, name: long, email: long }, creator: person },
  ...{ pull_request: { id: long, base: long, repository: long, labels: [long] }, meta_data: { [long]: long } },
})

describe.each([
  ['webhooks', () => [observeWebhook('job.finished', { build, job, pipeline, organization }, at(60), options)]],
  [
    'REST',
    () => [
      observeOrganizations([organization], at(100)),
      observePipelines([pipeline], at(100), options),
      observeBuilds([{ ...build, jobs: [job], pipeline }], at(100), options),
      observeAgents([agent], at(100), options),
    ],
  ],
] as const)('texts of 100,000 characters from %s', (_, observations) => {
  it('are stored in full, and stop no table of people or of analytics', async () => {
    await database.db.execute(sql`insert into settings.deployment_rules (pipeline) values ('*')`)
    for (const observed of observations()) await apply(observed)
    expect(await database.db.select().from(builds)).toMatchObject([
      { author_email: long, creator_name: long, message: long, tag: long, meta_data: { [long]: long } },
    ])
    // An index holds these columns: a longer value stays in `extra`.
    const { rows } = await database.db.execute<{ name: string }>(sql`
      select 'branch' as name from ${builds} where extra ->> 'branch' = ${long}
      union all select 'commit' from ${builds} where extra ->> 'commit' = ${long}
      union all select 'pipeline' from ${pipelines} where extra ->> 'slug' = ${long}
      union all select 'organization' from ${organizations} where extra ->> 'slug' = ${long}
      union all select 'agent' from ${agents} where extra ->> 'name' = ${long}`)
    expect(rows).toHaveLength(5)
    expect(await database.db.select().from(jobs)).toMatchObject([
      { step_key: long, name: long, unblocked_by_name: long },
    ])
    expect(await refreshRollups(database.db)).toMatchObject({ failed: 0 })
    expect(await database.db.select().from(failures)).toEqual([])
    const people = await database.db.execute(
      sql`select key, id, name, email, emails, usernames from buildkite.users order by id nulls last`,
    )
    expect(people.rows).toEqual([
      { key: ids.creator, id: ids.creator, name: long, email: long, emails: [long], usernames: [long] },
    ])
  })
})

describe('people without an id in Buildkite', () => {
  it('are one person each, however long their address or user name', async () => {
    const before = await database.db.$count(sql`buildkite.users`)
    const authors = [
      { email: `${long}@one`, name: 'One' },
      { email: `${long}@two`, name: 'Two' },
      { username: `${long}3`, name: 'Three' },
      { username: 'x'.repeat(480), name: 'Four' },
    ]
    for (const round of [1, 2]) {
      const seen = authors.map((author, index) =>
        buildPayload({
          id: `0190a1b2-0000-7000-8000-00000000010${index}`,
          author,
          number: index,
          message: `${round}`,
        }),
      )
      await apply(observeBuilds(seen, at(200 + round), options))
      expect(await refreshRollups(database.db)).toMatchObject({ failed: 0 })
    }
    expect(await database.db.$count(sql`buildkite.users`)).toBe(before + authors.length)
    const { rows } = await database.db.execute<{ name: string; key: string }>(
      sql`select name, key from buildkite.users where name in ('One', 'Two', 'Three', 'Four') order by length(key), name`,
    )
    expect(rows.map(({ name, key }) => [name, key.slice(0, 9)])).toEqual([
      ['One', expect.stringMatching(/^md5:/)],
      ['Three', expect.stringMatching(/^md5:/)],
      ['Two', expect.stringMatching(/^md5:/)],
      ['Four', 'username:'],
    ])
  })
})

describe('clocks that are apart', () => {
  it.each([
    ['behind', -30],
    ['ahead of', 30],
  ])("do not hide a person from buildkite.users when ours is %s Postgres's", async (_, minutes) => {
    await refreshRollups(database.db)
    const email = `clock${minutes}@example.com`
    const seen = buildPayload({ id: ids.build.replace(/^..../, minutes < 0 ? 'aaaa' : 'bbbb'), author: { email } })
    const now = new Date(Date.now() + minutes * 60_000)
    await applyObservations(database.db, observeBuilds([seen], at(300), options), now)
    await refreshRollups(database.db)
    const { rows } = await database.db.execute(sql`select email from buildkite.users where email = ${email}`)
    expect(rows).toEqual([{ email }])
  })
})

/** Why no payload can make an entry too long: an entry has at most 2,704 bytes (https://www.postgresql.org/docs/current/btree.html). */
const bounded: Readonly<Record<string, string>> = {
  agents_organization_name: 'PayloadReader.name() leaves a longer text in extra',
  builds_branch: 'PayloadReader.name()',
  builds_commit: 'PayloadReader.name()',
  builds_pipeline_branch_number: 'PayloadReader.name()',
  organizations_slug: 'PayloadReader.name()',
  pipelines_organization_slug: 'PayloadReader.name()',
  organization_slugs_slug: 'copied from organizations.slug',
  organization_slugs_organization_id_slug_pk: 'copied from organizations.slug',
  pipeline_slugs_slug: 'keepSlugs() skips longer slugs',
  pipeline_slugs_pipeline_id_organization_slug_slug_pk: 'keepSlugs()',
  deployments_commit: 'copied from builds.commit',
  deployments_pkey: 'two ids',
  deployments_latest: 'settings, or pipelines.slug; copied from builds.commit',
  deployments_service: 'settings, or pipelines.slug',
  deployments_restored: 'settings, or pipelines.slug',
  user_identities_person: 'hashes',
  users_pkey: 'sync.refresh_users() hashes a longer key',
  definitions_pkey: 'our names',
  deliveries_key: 'a hash',
  erased_people_hash_unique: 'a hash',
  failures_subject: 'recordFailure() cuts it',
  queue_rates_queue_cluster_pk: 'settings',
  incidents_pkey: 'settings',
  budgets_pkey: 'our names',
  reference_syncs_organization_id_name_pk: 'our names',
  findings_name_subject_pk: 'our names and slugs',
  leases_pkey: 'our names',
  reference_item_syncs_name_subject_id_pk: 'our names',
  pauses_organization_id_task_pk: 'our names',
  counted_jobs_pkey: 'an id, and wait or run',
  job_counts_pkey: 'an id, and wait or run',
  rollups_pkey: 'our names',
  sessions_pkey: 'an HMAC, of our own',
}

it('every index on text is known, with the reason why no payload can make its entries too long', async () => {
  const { rows } = await database.db.execute<{ name: string }>(sql`
    select distinct part.attrelid::regclass::text as name
    from pg_index as one join pg_class as on_table on on_table.oid = one.indrelid
    join pg_attribute as part on part.attrelid = one.indexrelid
    where on_table.relnamespace::regnamespace::text in ('buildkite', 'sync', 'analytics', 'settings')
      and part.atttypid in ('text'::regtype, 'text[]'::regtype, 'jsonb'::regtype)`)
  expect(rows.map(({ name }) => name.split('.').at(-1)).sort()).toEqual(Object.keys(bounded).sort())
})
