import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { recordFailure } from '../../src/database/failures.ts'
import { organizations, pipeline_coverage, pipelines, watermarks, windows } from '../../src/database/schema.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { runCommand } from '../support/service.ts'

const now = Date.now()
const ago = (ms: number) => new Date(now - ms)
const acme = crypto.randomUUID()
const seen = { observed_at: ago(0), first_seen_at: ago(90 * DAY), first_seen_via: 'rest', changed_at: ago(0) } as const

let home: TestDatabase
let database: Database
beforeEach(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'status test' })
  const { db } = database
  await db.insert(organizations).values({ id: acme, slug: 'acme', ...seen })
  const listed_at = { pipelines_read_at: ago(4 * MINUTE), confirmed_to: ago(4 * MINUTE) }
  const history = { backfill_from: ago(11 * DAY), backfill_to: ago(DAY), ...listed_at }
  await db.insert(watermarks).values({ organization_id: acme, watermark: ago(MINUTE), ...history, updated_at: ago(0) })
  const at = ago(20 * HOUR)
  const times = { first_verified_at: at, first_verified_until: at, verified_at: at, verified_until: at }
  const read = { status: 'done', ...times } as const
  await db.insert(windows).values({ organization_id: acme, created_from: ago(11 * DAY), created_to: ago(DAY), ...read })
})
afterEach(async () => {
  await database.close()
  await home.drop()
})

async function listed(slug: string, listed_since: Date): Promise<void> {
  const id = crypto.randomUUID()
  await database.db.insert(pipelines).values({ id, organization_id: acme, slug, ...seen })
  await database.db.insert(pipeline_coverage).values({ pipeline_id: id, organization_id: acme, listed_since })
}

const status = async () => (await runCommand(['status'], { DATABASE_URL: home.url })).stdout

describe('status', () => {
  it('prints the claim, and does not report the backfill as done while history of a pipeline is unread', async () => {
    await listed('web', ago(2 * DAY))
    const as_of = ago(4 * MINUTE).toISOString()
    expect(await status()).toContain(
      `acme: builds complete from ${ago(11 * DAY).toISOString()} as of ${as_of}, jobs as of ${as_of}; ` +
        `1 of 1 pipeline complete over the wanted history; pipelines listed at ${as_of}; 0 exceptions.`,
    )
    expect(await status()).toMatch(/^acme +4m[\d\ss]* ago +[-\d]+ +done /m)
    await listed('docs', ago(HOUR))
    const owing = await status()
    expect(owing).toContain('1 of 2 pipelines complete over the wanted history')
    expect(owing).toMatch(/^acme +4m[\d\ss]* ago +[-\d]+ +50% /m)
  })

  it('names the work that fails', async () => {
    const unit = { kind: 'window', organizationId: acme, subject: 'May' } as const
    await recordFailure(database.db, unit, new Error('Buildkite answered 504.'), ago(HOUR))
    expect(await status()).toContain(
      '1 unit of work failed and is retried:\n  Part of the history May of acme: 1 try since 1h ago: Buildkite answered 504.\n',
    )
  })
})
