import { isDeepStrictEqual } from 'node:util'
import { and, eq, gt, isNull, lt, type SQL, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../database/connection.ts'
import { watermarks, windows } from '../database/schema.ts'
import { letsInMore, type Scope } from '../scope.ts'
import { DAY } from '../time.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import { gaps, type Span } from './spans.ts'

export type Watermark = typeof watermarks.$inferSelect

/** What is known of an organization's completeness; `undefined` before anything was read. */
export async function readWatermark(db: Db | Transaction, organizationId: string): Promise<Watermark | undefined> {
  const [row] = await db.select().from(watermarks).where(eq(watermarks.organization_id, organizationId))
  return row
}

/**
 * What is known of an organization's completeness, for the pipelines that are wanted now. When they are more than those that its
 * history was read for, all of it is owed anew, up to the watermark.
 */
export async function watermarkOfWanted(deps: ReconcileDeps, { id, slug }: Source): Promise<Watermark | undefined> {
  const { db, log, scope } = deps
  const mark = await readWatermark(db, id)
  if (!mark || isDeepStrictEqual(mark.pipelines_wanted, scope.patterns)) return mark
  const before = mark.pipelines_wanted
  const isWider = before !== null && letsInMore(scope.patterns, before)
  const noted = await db.transaction(async (tx) => {
    const unchanged = before ? eq(watermarks.pipelines_wanted, before) : isNull(watermarks.pipelines_wanted)
    const { rowCount } = await tx
      .update(watermarks)
      .set({ pipelines_wanted: scope.patterns, ...(isWider && owedAnew(id)) })
      .where(and(eq(watermarks.organization_id, id), unchanged))
    if (rowCount === 0 || !isWider) return false
    await forgetReading(tx, id)
    return true
  })
  if (noted) log.warn(`More pipelines of ${slug} are wanted than its history was read for: it is read again.`)
  return readWatermark(db, id)
}

/** A backfill from the oldest that was ever read up to the watermark: what came since the first cycle was read for fewer pipelines, too. */
function owedAnew(organizationId: string) {
  const oldest = sql`(select min(created_from) from ${windows} where organization_id = ${organizationId})`
  return {
    backfill_from: sql`least(${watermarks.backfill_from}, ${oldest})`,
    backfill_to: sql`greatest(${watermarks.backfill_to}, ${watermarks.watermark})`,
    // The list of pipelines held fewer.
    pipelines_read_at: null,
  }
}

/** The same windows, unread. As new rows: who is still reading one of the old ones for fewer pipelines has nothing to note it in. */
async function forgetReading(tx: Transaction, organizationId: string): Promise<void> {
  const { organization_id, created_from, created_to } = windows
  const old = await tx
    .delete(windows)
    .where(eq(organization_id, organizationId))
    .returning({ organization_id, created_from, created_to })
  for (let start = 0; start < old.length; start += 1_000) {
    await tx.insert(windows).values(old.slice(start, start + 1_000))
  }
}

/**
 * True of an organization's windows as long as they are for the pipelines that `scope` wants: another process may have begun to read
 * them for more. For whoever writes down what was read.
 */
export function isFor({ patterns }: Scope, organizationId: string): SQL {
  return sql`not exists (
    select from ${watermarks}
    where ${watermarks.organization_id} = ${organizationId} and ${watermarks.pipelines_wanted} <> ${JSON.stringify(patterns)}::jsonb)`
}

/** Whether history is read for the pipelines that are wanted here. */
export async function readsForWanted({ db, scope }: ReconcileDeps, organizationId: string): Promise<boolean> {
  const { rows } = await db.execute<{ same: boolean }>(sql`select ${isFor(scope, organizationId)} as same`)
  return rows[0]?.same ?? false
}

/**
 * Moves a watermark forward, never back. The first one also fixes what the backfill owes: everything from `backfillDays` before it
 * up to it, of the pipelines that are wanted. A cycle that has read for others than are wanted meanwhile moves nothing.
 */
export async function moveWatermark(
  tx: Transaction,
  { scope, backfillDays }: Pick<ReconcileDeps, 'scope' | 'backfillDays'>,
  organizationId: string,
  kind: 'hot' | 'warm',
  to: Date,
  now: Date,
): Promise<void> {
  const time = sql`${to.toISOString()}::timestamptz`
  const owedFrom = new Date(to.getTime() - backfillDays * DAY)
  await tx
    .insert(watermarks)
    .values({
      organization_id: organizationId,
      watermark: to,
      warm_watermark: kind === 'warm' ? to : null,
      backfill_from: owedFrom,
      backfill_to: to,
      pipelines_wanted: scope.patterns,
      updated_at: now,
    })
    .onConflictDoUpdate({
      target: watermarks.organization_id,
      set: {
        // A warm cycle reads all that a hot one reads, and more.
        watermark: sql`greatest(${watermarks.watermark}, ${time})`,
        ...(kind === 'warm' && { warm_watermark: sql`greatest(${watermarks.warm_watermark}, ${time})` }),
        backfill_from: sql`coalesce(${watermarks.backfill_from}, ${owedFrom.toISOString()}::timestamptz)`,
        backfill_to: sql`coalesce(${watermarks.backfill_to}, ${time})`,
        pipelines_wanted: scope.patterns,
        updated_at: now,
      },
      setWhere: sql`coalesce(${watermarks.pipelines_wanted} = excluded.pipelines_wanted, true)`,
    })
}

/** The parts of the backfill's span that no finished window covers, newest first. */
export async function awaitingBackfill(db: Db, organizationId: string, mark: Watermark | undefined): Promise<Span[]> {
  if (!mark?.backfill_from || !mark.backfill_to || mark.backfill_from >= mark.backfill_to) return []
  const done = await db
    .select({ from: windows.created_from, to: windows.created_to })
    .from(windows)
    .where(
      and(
        eq(windows.organization_id, organizationId),
        eq(windows.status, 'done'),
        lt(windows.created_from, mark.backfill_to),
        gt(windows.created_to, mark.backfill_from),
      ),
    )
  return gaps({ from: mark.backfill_from, to: mark.backfill_to }, done)
}
