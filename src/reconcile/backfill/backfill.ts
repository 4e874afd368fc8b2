import { eq } from 'drizzle-orm'
import { withLease } from '../../database/leases.ts'
import { watermarks } from '../../database/schema.ts'
import { DAY, pause, SECOND } from '../../runtime/time.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { reconcileOnce } from '../cycle/cycle.ts'
import { isListDue } from '../pipelines/coverage.ts'
import { pipelinesBackOff, refreshPipelines } from '../pipelines/pipelines.ts'
import { coveredBackFrom, duration, intersect, type TimeRange } from '../progress/time-range.ts'
import { awaitingBackfill, readWatermark } from '../progress/watermark.ts'
import { spanOf, windowsIn } from '../progress/windows.ts'
import { owedHistory } from './pipeline-backfill.ts'
import { type BackfillPace, WindowReader } from './window-reader.ts'

/** How far a backfill of one span has come, over all its runs. */
export interface BackfillProgress {
  readonly organization: string
  readonly from: Date
  readonly to: Date
  /** The organization's list was read from this time to `to`. See analytics.data_coverage for what is complete. */
  readonly coveredFrom: Date
  readonly buildsDone: number
  /** An estimate from the builds in the time read so far; `undefined` before anything was read. */
  readonly buildsExpected: number | undefined
  /** List requests of all runs so far. */
  readonly requests: number
  readonly done: boolean
}

/**
 * Reads every build created in [from, to) that no window covers yet, newest first, window by window. Includes pipelines that appeared
 * after the others were read. Commits each page before it records the window's progress, so that a killed run resumes where it stopped.
 * Runs the first cycle before, if there was none: later cycles look back to it, and find what changes after the backfill's reads.
 * Resolves with the progress; `undefined` when another process fills this organization. When `signal` aborts, returns early with
 * `done` false.
 * @throws BuildkiteError, StoreError; what is read stays read.
 */
export async function backfillSpan(
  deps: ReconcileDeps,
  source: Source,
  from: Date,
  to: Date,
  onProgress: (progress: BackfillProgress) => void = () => {},
  signal?: AbortSignal,
): Promise<BackfillProgress | undefined> {
  const span = { from, to }
  const leased = await withLease(
    deps.db,
    `backfill:${source.id}`,
    async (lease) => {
      const pace = { ignoresBackOff: true }
      const reader = await WindowReader.open({ ...deps, db: lease.db }, source, lease.signal, pace)
      await runFirstCycle(deps, source, lease.signal)
      reader.onPage = async () => onProgress(await progressOf(deps, source, span))
      const mark = await readWatermark(deps.db, source.id)
      await reader.readAll(span, mark && { ...mark, backfill_from: from, backfill_to: to }, span)
      return progressOf(deps, source, span)
    },
    { signal },
  )
  if (!leased.held) return undefined
  onProgress(leased.value)
  return leased.value
}

/** Runs the first cycle if there was none. Waits if another process runs it. */
async function runFirstCycle(deps: ReconcileDeps, source: Source, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !(await readWatermark(deps.db, source.id))?.watermark) {
    const report = await reconcileOnce(deps, source, 'hot', signal)
    if (!report) await pause(SECOND / 2, signal)
  }
}

/**
 * One run of an organization's pending backfill: from its first watermark back to `backfillDays` before, and the history of
 * pipelines that appeared later. The two alternate, window by window. `undefined` when there is nothing to do or another process
 * holds the lease.
 * @throws BuildkiteError, StoreError.
 */
export async function backfillOwed(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
  pace: BackfillPace = {},
  onProgress: (progress: BackfillProgress) => void = () => {},
): Promise<BackfillProgress | undefined> {
  // BACKFILL_DAYS=0 also stops a running backfill. What is pending stays pending, and is read when BACKFILL_DAYS is above 0 again.
  if (deps.backfillDays === 0) return undefined
  const mark = await readWatermark(deps.db, source.id)
  if (!mark?.backfill_to || !mark.backfill_from) return undefined
  // Raising BACKFILL_DAYS after the first cycle extends the backfill; lowering it does not shorten it.
  const now = presentOf(deps, source).getTime()
  const wanted = new Date(now - deps.backfillDays * DAY)
  const from = wanted < mark.backfill_from ? wanted : mark.backfill_from
  if (from < mark.backfill_from) {
    await deps.db.update(watermarks).set({ backfill_from: from }).where(eq(watermarks.organization_id, source.id))
  }
  const owed = { ...mark, backfill_from: from }
  const span = { from, to: mark.backfill_to }
  const others = await owedHistory(deps, source, owed)
  const isOwedToOthers = others.pipelines.length + others.windows.length + others.ranges.length > 0
  if (!isOwedToOthers && (await awaitingBackfill(deps.db, source.id, owed)).length === 0) {
    // Read history is claimed once a list of pipelines confirms it, so do not wait for the next scheduled list.
    const isWanted = (await isListDue(deps, source)) && !(await pipelinesBackOff(deps, source))
    if (isWanted) await refreshPipelines(deps, source, signal)
    return undefined
  }
  const leased = await withLease(
    deps.db,
    `backfill:${source.id}`,
    async (lease) => {
      const reader = await WindowReader.open({ ...deps, db: lease.db }, source, lease.signal, pace)
      reader.onPage = async () => onProgress(await progressOf(deps, source, span))
      await reader.readAll(span, owed)
      return progressOf(deps, source, span)
    },
    { signal },
  )
  if (!leased.held) return undefined
  onProgress(leased.value)
  return leased.value
}

async function progressOf({ db }: ReconcileDeps, source: Source, span: TimeRange): Promise<BackfillProgress> {
  const windows = await windowsIn(db, source.id, span)
  // The pages of a running window count too.
  const read = windows.flatMap((window) => {
    const { from, to } = spanOf(window)
    if (window.status === 'done') return [{ from, to }]
    return window.scanned_to ? [{ from: window.scanned_to, to }] : []
  })
  const within = read.map((part) => intersect(part, span))
  const buildsDone = windows.reduce((sum, { builds }) => sum + builds, 0)
  const whole = duration([span])
  const covered = duration(within)
  return {
    organization: source.slug,
    ...span,
    coveredFrom: coveredBackFrom(span.to, within),
    buildsDone,
    buildsExpected: covered > 0 ? Math.max(buildsDone, Math.round((buildsDone * whole) / duration(read))) : undefined,
    requests: windows.reduce((sum, { requests }) => sum + requests, 0),
    done: covered >= whole,
  }
}
