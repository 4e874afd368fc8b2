import { sql } from 'drizzle-orm'
import type { BuildkiteClient } from '../../buildkite/client.ts'
import type { Db } from '../../database/connection.ts'
import { buildkiteClock } from '../../database/schema.ts'
import { SECOND } from '../../runtime/time.ts'
import type { Source } from '../context.ts'
import { databaseNow } from './rate-limit-store.ts'

/** If Postgres takes longer than this to answer, its clock is measured too inaccurately. */
const SLOW = SECOND

/**
 * Stores Buildkite's clock, measured against the database's, for processes that send no requests to Buildkite. Does nothing before the
 * first answer of Buildkite, or when Postgres is slow. Writes at most once a minute while nothing changes. @throws the driver's error.
 */
export async function storeBuildkiteClock(db: Db, sources: readonly Source[]): Promise<void> {
  const client = sources.find((source) => source.client.now() !== undefined)?.client
  const measured = client && (await measure(db, client))
  if (measured === undefined) return
  const measured_at = sql`clock_timestamp()`
  await db
    .insert(buildkiteClock)
    .values({ ahead_ms: measured, measured_at })
    .onConflictDoUpdate({
      target: buildkiteClock.single_row,
      set: { ahead_ms: measured, measured_at },
      setWhere: sql`${buildkiteClock.measured_at} < clock_timestamp() - interval '1 minute'
        or ${buildkiteClock.measured_at} > clock_timestamp() or abs(${buildkiteClock.ahead_ms} - ${measured}) > ${SECOND}`,
    })
}

/** How far Buildkite's clock is ahead of the database's, in milliseconds; the smaller value if uncertain. */
async function measure(db: Db, client: Pick<BuildkiteClient, 'now'>): Promise<number | undefined> {
  const before = client.now()
  const now = await databaseNow(db)
  const after = client.now()
  if (!before || !after || after.getTime() - before.getTime() > SLOW) return undefined
  return before.getTime() - now
}
