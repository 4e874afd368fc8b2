import { eq } from 'drizzle-orm'
import { DeepListingError } from '../buildkite/client.ts'
import { withLock } from '../database/locks.ts'
import { watermarks } from '../database/schema.ts'
import { messageOf } from '../errors.ts'
import { DAY } from '../time.ts'
import { oneAhead, twoAtOnce } from './ahead.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import { buildKeeper, type Refused, refusalOf } from './pages.ts'
import { clip, coveredBackFrom, lengthOf, type Span } from './spans.ts'
import { awaitingBackfill, readsForWanted, watermarkOfWanted } from './watermark.ts'
import {
  beginWindow,
  claimWindow,
  failWindow,
  finishWindow,
  noteProgress,
  spanOf,
  splitWindow,
  type Window,
  windowsIn,
} from './windows.ts'

/** How far a backfill of one span has come, over all its runs. */
export interface BackfillProgress {
  readonly organization: string
  readonly from: Date
  readonly to: Date
  /** Everything from here to `to` is in the mirror. */
  readonly coveredFrom: Date
  readonly buildsDone: number
  /** An estimate from the builds in the time read so far; `undefined` before anything was read. */
  readonly buildsExpected: number | undefined
  /** List requests of all runs so far. */
  readonly requests: number
  readonly done: boolean
}

/** What only a scheduled backfill asks for. */
export interface BackfillPace {
  /** Stop at the end of the window under way once this much time has passed, so that other organizations get their turn. */
  readonly yieldAfterMs?: number
}

/**
 * Reads every build created in [from, to) that no window has covered yet, newest first, window by window. Each page is committed
 * before the window notes it, so that a killed run goes on where it stopped. Resolves with the progress; `undefined` when another
 * process is filling this organization. When `signal` aborts it returns early, `done` false.
 * @throws BuildkiteError, StoreError; what is read stays read.
 */
export async function backfillSpan(
  deps: ReconcileDeps,
  source: Source,
  from: Date,
  to: Date,
  onProgress: (progress: BackfillProgress) => void = () => {},
  signal?: AbortSignal,
  pace: BackfillPace = {},
): Promise<BackfillProgress | undefined> {
  const span = { from, to }
  const until = deps.clock() + (pace.yieldAfterMs ?? Number.POSITIVE_INFINITY)
  const tell = async () => onProgress(await progressOf(deps, source, span))
  const locked = await withLock(deps.db, `backfill:${source.id}`, async () => {
    await watermarkOfWanted(deps, source)
    while (!signal?.aborted && deps.clock() < until) {
      // Another process may want more: then it is its to read.
      if (!(await readsForWanted(deps, source.id))) break
      const window = await claimWindow(deps.db, source.id, span)
      if (!window) break
      try {
        await readWindow(deps, source, window, tell, signal)
      } catch (error) {
        if (!signal?.aborted) throw error
      }
    }
    return progressOf(deps, source, span)
  })
  if (!locked.held) return undefined
  onProgress(locked.value)
  return locked.value
}

/** Reads one window from where it was left. */
async function readWindow(
  deps: ReconcileDeps,
  source: Source,
  window: Window,
  tell: () => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { db, clock } = deps
  const keeper = buildKeeper(deps, source)
  let walkedTo = window.walked_to ?? window.created_to
  // The window counts as verified from its first page's time on: later changes to that page's builds are the cycles' business.
  let verifiedAt: Date | undefined
  await beginWindow(db, window, new Date(clock()))
  try {
    const filter = { created_from: window.created_from, created_to: walkedTo }
    const refused: Refused[] = []
    const pages = oneAhead(source.client.builds(source.slug, filter, 'backfill', signal))
    const kept = twoAtOnce(pages, async (page) => ({ page, report: await keeper.keep(page.value, page.at) }))
    for await (const { page, report } of kept) {
      verifiedAt ??= page.at
      refused.push(...report.refused)
      walkedTo = page.walkedTo
      await noteProgress(deps, window, { walkedTo, builds: page.value.length, requests: 1 })
      await tell()
      signal?.throwIfAborted()
    }
    const now = new Date(clock())
    await finishWindow(deps, window, window.started_at ?? verifiedAt ?? now, now, refusalOf(refused))
  } catch (error) {
    const now = new Date(clock())
    if (error instanceof DeepListingError) {
      if (await splitWindow(deps, window, walkedTo, verifiedAt ?? now, now)) return
    }
    if (!signal?.aborted) await failWindow(db, window, messageOf(error)).catch(() => {})
    throw error
  }
}

async function progressOf({ db }: ReconcileDeps, source: Source, span: Span): Promise<BackfillProgress> {
  const windows = await windowsIn(db, source.id, span)
  // What a running window has walked counts too: a page read is a page read.
  const read = windows.flatMap((window) => {
    const { from, to } = spanOf(window)
    if (window.status === 'done') return [{ from, to }]
    return window.walked_to ? [{ from: window.walked_to, to }] : []
  })
  const within = read.map((part) => clip(part, span))
  const buildsDone = windows.reduce((sum, { builds }) => sum + builds, 0)
  const whole = lengthOf([span])
  const covered = lengthOf(within)
  return {
    organization: source.slug,
    ...span,
    coveredFrom: coveredBackFrom(span.to, within),
    buildsDone,
    buildsExpected: covered > 0 ? Math.max(buildsDone, Math.round((buildsDone * whole) / lengthOf(read))) : undefined,
    requests: windows.reduce((sum, { requests }) => sum + requests, 0),
    done: covered >= whole,
  }
}

/**
 * One turn of the backfill that an organization owes: from its first watermark back to `backfillDays` before. `undefined` when there is
 * nothing to do yet or any more, or another process is at it.
 * @throws BuildkiteError, StoreError.
 */
export async function backfillOwed(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
  pace: BackfillPace = {},
  onProgress?: (progress: BackfillProgress) => void,
): Promise<BackfillProgress | undefined> {
  // No backfill, says 0, also to one that is under way: what was owed stays so, and is read once there are days again.
  if (deps.backfillDays === 0) return undefined
  const mark = await watermarkOfWanted(deps, source)
  if (!mark?.backfill_to || !mark.backfill_from) return undefined
  // A larger BACKFILL_DAYS than at the first cycle reaches further back; a smaller one takes nothing back.
  const wanted = new Date(deps.clock() - deps.backfillDays * DAY)
  const from = wanted < mark.backfill_from ? wanted : mark.backfill_from
  if (from < mark.backfill_from) {
    await deps.db.update(watermarks).set({ backfill_from: from }).where(eq(watermarks.organization_id, source.id))
  }
  const owed = await awaitingBackfill(deps.db, source.id, { ...mark, backfill_from: from })
  if (owed.length === 0) return undefined
  return backfillSpan(deps, source, from, mark.backfill_to, onProgress, signal, pace)
}
