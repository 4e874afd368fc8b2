import { and, eq, gt, lt, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../database/connection.ts'
import { watermarks, windows } from '../database/schema.ts'
import { DAY } from '../time.ts'
import { gaps, type Span } from './spans.ts'

export type Watermark = typeof watermarks.$inferSelect

/** What is known of an organization's completeness; `undefined` before anything was read. */
export async function readWatermark(db: Db | Transaction, organizationId: string): Promise<Watermark | undefined> {
  const [row] = await db.select().from(watermarks).where(eq(watermarks.organization_id, organizationId))
  return row
}

/**
 * Moves a watermark forward, never back. The first one also fixes what the backfill owes: everything from `backfillDays` before it
 * up to it.
 */
export async function moveWatermark(
  tx: Transaction,
  organizationId: string,
  kind: 'hot' | 'warm',
  to: Date,
  backfillDays: number,
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
        updated_at: now,
      },
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
