import { and, eq, isNull, lte, sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { pipeline_coverage, pipelines, windows } from '../../database/schema.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { gaps, type TimeRange } from '../progress/time-range.ts'
import { awaitingBackfill, type Watermark } from '../progress/watermark.ts'
import { type ListedPipeline, spanOf, type Window } from '../progress/windows.ts'

/** A pipeline that appeared after parts of the organization's history were read, and the parts of its own history still unread. */
export interface OwedPipeline extends ListedPipeline {
  readonly listedSince: Date
  /** Ranges of created_at, newest first. */
  readonly missing: readonly TimeRange[]
}

/** Unread history of pipelines that appeared later. */
export interface OwedHistory {
  /** Through each pipeline's own list. */
  readonly pipelines: readonly OwedPipeline[]
  /** Windows of the organization to read again instead, if that takes fewer requests, and ranges that no window covers. */
  readonly windows: readonly Window[]
  readonly ranges: readonly TimeRange[]
}

/** Below this many pipelines their own lists are always read. */
const FEW = 20

/**
 * The unread part of the wanted history of pipelines that appeared after it was read for the others; only the part `within` a range, if
 * one is given. Excludes what the organization's own backfill has not read yet, because it will include these pipelines. Also excludes
 * pipelines that builds lists may not show yet.
 */
export async function owedHistory(
  { db, clock }: Pick<ReconcileDeps, 'db' | 'clock'>,
  source: Source,
  mark: Watermark,
  within?: TimeRange,
): Promise<OwedHistory> {
  const { backfill_from, backfill_to } = mark
  if (!backfill_from || !backfill_to) return { pipelines: [], windows: [], ranges: [] }
  const all = await db.select().from(windows).where(eq(windows.organization_id, source.id))
  const whole = all.filter(({ pipeline_id }) => pipeline_id === null)
  const pending = await awaitingBackfill(db, source.id, mark)
  const owed: OwedPipeline[] = []
  const again = new Set<Window>()
  const now = presentOf({ clock }, source)
  for (const { id, slug, listedSince } of await listedPipelines(db, source, now)) {
    const own = all.filter(({ pipeline_id }) => pipeline_id === id)
    const wanted = within ?? upTo(listedSince, { from: backfill_from, to: backfill_to })
    const missing = unread(wanted, listedSince, [...whole, ...own], pending)
    if (missing.length === 0) continue
    owed.push({ id, slug, listedSince, missing })
    for (const window of whole) {
      const isRead = isReadSince(listedSince, window)
      const isOutside = within && !contains(within, window)
      if (window.status === 'done' && !isRead && !isOutside && missing.some((span) => touches(span, window))) {
        again.add(window)
      }
    }
  }
  const requests = [...again].reduce((total, window) => total + Math.max(1, window.requests), 0)
  // Both are estimates: a pipeline's own list takes at least a request.
  if (owed.length <= FEW || owed.length <= requests) return { pipelines: owed, windows: [], ranges: [] }
  const newestFirst = [...again].sort((a, b) => b.created_to.getTime() - a.created_to.getTime())
  // Above the last window, and where no windows were created, the cycles have read the pipelines that were listed then.
  const done = whole.filter(({ status }) => status === 'done').map(spanOf)
  const ranges = gaps(bounds(owed.flatMap(({ missing }) => missing)), [...done, ...pending])
  // Windows that extend beyond the range are not read again.
  if (newestFirst.length + ranges.length === 0) return { pipelines: owed, windows: [], ranges: [] }
  return { pipelines: [], windows: newestFirst, ranges }
}

/** The wanted history of a pipeline: it reaches up to when the pipeline was listed, because cycles before did not read its builds. */
export function upTo(listedSince: Date, { from, to }: TimeRange): TimeRange {
  return { from, to: later(listedSince, to) }
}

/**
 * The wanted history that no window has read since the pipeline was listed, neither through the organization's list nor the
 * pipeline's; newest first, without `pending` (pure).
 */
export function unread(
  wanted: TimeRange,
  listedSince: Date,
  known: readonly Window[],
  pending: readonly TimeRange[] = [],
): TimeRange[] {
  const read = known.filter((window) => isReadSince(listedSince, window)).map(spanOf)
  return wanted.from < wanted.to ? gaps(wanted, [...read, ...pending]) : []
}

/** The same condition as in analytics.data_coverage. Older versions recorded no end of a read, and no list can confirm such a read. */
function isReadSince(listedSince: Date, window: Window): boolean {
  const { status, pipeline_id, first_verified_at, first_verified_until, verified_at, verified_until } = window
  const isSince = (at: Date | null) => at !== null && at >= listedSince
  if (status !== 'done') return false
  if (pipeline_id !== null) return isSince(first_verified_at)
  return (
    (isSince(first_verified_at) && first_verified_until !== null) || (isSince(verified_at) && verified_until !== null)
  )
}

function bounds(spans: readonly TimeRange[]): TimeRange {
  const ends = spans.flatMap(({ from, to }) => [from.getTime(), to.getTime()])
  return { from: new Date(Math.min(...ends)), to: new Date(Math.max(...ends)) }
}

function later(a: Date, b: Date): Date {
  return new Date(Math.max(a.getTime(), b.getTime()))
}

function touches({ from, to }: TimeRange, { created_from, created_to }: Window): boolean {
  return created_from < to && created_to > from
}

function contains({ from, to }: TimeRange, { created_from, created_to }: Window): boolean {
  return created_from >= from && created_to <= to
}

async function listedPipelines(db: Db, source: Source, now: Date): Promise<(ListedPipeline & { listedSince: Date })[]> {
  const rows = await db
    .select({ id: pipelines.id, slug: pipelines.slug, listedSince: pipeline_coverage.listed_since })
    .from(pipeline_coverage)
    .innerJoin(pipelines, eq(pipelines.id, pipeline_coverage.pipeline_id))
    .where(
      and(
        eq(pipeline_coverage.organization_id, source.id),
        isNull(pipeline_coverage.unlisted_at),
        lte(pipeline_coverage.listed_since, now),
      ),
    )
    .orderBy(pipeline_coverage.listed_since, pipelines.slug)
  return rows.flatMap(({ slug, ...row }) => (slug === null ? [] : [{ ...row, slug }]))
}

/** Deletes windows of a pipeline's own list that were read before it was listed. They no longer count, and would block new ones. */
export async function dropStaleWindows(db: Db, { id, listedSince }: OwedPipeline): Promise<void> {
  const stale = sql`coalesce(${windows.first_verified_at} < ${listedSince.toISOString()}::timestamptz, false)`
  await db.transaction((tx) => tx.delete(windows).where(and(eq(windows.pipeline_id, id), stale)))
}
