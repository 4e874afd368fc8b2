import { isDeepStrictEqual } from 'node:util'
import { and, eq, gt, isNull, lt, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../../database/connection.ts'
import { watermarks, windows } from '../../database/schema.ts'
import { DAY, MINUTE } from '../../runtime/time.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { gaps, type TimeRange } from './time-range.ts'

export type Watermark = typeof watermarks.$inferSelect

/**
 * Assumed maximum lag of Buildkite's lists behind a write (analytics.data_coverage uses the same two minutes). It is the overlap of
 * each hot cycle. See docs/how-it-works/05-completeness.md.
 */
export const LIST_LAG = 2 * MINUTE

/** The organization's watermarks; `undefined` before anything was read. */
export async function readWatermark(db: Db | Transaction, organizationId: string): Promise<Watermark | undefined> {
  const [row] = await db.select().from(watermarks).where(eq(watermarks.organization_id, organizationId))
  return row
}

/**
 * Whether the pipelines were last listed for the same filter and by a token of the same user. If not, builds lists may show other
 * pipelines than the coverage contains, so the pipelines must be listed before anything else.
 */
export function isListedFor(
  mark: Watermark | undefined,
  { filter }: Pick<ReconcileDeps, 'filter'>,
  { client }: Source,
): boolean {
  return (
    mark?.pipelines_read_at != null &&
    isDeepStrictEqual(mark.pipeline_filter, filter.patterns) &&
    mark.pipelines_listed_by === client.fingerprint
  )
}

/**
 * Whether a read that begins at `from` counts for the claim. After a list of pipelines that did not confirm earlier reads, reads count
 * only once builds lists have caught up with that list.
 */
export function doesCount(mark: Watermark | undefined, from: Date): boolean {
  return !mark?.counts_from || from >= mark.counts_from
}

/** What a cycle has read, on Buildkite's clock. */
export interface CycleReading {
  readonly kind: 'hot' | 'warm'
  /** The watermark that it began with; null for a first cycle. */
  readonly since: Date | null
  /** When its first request was sent: everything before that time is verified. */
  readonly to: Date
}

/**
 * Moves a watermark forward, never back. Returns false if the cycle does not count: meanwhile the pipelines were listed for another
 * filter or token, or a list of pipelines did not confirm earlier reads. The cycle may then have read other pipelines than the coverage
 * contains. The first watermark also sets the range of the backfill: the `backfillDays` before it.
 */
export async function moveWatermark(
  tx: Transaction,
  { filter, backfillDays }: Pick<ReconcileDeps, 'filter' | 'backfillDays'>,
  source: Source,
  { kind, since, to }: CycleReading,
  now: Date,
): Promise<boolean> {
  const [mark] = await tx.select().from(watermarks).where(eq(watermarks.organization_id, source.id)).for('update')
  const isBehind = since !== null && mark?.watermark != null && mark.watermark < since
  if (isBehind || (mark?.watermark && !doesCount(mark, to))) return false
  const time = sql`${to.toISOString()}::timestamptz`
  const from = new Date(to.getTime() - backfillDays * DAY)
  const { rowCount } = await tx
    .insert(watermarks)
    .values({
      organization_id: source.id,
      watermark: to,
      warm_watermark: kind === 'warm' ? to : null,
      backfill_from: from,
      backfill_to: to,
      updated_at: now,
    })
    .onConflictDoUpdate({
      target: watermarks.organization_id,
      set: {
        // A warm cycle reads everything that a hot one reads, and more.
        watermark: sql`greatest(${watermarks.watermark}, ${time})`,
        ...(kind === 'warm' && { warm_watermark: sql`greatest(${watermarks.warm_watermark}, ${time})` }),
        backfill_from: sql`coalesce(${watermarks.backfill_from}, ${from.toISOString()}::timestamptz)`,
        backfill_to: sql`coalesce(${watermarks.backfill_to}, ${time})`,
        updated_at: now,
      },
      setWhere: sql`${watermarks.pipelines_read_at} is null or
        (${watermarks.pipeline_filter} = ${JSON.stringify(filter.patterns)}::jsonb
          and ${watermarks.pipelines_listed_by} = ${source.client.fingerprint})`,
    })
  return rowCount === 1
}

/** The parts of the organization's backfill that no finished window covers, newest first. */
export async function awaitingBackfill(
  db: Db,
  organizationId: string,
  mark: Watermark | undefined,
): Promise<TimeRange[]> {
  if (!mark?.backfill_from || !mark.backfill_to || mark.backfill_from >= mark.backfill_to) return []
  const done = await db
    .select({ from: windows.created_from, to: windows.created_to })
    .from(windows)
    .where(
      and(
        eq(windows.organization_id, organizationId),
        isNull(windows.pipeline_id),
        eq(windows.status, 'done'),
        lt(windows.created_from, mark.backfill_to),
        gt(windows.created_to, mark.backfill_from),
      ),
    )
  return gaps({ from: mark.backfill_from, to: mark.backfill_to }, done)
}
