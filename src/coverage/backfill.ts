import { and, eq, isNull } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { pipeline_coverage, windows } from '../database/schema.ts'
import { unread, upTo } from '../reconcile/backfill/pipeline-backfill.ts'
import { duration, intersect, type TimeRange } from '../reconcile/progress/time-range.ts'
import type { Watermark } from '../reconcile/progress/watermark.ts'
import type { Window } from '../reconcile/progress/windows.ts'
import { SECOND } from '../runtime/time.ts'
import { timeLeft } from './eta.ts'

export interface BackfillCoverage {
  readonly from: Date | null
  readonly to: Date | null
  /** Share of the wanted history that is read, 0 to 1. Once the organization's list is read, the share over all listed pipelines. */
  readonly progress: number
  readonly builds: number
  /** List requests so far. */
  readonly requests: number
  /** Whether all of it is read; see `claim` for what is complete. */
  readonly done: boolean
  /** Since when it is paused; null when it may run. */
  readonly paused_at: Date | null
  /** BACKFILL_DAYS is 0: the service reads no pending history until it is above 0 again. */
  readonly off: boolean
  /** The estimated time for the rest at the present pace; null when done, paused or idle. */
  readonly seconds_left: number | null
}

export type ListedPipeline = Pick<typeof pipeline_coverage.$inferSelect, 'listed_since'> & { id: string }

/** The windows of the organization's list and of the pipelines' own lists. */
export function windowsOf(db: Db, organizationId: string): Promise<Window[]> {
  return db.select().from(windows).where(eq(windows.organization_id, organizationId))
}

export function listedPipelines(db: Db, organizationId: string): Promise<ListedPipeline[]> {
  const { pipeline_id: id, listed_since, organization_id, unlisted_at } = pipeline_coverage
  return db
    .select({ id, listed_since })
    .from(pipeline_coverage)
    .where(and(eq(organization_id, organizationId), isNull(unlisted_at)))
}

/** Share of the wanted history that was read for the listed pipelines; less than 1 for pipelines that appeared later (pure). */
function shareRead(wanted: TimeRange, all: readonly Window[], listed: readonly ListedPipeline[]): number {
  const whole = all.filter(({ pipeline_id }) => pipeline_id === null)
  const own = new Map<string, Window[]>()
  for (const window of all) {
    if (window.pipeline_id) own.set(window.pipeline_id, [...(own.get(window.pipeline_id) ?? []), window])
  }
  // Most pipelines appeared together and have no own windows.
  const known = new Map<number, number>()
  let total = 0
  for (const { id, listed_since } of listed) {
    const windows = own.get(id)
    const missingOf = (more: readonly Window[]) =>
      duration(unread(upTo(listed_since, wanted), listed_since, [...whole, ...more]))
    const missing = windows ? missingOf(windows) : (known.get(listed_since.getTime()) ?? missingOf([]))
    if (!windows) known.set(listed_since.getTime(), missing)
    const until = Math.max(wanted.to.getTime(), listed_since.getTime())
    total += missing === 0 ? 1 : 1 - missing / (until - wanted.from.getTime())
  }
  return listed.length > 0 ? total / listed.length : 1
}

/** How far the backfill of an organization has come (pure). */
export function backfillCoverage(
  mark: Watermark | undefined,
  all: readonly Window[],
  listed: readonly ListedPipeline[],
  rest: Pick<BackfillCoverage, 'paused_at' | 'off'>,
  now: Date,
): BackfillCoverage {
  const from = mark?.backfill_from ?? null
  const to = mark?.backfill_to ?? null
  // The audit adds windows for what came after the backfill.
  const rows = all.filter(({ created_from, pipeline_id }) => pipeline_id === null && (!to || created_from < to))
  const read = rows.flatMap((row) => {
    const reached = row.status === 'done' ? row.created_from : row.scanned_to
    return reached ? [{ from: reached, to: row.created_to }] : []
  })
  const totals = {
    builds: rows.reduce((sum, row) => sum + row.builds, 0),
    requests: rows.reduce((sum, row) => sum + row.requests, 0),
    ...rest,
  }
  if (!from || !to) {
    return { from, to, progress: 0, ...totals, done: false, seconds_left: null }
  }
  const bounds = { from, to }
  const within = read.map((span) => intersect(span, bounds)).filter((span) => span.from < span.to)
  const whole = to.getTime() - from.getTime()
  const first = whole > 0 ? duration(within) / whole : 1
  const progress = first < 1 ? first : shareRead(bounds, all, listed)
  const done = progress >= 1
  const left = rest.paused_at ? null : timeLeft(rows, bounds, now)
  const seconds_left = left === null ? null : Math.ceil(left / SECOND)
  return { from, to, progress, ...totals, done, seconds_left }
}
