import { eq } from 'drizzle-orm'
import { type BuildsPage, DeepListingError } from '../buildkite/client.ts'
import { isDue } from '../database/failures.ts'
import { withLease } from '../database/leases.ts'
import { watermarks } from '../database/schema.ts'
import { BuildkiteError, messageOf } from '../errors.ts'
import { type Clock, DAY, MINUTE, monotonicBeside, pause, SECOND } from '../time.ts'
import { oneAhead, twoAtOnce } from './ahead.ts'
import { reconcileOnce } from './cycle.ts'
import { presentOf, type ReconcileDeps, type Source } from './deps.ts'
import { buildKeeper, type Refused, refusalOf } from './pages.ts'
import { dropStaleWindows, owedHistory } from './pipeline-backfill.ts'
import { isListDue } from './pipeline-coverage.ts'
import { pipelinesBackOff, refreshPipelines } from './pipelines.ts'
import { clip, coveredBackFrom, lengthOf, type Span } from './spans.ts'
import { recordUnlistable, unlistableRanges } from './unlistable.ts'
import { awaitingBackfill, doesCount, isListedFor, readWatermark, type Watermark } from './watermark.ts'
import {
  beginWindow,
  claimWindow,
  failWindow,
  finishWindow,
  type ListedPipeline,
  noteProgress,
  renewWindow,
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
  /** The organization's list was read from this time to `to`. See analytics.data_coverage for what is complete. */
  readonly coveredFrom: Date
  readonly buildsDone: number
  /** An estimate from the builds in the time read so far; `undefined` before anything was read. */
  readonly buildsExpected: number | undefined
  /** List requests of all runs so far. */
  readonly requests: number
  readonly done: boolean
}

/** Options of the scheduled backfill only; a manual backfill retries failed windows at once. */
export interface BackfillPace {
  /** Stop after the current window once this much time has passed, so that other organizations get their turn. */
  readonly yieldAfterMs?: number
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
  pace: BackfillPace = {},
): Promise<BackfillProgress | undefined> {
  const span = { from, to }
  const leased = await withLease(
    deps.db,
    `backfill:${source.id}`,
    async (lease) => {
      const options = { ...pace, ignoresBackOff: true }
      const reading = await Reading.open({ ...deps, db: lease.db }, source, lease.signal, options)
      await runFirstCycle(deps, source, lease.signal)
      reading.onPage = async () => onProgress(await progressOf(deps, source, span))
      const mark = await readWatermark(deps.db, source.id)
      await reading.readAll(span, mark && { ...mark, backfill_from: from, backfill_to: to }, span)
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
      const reading = await Reading.open({ ...deps, db: lease.db }, source, lease.signal, pace)
      reading.onPage = async () => onProgress(await progressOf(deps, source, span))
      await reading.readAll(span, owed)
      return progressOf(deps, source, span)
    },
    { signal },
  )
  if (!leased.held) return undefined
  onProgress(leased.value)
  return leased.value
}

/** After this many consecutive failed windows the API is assumed to be down, and the run ends. */
const FAILURES_IN_A_ROW = 3

const LIST_EVERY = 5 * MINUTE

const waits =
  'The list of pipelines was old, and builds lists may lag behind the new one: reading starts within two minutes.'

/** One run of a backfill: reads one window after another. */
class Reading {
  readonly deps: ReconcileDeps
  readonly #source: Source
  readonly #signal: AbortSignal
  readonly #now: Clock
  readonly #until: number
  onPage: () => Promise<void> = async () => {}
  ignoresBackOff = false
  readonly #failed = new Set<number>()
  #failuresInARow = 0
  #failure: unknown

  private constructor(deps: ReconcileDeps, source: Source, signal: AbortSignal, pace: BackfillPace) {
    this.deps = deps
    this.#source = source
    this.#signal = signal
    this.#now = monotonicBeside(deps.clock)
    this.#until = this.#now() + (pace.yieldAfterMs ?? Number.POSITIVE_INFINITY)
  }

  /**
   * Lists the pipelines first if they were last listed for another filter or token; otherwise nothing it reads would count.
   * @throws BuildkiteError when the list fails, or has failed and its back-off is not over.
   */
  static async open(
    deps: ReconcileDeps,
    source: Source,
    signal: AbortSignal,
    pace: BackfillPace & { readonly ignoresBackOff?: boolean },
  ): Promise<Reading> {
    const reading = new Reading(deps, source, signal, pace)
    reading.ignoresBackOff = pace.ignoresBackOff ?? false
    if (isListedFor(await readWatermark(deps.db, source.id), deps, source)) return reading
    const failure = reading.ignoresBackOff ? undefined : await pipelinesBackOff(deps, source)
    if (failure) throw new BuildkiteError('unavailable', `The pipelines could not be listed. ${failure.error}`)
    await refreshPipelines(deps, source, signal)
    return reading
  }

  /**
   * Reads the windows of a span, alternating with the unread history of pipelines that appeared later, if `owed` is given. Of that
   * history it reads only the part `within` a range, if one is given.
   * @throws the error of the last window, if the run ended because of it.
   */
  async readAll(span: Span, owed: Watermark | undefined, within?: Span): Promise<void> {
    for (;;) {
      const later = owed !== undefined && (await this.#nextOfLaterPipelines(owed, within))
      const first = await this.#nextWindow(span)
      if (!later && !first) break
    }
    if (this.#failuresInARow > 0 && !this.#signal.aborted) throw this.#failure
  }

  get #mayGoOn(): boolean {
    return !this.#signal.aborted && this.#now() < this.#until && this.#failuresInARow < FAILURES_IN_A_ROW
  }

  #isDue({ next_try_at }: Window): boolean {
    return this.ignoresBackOff || isDue(next_try_at, this.deps.clock())
  }

  /** A manual backfill lists the pipelines every five minutes, in case no service does: only a list confirms what was read. */
  async #keepListed(): Promise<void> {
    if (!this.ignoresBackOff) return
    const readAt = (await readWatermark(this.deps.db, this.#source.id))?.pipelines_read_at?.getTime() ?? 0
    const now = presentOf(this.deps, this.#source).getTime()
    if (now - readAt < LIST_EVERY || (await pipelinesBackOff(this.deps, this.#source))) return
    await refreshPipelines(this.deps, this.#source, this.#signal).catch((error: unknown) => {
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      this.deps.log.warn({ err: error, organization: this.#source.slug }, 'Could not list the pipelines.')
    })
  }

  /** Whether reads of the organization's list count now; see `counts_from`. A manual backfill waits until they do, at most two minutes. */
  async #doesListCount(): Promise<boolean> {
    const now = () => presentOf(this.deps, this.#source)
    for (let isFirst = true; ; isFirst = false) {
      if (doesCount(await readWatermark(this.deps.db, this.#source.id), now())) return true
      if (!this.ignoresBackOff || this.#signal.aborted) return false
      if (isFirst) this.deps.log.info({ organization: this.#source.slug }, waits)
      await pause(SECOND, this.#signal)
    }
  }

  /** Reads the next window of a span through the organization's list, or a pipeline's; false when none is due. */
  async #nextWindow(span: Span, pipeline?: ListedPipeline): Promise<boolean> {
    if (!this.#mayGoOn || (!pipeline && !(await this.#doesListCount()))) return false
    const mayRead = (window: Window) => !this.#failed.has(window.id) && this.#isDue(window)
    const window = await claimWindow(this.deps.db, this.#source.id, span, mayRead, pipeline)
    if (!window) return false
    return this.#read(window, pipeline)
  }

  /** Reads the next part of the history of pipelines that appeared later; false when none is due. */
  async #nextOfLaterPipelines(mark: Watermark, within?: Span): Promise<boolean> {
    if (!this.#mayGoOn) return false
    const { pipelines, windows, ranges } = await owedHistory(this.deps, this.#source, mark, within)
    const again = windows.find((window) => !this.#failed.has(window.id) && this.#isDue(window))
    if (again && (await this.#doesListCount()))
      return this.#read({ ...again, scanned_to: null, first_verified_at: null }, undefined)
    for (const range of ranges) {
      if (await this.#nextWindow(range)) return true
    }
    for (const pipeline of pipelines) {
      await dropStaleWindows(this.deps.db, pipeline)
      for (const span of pipeline.missing) {
        if (await this.#nextWindow(span, pipeline)) return true
      }
    }
    return false
  }

  /** Reads a window and records a failure. False when the run must end. */
  async #read(window: Window, pipeline: ListedPipeline | undefined): Promise<boolean> {
    try {
      const isOurs = await this.#walk(window, pipeline)
      this.#failuresInARow = 0
      return isOurs
    } catch (error) {
      if (this.#signal.aborted) return false
      await failWindow(this.deps, this.#source, window, error, messageOf(error))
      this.#failed.add(window.id)
      if (!isOfTheWindow(error, pipeline)) throw error
      this.#failuresInARow += 1
      this.#failure = error
      return true
    }
  }

  /** Reads one window from where the last read stopped, a finished one from its start. False when it is no longer ours to read. */
  async #walk(window: Window, pipeline: ListedPipeline | undefined): Promise<boolean> {
    const { deps } = this
    const keeper = buildKeeper(deps, this.#source)
    const isAgain = window.status === 'done'
    if (!isAgain) await beginWindow(deps, window)
    let walkedTo = window.scanned_to ?? window.created_to
    let [readAt, lastReadAt]: (Date | undefined)[] = []
    const refused: Refused[] = []
    try {
      const avoid = await unlistableRanges(deps, this.#source)
      const filter = { created_from: window.created_from, created_to: walkedTo, pipeline: pipeline?.slug, avoid }
      const pages = oneAhead(this.#source.client.builds(this.#source.slug, filter, 'backfill', this.#signal))
      const kept = twoAtOnce(pages, async (page: BuildsPage) => {
        await recordUnlistable(deps, this.#source, keeper, page.unlistable, this.#signal)
        return { page, report: await keeper.keep(page.value, page.at, { jobs: page.jobs, via: 'list' }) }
      })
      for await (const { page, report } of kept) {
        readAt ??= page.at
        lastReadAt = page.at
        refused.push(...report.refused)
        walkedTo = page.walkedTo
        const { at, requests } = page
        const progress = { at, walkedTo, builds: page.value.length, requests }
        if (!isAgain && !(await noteProgress(deps, this.#source, window, progress))) return false
        await this.onPage()
        await this.#keepListed()
        this.#signal.throwIfAborted()
      }
      if (!readAt || !lastReadAt) throw new RangeError('The builds list returned no page, not even an empty one.')
      if (isAgain) await renewWindow(deps, this.#source, window, readAt)
      else await finishWindow(deps, this.#source, window, refusalOf(refused), lastReadAt)
      return true
    } catch (error) {
      if (error instanceof DeepListingError && !isAgain) {
        const at = lastReadAt ?? new Date(deps.clock())
        if (await splitWindow(deps, this.#source, window, walkedTo, at)) return true
      }
      throw error
    }
  }
}

/** Whether other windows may still be readable. A rejected token or an unavailable store affects all of them. */
function isOfTheWindow(error: unknown, pipeline: ListedPipeline | undefined): boolean {
  if (!(error instanceof BuildkiteError)) return false
  if (error.code === 'unavailable') return true
  return pipeline !== undefined && error.code !== 'invalid_credentials'
}

async function progressOf({ db }: ReconcileDeps, source: Source, span: Span): Promise<BackfillProgress> {
  const windows = await windowsIn(db, source.id, span)
  // The pages of a running window count too.
  const read = windows.flatMap((window) => {
    const { from, to } = spanOf(window)
    if (window.status === 'done') return [{ from, to }]
    return window.scanned_to ? [{ from: window.scanned_to, to }] : []
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
