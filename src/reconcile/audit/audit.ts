import { and, desc, eq, isNull, max, or, sql } from 'drizzle-orm'
import { dueAt } from '../../database/failures.ts'
import { withLease } from '../../database/leases.ts'
import { builds, cycles, windows } from '../../database/schema.ts'
import { BuildkiteError, messageOf } from '../../runtime/errors.ts'
import { DAY, HOUR, MINUTE, monotonicBeside } from '../../runtime/time.ts'
import { createdIn } from '../builds/locate-build.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { type TimeRange, WINDOW_BUILDS } from '../progress/time-range.ts'
import { doesCount, isListedFor, readWatermark } from '../progress/watermark.ts'
import { failWindow, renewWindow, spanOf, type Window, windowsIn } from '../progress/windows.ts'
import { type Discrepancy, recordDrift } from './drift.ts'
import { type VerifyReport, verifySpan } from './verify.ts'

/** The age at which the audit reads a window again: recent builds still change, old ones rarely do. */
const RECENT = 7 * DAY
const RECENT_EVERY = DAY
const OLD_EVERY = 7 * DAY
/** A run starts no more windows after this time, so that the backfill can run. */
const RUN = MINUTE
/** The warm cycles still cover builds younger than this. */
const BEHIND = 3 * HOUR

/**
 * One audit run for one organization. Reads the windows that are due again, the most overdue first, corrects differences and records
 * them in sync.drift. `undefined` when another process holds the lease.
 * @throws BuildkiteError, StoreError; windows already read stay verified.
 */
export async function runAudit(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
): Promise<VerifyReport[] | undefined> {
  const monotonic = monotonicBeside(deps.clock)
  const until = monotonic() + RUN
  const leased = await withLease(
    deps.db,
    `audit:${source.id}`,
    async (lease) => {
      const own = { ...deps, db: lease.db }
      await addWindows(own, source)
      const reports: VerifyReport[] = []
      let failuresInARow = 0
      while (!lease.signal.aborted && monotonic() < until) {
        // A list of pipelines that confirms nothing may arrive during the run; a window read before its counts_from stays due.
        const now = presentOf(deps, source)
        if (!doesCount(await readWatermark(own.db, source.id), now)) break
        const window = await dueWindow(own, source)
        if (!window) break
        try {
          reports.push(await auditSpan(own, source, spanOf(window), lease.signal))
          failuresInARow = 0
        } catch (error) {
          if (lease.signal.aborted || !(error instanceof BuildkiteError) || error.code !== 'unavailable') throw error
          await failWindow(own, source, window, error, messageOf(error))
          failuresInARow += 1
          // The API is down; the window is not the cause.
          if (failuresInARow >= FAILURES_IN_A_ROW) throw error
        }
      }
      return reports
    },
    { signal },
  )
  return leased.held ? leased.value : undefined
}

/** The run ends after this many consecutive failed windows. */
const FAILURES_IN_A_ROW = 3

/**
 * Reads all builds created in a span again, corrects differences, and records them in sync.drift and the audit in sync.cycles. Windows
 * of history within the span count as verified.
 * @throws BuildkiteError, StoreError; the audit's row then has the error.
 */
export async function auditSpan(
  deps: ReconcileDeps,
  source: Source,
  span: TimeRange,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  const { db, clock, log } = deps
  const row = {
    organization_id: source.id,
    kind: 'audit',
    watermark_from: span.from,
    watermark_to: span.to,
    started_at: new Date(clock()),
  } as const
  try {
    const report = await verifySpan(deps, source, { span, heal: true, priority: 'audit', signal })
    const now = new Date(clock())
    await recordDrift(db, source.id, 'audit', report.findings, now)
    for (const { kind } of report.findings) deps.record?.('drift_found_total', 1, { kind })
    await renewWindows(deps, source, span, report.read_at ?? row.started_at)
    const read = { requests: report.requests, builds_read: report.builds, ...tally(report.findings) }
    await db.insert(cycles).values({ ...row, finished_at: now, ...read })
    if (report.findings.length > 0) {
      const words = `${span.from.toISOString()} to ${span.to.toISOString()}`
      const message = `The audit found ${report.findings.length} differences among builds created from ${words}; see sync.drift.`
      log.warn({ organization: source.slug, ...tally(report.findings) }, message)
    }
    return report
  } catch (error) {
    const failed = { ...row, finished_at: new Date(clock()), error: messageOf(error) }
    // The caller gets the error itself; a database that is down cannot record it.
    if (!signal?.aborted)
      await db
        .insert(cycles)
        .values(failed)
        .catch(() => {})
    throw error
  }
}

/** Marks the windows within the span as verified: each of their builds was just read. */
async function renewWindows(deps: ReconcileDeps, source: Source, span: TimeRange, at: Date): Promise<void> {
  for (const window of await windowsIn(deps.db, source.id, span)) {
    const isWithin = window.created_from >= span.from && window.created_to <= span.to
    if (isWithin && window.status === 'done') await renewWindow(deps, source, window, at)
  }
}

/** Counts findings by kind, as the columns of sync.cycles. */
export function tally(findings: readonly Discrepancy[]) {
  const of = (missing: boolean, job: boolean) =>
    findings.filter(({ kind, job_id }) => (kind === 'missing') === missing && (job_id !== null) === job).length
  return {
    builds_missing: of(true, false),
    builds_healed: of(false, false),
    jobs_missing: of(true, true),
    jobs_healed: of(false, true),
  }
}

/** The finished window that is most overdue relative to its interval; the newest one among equals. Undefined when none is due. */
async function dueWindow({ db, clock }: ReconcileDeps, source: Source): Promise<Window | undefined> {
  const ago = (ms: number) => new Date(clock() - ms).toISOString()
  const every = sql`case when ${windows.created_to} > ${ago(RECENT)}::timestamptz then ${RECENT_EVERY}::float8 else ${OLD_EVERY}::float8 end`
  const intervals = sql`extract(epoch from ${ago(0)}::timestamptz - ${windows.verified_at}) * 1000 / ${every}`
  const [window] = await db
    .select()
    .from(windows)
    .where(
      and(
        eq(windows.organization_id, source.id),
        isNull(windows.pipeline_id),
        eq(windows.status, 'done'),
        or(isNull(windows.next_try_at), dueAt(windows.next_try_at, new Date(clock()))),
        sql`${intervals} > 1`,
      ),
    )
    .orderBy(sql`${intervals} desc`, desc(windows.created_to))
    .limit(1)
  return window
}

/**
 * Adds windows for what the cycles have covered since the backfill's end, a day or more at a time, so that the audit includes it.
 * They begin as done. The cycles read each part when it was new, so a window counts as read at its start. It does not cover a
 * pipeline that appeared later.
 */
async function addWindows(deps: ReconcileDeps, source: Source): Promise<void> {
  const { db, clock } = deps
  const mark = await readWatermark(db, source.id)
  if (!mark?.watermark || !mark.backfill_to || !isListedFor(mark, deps, source)) return
  const [newest] = await db
    .select({ to: max(windows.created_to) })
    .from(windows)
    .where(and(eq(windows.organization_id, source.id), isNull(windows.pipeline_id)))
  const from = new Date(Math.max(mark.backfill_to.getTime(), newest?.to?.getTime() ?? 0))
  const to = new Date(mark.watermark.getTime() - BEHIND)
  if (to.getTime() - from.getTime() < DAY) return
  const total = await db.$count(builds, createdIn(source, { from, to }))
  const parts = Math.max(1, Math.ceil(total / WINDOW_BUILDS))
  const edge = (part: number) => new Date(from.getTime() + Math.round(((to.getTime() - from.getTime()) * part) / parts))
  const now = new Date(clock())
  const added: (typeof windows.$inferInsert)[] = []
  for (let part = 0; part < parts; part++) {
    const span = { from: edge(part), to: edge(part + 1) }
    added.push({
      organization_id: source.id,
      created_from: span.from,
      created_to: span.to,
      status: 'done',
      builds: await db.$count(builds, createdIn(source, span)),
      started_at: now,
      finished_at: now,
      first_verified_at: span.from,
      first_verified_until: span.to,
      verified_at: span.from,
      verified_until: span.to,
    })
  }
  await db.transaction((tx) => tx.insert(windows).values(added))
}
