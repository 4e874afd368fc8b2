import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BuildkiteClient } from '../../src/buildkite/client.ts'
import { coverage, type OrganizationCoverage } from '../../src/coverage/coverage.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { recordFailure } from '../../src/database/failures.ts'
import { organizations, pipeline_coverage, pipelines, watermarks, windows } from '../../src/database/schema.ts'
import { owedHistory } from '../../src/reconcile/backfill/pipeline-backfill.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const now = new Date('2026-06-01T12:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms)
const acme = '0190a0b0-0000-7000-8000-000000000001'
const seen = { observed_at: now, first_seen_at: ago(90 * DAY), first_seen_via: 'rest', changed_at: now } as const

let home: TestDatabase
let database: Database
beforeEach(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'claim test' })
  await database.db.insert(organizations).values({ id: acme, slug: 'acme', ...seen })
})
afterEach(async () => {
  await database.close()
  await home.drop()
})

/** A pipeline that the list of pipelines has held since `listed_since`. */
async function listed(slug: string, listed_since: Date): Promise<string> {
  const id = crypto.randomUUID()
  await database.db.insert(pipelines).values({ id, organization_id: acme, slug, ...seen })
  await database.db.insert(pipeline_coverage).values({ pipeline_id: id, organization_id: acme, listed_since })
  return id
}

const mark = (values: Partial<typeof watermarks.$inferInsert>) =>
  database.db.insert(watermarks).values({ organization_id: acme, updated_at: now, ...values })

/** A range of history that was read at `at`, through the list of the organization or of a pipeline. */
const read = (created_from: Date, created_to: Date, at: Date, pipeline_id: string | null = null) =>
  database.db.insert(windows).values({
    organization_id: acme,
    pipeline_id,
    created_from,
    created_to,
    status: 'done',
    first_verified_at: at,
    first_verified_until: at,
    verified_at: at,
    verified_until: at,
  })

async function said(): Promise<OrganizationCoverage> {
  const [organization] = await coverage(database.db, now)
  if (!organization) throw new Error('The organization is not known.')
  return organization
}

/** The last list of pipelines was read two minutes ago, and confirmed what a cycle of six minutes ago had read. */
const marks = {
  watermark: ago(MINUTE),
  backfill_from: ago(11 * DAY),
  backfill_to: ago(DAY),
  pipelines_read_at: ago(2 * MINUTE),
  confirmed_to: ago(6 * MINUTE),
}

/** Ten days of history that both pipelines have whole, read a day ago. */
async function complete(): Promise<void> {
  await mark(marks)
  await listed('web', ago(2 * DAY))
  await listed('api', ago(2 * DAY))
  await read(ago(11 * DAY), ago(DAY), ago(20 * HOUR))
}

describe('the claim of an organization', () => {
  it('is empty before the first cycle, however often the pipelines were listed', async () => {
    await listed('web', ago(2 * HOUR))
    await mark({ pipelines_read_at: ago(MINUTE) })
    const rows = await database.db.execute(sql`select complete_from, is_current, as_of from analytics.data_coverage`)
    expect(rows.rows).toEqual([{ complete_from: null, is_current: false, as_of: null }])
    expect(await said()).toMatchObject({ covered_from: null, claim: { as_of: null, pipelines: 1 } })
  })

  it('ends at what the last list of pipelines confirmed', async () => {
    await complete()
    const { claim, covered_from, backfill } = await said()
    expect(claim).toEqual({
      as_of: ago(6 * MINUTE),
      jobs_as_of: ago(6 * MINUTE),
      pipelines_listed_at: ago(2 * MINUTE),
      pipelines: 2,
      pipelines_current: 2,
      pipelines_complete: 2,
      exceptions: 0,
    })
    expect(covered_from).toEqual(ago(11 * DAY))
    expect(backfill).toMatchObject({ progress: 1, done: true })
  })

  it('is not done while the history of a pipeline that appeared later is unread', async () => {
    await complete()
    const later = await listed('docs', ago(HOUR))
    const owing = await said()
    expect(owing.claim).toMatchObject({ pipelines: 3, pipelines_current: 3, pipelines_complete: 2 })
    expect(owing.covered_from).toEqual(ago(HOUR))
    expect(owing.backfill.done).toBe(false)
    expect(owing.backfill.progress).toBeGreaterThan(0.6)
    expect(owing.backfill.progress).toBeLessThan(0.7)
    await read(ago(11 * DAY), ago(HOUR), ago(30 * MINUTE), later)
    expect(await said()).toMatchObject({ backfill: { progress: 1, done: true }, claim: { pipelines_complete: 3 } })
    expect((await said()).covered_from).toEqual(ago(11 * DAY))
  })

  it('counts a range that cannot be listed once, however many pipelines there are', async () => {
    await complete()
    const range = { from: ago(5 * DAY), to: ago(4 * DAY) }
    const unit = { kind: 'builds_list', organizationId: acme, subject: 'a range', range } as const
    await recordFailure(database.db, unit, new Error('504'), now)
    const build = {
      kind: 'build',
      organizationId: acme,
      subject: 'web #1',
      pipelineSlug: 'web',
      buildNumber: 1,
    } as const
    await recordFailure(database.db, build, new Error('403'), now)
    expect((await said()).claim.exceptions).toBe(2)
  })
})

it('a window whose end an older version did not record is neither claimed nor taken for read', async () => {
  await complete()
  await database.db.update(windows).set({ first_verified_until: null, verified_until: null })
  expect(await said()).toMatchObject({ claim: { pipelines_complete: 0 }, backfill: { done: false } })
  const clock = () => now.getTime()
  const source = { id: acme, slug: 'acme', client: { now: () => now } as BuildkiteClient }
  const [owing] = await database.db.select().from(watermarks)
  if (!owing) throw new Error('There is no watermark.')
  const { pipelines: owed } = await owedHistory({ db: database.db, clock }, source, owing)
  expect(owed.map(({ slug, missing }) => [slug, missing])).toEqual([
    ['api', [{ from: ago(11 * DAY), to: ago(DAY) }]],
    ['web', [{ from: ago(11 * DAY), to: ago(DAY) }]],
  ])
})

describe('the strip of an organization', () => {
  it('shows as live or verified only what is complete in every pipeline', async () => {
    await complete()
    expect((await said()).strip.map(({ kind }) => kind)).toEqual(['verified', 'live', 'ahead'])
    expect((await said()).strip.at(-1)?.from).toEqual(ago(6 * MINUTE))
    await listed('docs', ago(HOUR))
    const { strip } = await said()
    expect(strip.map(({ kind, to }) => [kind, to])).toEqual([
      ['partial', ago(HOUR)],
      ['live', ago(6 * MINUTE)],
      ['ahead', now],
    ])
  })

  it('shows nothing as verified before a list of pipelines confirms it, even if all of it is read', async () => {
    await mark(marks)
    await listed('web', ago(2 * DAY))
    await read(ago(11 * DAY), ago(DAY), ago(3 * MINUTE))
    const { strip, backfill, claim } = await said()
    expect(strip.map(({ kind }) => kind)).toEqual(['partial', 'live', 'ahead'])
    expect(claim.pipelines_complete).toBe(0)
    expect(backfill.done).toBe(true)
  })
})
