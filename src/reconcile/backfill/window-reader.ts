import { type BuildsPage, DeepListingError } from '../../buildkite/client.ts'
import { isDue } from '../../database/failures.ts'
import { BuildkiteError, messageOf } from '../../runtime/errors.ts'
import { type Clock, MINUTE, monotonicBeside, pause, SECOND } from '../../runtime/time.ts'
import { BuildWriter, type Refused, refusalOf } from '../builds/build-writer.ts'
import { recordUnlistable, unlistableRanges } from '../builds/unlistable.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { pipelinesBackOff, refreshPipelines, tryRefreshPipelines } from '../pipelines/pipelines.ts'
import { mapOrdered, prefetch } from '../prefetch.ts'
import type { TimeRange } from '../progress/time-range.ts'
import { doesCount, isListedFor, readWatermark, type Watermark } from '../progress/watermark.ts'
import {
  beginWindow,
  claimWindow,
  failWindow,
  finishWindow,
  type ListedPipeline,
  recordProgress,
  renewWindow,
  splitWindow,
  type Window,
} from '../progress/windows.ts'
import { dropStaleWindows, owedHistory } from './pipeline-backfill.ts'

/** Options of the scheduled backfill only; a manual backfill retries failed windows at once. */
export interface BackfillPace {
  /** Stop after the current window once this much time has passed, so that the backfills of other organizations can run. */
  readonly yieldAfterMs?: number
}

type ReaderPace = BackfillPace & { readonly ignoresBackOff?: boolean }

/** After this many consecutive failed windows the API is assumed to be down, and the run ends. */
const FAILURES_IN_A_ROW = 3

const LIST_EVERY = 5 * MINUTE

const waits =
  'The list of pipelines was old, and builds lists may lag behind the new one: reading starts within two minutes.'

/** One run of a backfill: reads one window after another. */
export class WindowReader {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #signal: AbortSignal
  readonly #now: Clock
  readonly #until: number
  readonly #ignoresBackOff: boolean
  onPage: () => Promise<void> = async () => {}
  readonly #failed = new Set<number>()
  #failuresInARow = 0
  #failure: unknown

  private constructor(deps: ReconcileDeps, source: Source, signal: AbortSignal, pace: ReaderPace) {
    this.#deps = deps
    this.#source = source
    this.#signal = signal
    this.#now = monotonicBeside(deps.clock)
    this.#ignoresBackOff = pace.ignoresBackOff ?? false
    this.#until = this.#now() + (pace.yieldAfterMs ?? Number.POSITIVE_INFINITY)
  }

  /**
   * Lists the pipelines first if they were last listed for another filter or token; otherwise nothing it reads would count.
   * @throws BuildkiteError when the list fails, or has failed and its back-off is not over.
   */
  static async open(deps: ReconcileDeps, source: Source, signal: AbortSignal, pace: ReaderPace): Promise<WindowReader> {
    const reader = new WindowReader(deps, source, signal, pace)
    if (isListedFor(await readWatermark(deps.db, source.id), deps, source)) return reader
    const failure = reader.#ignoresBackOff ? undefined : await pipelinesBackOff(deps, source)
    if (failure) throw new BuildkiteError('unavailable', `The pipelines could not be listed. ${failure.error}`)
    await refreshPipelines(deps, source, signal)
    return reader
  }

  /**
   * Reads the windows of a span, alternating with the unread history of pipelines that appeared later, if `owed` is given. Of that
   * history it reads only the part `within` a range, if one is given.
   * @throws the error of the last window, if the run ended because of it.
   */
  async readAll(span: TimeRange, owed: Watermark | undefined, within?: TimeRange): Promise<void> {
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
    return this.#ignoresBackOff || isDue(next_try_at, this.#deps.clock())
  }

  /** A manual backfill lists the pipelines every five minutes, in case no service does: only a list confirms what was read. */
  async #keepListed(): Promise<void> {
    if (!this.#ignoresBackOff) return
    const readAt = (await readWatermark(this.#deps.db, this.#source.id))?.pipelines_read_at?.getTime() ?? 0
    const now = presentOf(this.#deps, this.#source).getTime()
    if (now - readAt < LIST_EVERY || (await pipelinesBackOff(this.#deps, this.#source))) return
    await tryRefreshPipelines(this.#deps, this.#source, this.#signal)
  }

  /** Whether reads of the organization's list count now; see `counts_from`. A manual backfill waits until they do, at most two minutes. */
  async #doesListCount(): Promise<boolean> {
    const now = () => presentOf(this.#deps, this.#source)
    for (let isFirst = true; ; isFirst = false) {
      if (doesCount(await readWatermark(this.#deps.db, this.#source.id), now())) return true
      if (!this.#ignoresBackOff || this.#signal.aborted) return false
      if (isFirst) this.#deps.log.info({ organization: this.#source.slug }, waits)
      await pause(SECOND, this.#signal)
    }
  }

  /** Reads the next window of a span through the organization's list, or a pipeline's; false when none is due. */
  async #nextWindow(span: TimeRange, pipeline?: ListedPipeline): Promise<boolean> {
    if (!this.#mayGoOn || (!pipeline && !(await this.#doesListCount()))) return false
    const mayRead = (window: Window) => !this.#failed.has(window.id) && this.#isDue(window)
    const window = await claimWindow(this.#deps.db, this.#source.id, span, mayRead, pipeline)
    if (!window) return false
    return this.#read(window, pipeline)
  }

  /** Reads the next part of the history of pipelines that appeared later; false when none is due. */
  async #nextOfLaterPipelines(mark: Watermark, within?: TimeRange): Promise<boolean> {
    if (!this.#mayGoOn) return false
    const { pipelines, windows, ranges } = await owedHistory(this.#deps, this.#source, mark, within)
    const again = windows.find((window) => !this.#failed.has(window.id) && this.#isDue(window))
    if (again && (await this.#doesListCount()))
      return this.#read({ ...again, scanned_to: null, first_verified_at: null }, undefined)
    for (const range of ranges) {
      if (await this.#nextWindow(range)) return true
    }
    for (const pipeline of pipelines) {
      await dropStaleWindows(this.#deps.db, pipeline)
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
      await failWindow(this.#deps, this.#source, window, error, messageOf(error))
      this.#failed.add(window.id)
      if (!isOfTheWindow(error, pipeline)) throw error
      this.#failuresInARow += 1
      this.#failure = error
      return true
    }
  }

  /** Reads one window from where the last read stopped, a finished one from its start. False when it is no longer ours to read. */
  async #walk(window: Window, pipeline: ListedPipeline | undefined): Promise<boolean> {
    const deps = this.#deps
    const writer = new BuildWriter(deps, this.#source)
    const reading = { deps, source: this.#source, writer, signal: this.#signal }
    const isAgain = window.status === 'done'
    if (!isAgain) await beginWindow(deps, window)
    let walkedTo = window.scanned_to ?? window.created_to
    let [readAt, lastReadAt]: (Date | undefined)[] = []
    const refused: Refused[] = []
    try {
      const avoid = await unlistableRanges(deps, this.#source)
      const filter = { created_from: window.created_from, created_to: walkedTo, pipeline: pipeline?.slug, avoid }
      const pages = prefetch(this.#source.client.builds(this.#source.slug, filter, 'backfill', this.#signal))
      const kept = mapOrdered(pages, async (page: BuildsPage) => {
        await recordUnlistable(reading, page.unlistable)
        return { page, report: await writer.write(page.value, page.at, { jobs: page.jobs, via: 'list' }) }
      })
      for await (const { page, report } of kept) {
        readAt ??= page.at
        lastReadAt = page.at
        refused.push(...report.refused)
        walkedTo = page.walkedTo
        const { at, requests } = page
        const progress = { at, walkedTo, builds: page.value.length, requests }
        if (!isAgain && !(await recordProgress(deps, this.#source, window, progress))) return false
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
