import { eq, inArray, sql } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { builds, deliveries, job_reads } from '../database/schema.ts'
import { LIST_LAG, type Watermark } from './watermark.ts'

/**
 * The time as of which the mirror claims to be right, as `as_of` in analytics.data_coverage; undefined when it claims nothing. While the
 * list of pipelines is still to be read, only the watermark counts.
 */
export function claimTime(mark: Watermark | undefined): Date | undefined {
  if (!mark?.watermark) return undefined
  const listed = mark.pipelines_read_at?.getTime() ?? Number.POSITIVE_INFINITY
  return new Date(Math.min(mark.watermark.getTime() - LIST_LAG, listed))
}

/** Of the builds whose jobs REST has yet to confirm: the time as of which their jobs are claimed. The jobs of others are as old as the build. */
export async function jobClaims(db: Db, buildIds: readonly string[]): Promise<ReadonlyMap<string, Date>> {
  if (buildIds.length === 0) return new Map()
  const rows = await db
    .select({ build_id: job_reads.build_id, read_at: job_reads.read_at, created_at: builds.created_at })
    .from(job_reads)
    .leftJoin(builds, eq(builds.id, job_reads.build_id))
    .where(inArray(job_reads.build_id, [...buildIds]))
  return new Map(rows.map(({ build_id, read_at, created_at }) => [build_id, read_at ?? created_at ?? new Date(0)]))
}

/** How many pending deliveries are searched: with more than these the workers are far behind, and dates alone decide. */
const DELIVERIES_SEARCHED = 2_000

/** Those of the builds that a delivery is about which no worker has applied yet. */
export async function buildsWithDeliveries(db: Db, buildIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (buildIds.length === 0) return new Set()
  const { rows } = await db.execute<{ id: string }>(sql`
    with waiting as materialized (
      select payload from ${deliveries} where status = 'pending' and payload is not null order by id limit ${DELIVERIES_SEARCHED}
    )
    select build.id from unnest(${sql.param([...buildIds])}::text[]) as build (id)
    where exists (select from waiting where position(build.id in waiting.payload) > 0)`)
  return new Set(rows.map(({ id }) => id))
}
