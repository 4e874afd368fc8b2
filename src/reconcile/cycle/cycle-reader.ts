import type { BuildsFilter, BuildsPage } from '../../buildkite/client.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { backOff } from '../../database/failures.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../runtime/time.ts'
import { BuildReader } from '../builds/build-reader.ts'
import { BuildWriter } from '../builds/build-writer.ts'
import { dueJobReads, type JobReadPlan, planJobReads, postponeJobRead } from '../builds/job-reads.ts'
import { BuildLocator } from '../builds/locate-build.ts'
import { OPEN_STATES } from '../builds/open-states.ts'
import {
  type Reading,
  recordUnlistable,
  retryUnlistable,
  type UnlistableReport,
  unlistableRanges,
} from '../builds/unlistable.ts'
import { webhookProgress } from '../builds/webhook-progress.ts'
import { answeredBy, type ReconcileDeps, type Source } from '../context.ts'
import { prefetch } from '../prefetch.ts'
import type { TimeRange } from '../progress/time-range.ts'
import { awaitingBackfill, LIST_LAG, type Watermark } from '../progress/watermark.ts'
import { retryFailedBuilds } from './failed-builds.ts'
import type { Tally } from './tally.ts'
import { readUnlisted } from './unlisted-builds.ts'

/**
 * `hot` runs every minute and looks back to the watermark. `warm` runs every hour and looks back hours further, because the API itself
 * shows some builds late. The longest known delay of a webhook is about two hours.
 */
export type CycleKind = 'hot' | 'warm'

const kinds = {
  hot: { overlap: LIST_LAG, unlisted: 20, jobReads: 20, priority: 'hot' },
  warm: { overlap: 3 * HOUR, unlisted: 100, jobReads: 200, priority: 'absent' },
} as const

/** If the lists of open and of finished builds take longer than this together, the open builds are listed once more. */
const TOGETHER = 5 * SECOND

// List 1 has no end, but the walk needs one. This far ahead, a wrong clock of ours cannot exclude a build.
const NEVER = 3_650 * DAY

/** When a cycle's lists were read, on Buildkite's clock. */
export interface ReadLists {
  /** Time of the first request: everything up to then is verified. */
  readonly to: Date
  /** Time of the last answer. */
  readonly until: Date
}

/** One cycle: the three lists, then the builds that no list shows. */
export class CycleReader {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #kind: CycleKind
  readonly #mark: Watermark | undefined
  readonly #tally: Tally
  readonly #signal: AbortSignal
  readonly #reading: Reading
  readonly #locator: BuildLocator
  readonly #reader: BuildReader
  readonly #seen = new Set<string>()
  #avoid: readonly TimeRange[] = []
  #start: Date | undefined
  #until: Date | undefined

  constructor(
    deps: ReconcileDeps,
    source: Source,
    kind: CycleKind,
    mark: Watermark | undefined,
    tally: Tally,
    signal: AbortSignal,
  ) {
    this.#deps = deps
    this.#source = source
    this.#kind = kind
    this.#mark = mark
    this.#tally = tally
    this.#signal = signal
    // In a first cycle everything is new to the mirror, so nothing counts as lost.
    const writer = new BuildWriter(deps, source, mark?.watermark ? webhookProgress(deps, source) : undefined)
    this.#reading = { deps, source, writer, signal }
    this.#locator = new BuildLocator(deps, source, 'absent', { refresh: true, signal })
    this.#reader = new BuildReader(deps, source, writer, this.#locator)
  }

  /** Reads the lists. Builds that were created and finished before `earliest` are skipped. */
  async read(earliest = Number.NEGATIVE_INFINITY): Promise<ReadLists> {
    const { overlap, unlisted, priority } = kinds[this.#kind]
    const lookBack = lookBackTo(this.#kind, this.#mark, this.#deps.clock()) - overlap
    const since = new Date(Math.max(lookBack, earliest))
    this.#avoid = await unlistableRanges(this.#deps, this.#source)
    await this.#readList({ created_from: since, created_to: new Date(this.#deps.clock() + NEVER) }, priority)
    const plan = await this.#planJobReads()
    // Open before finished: a build that finishes between the two requests is in both lists and needs no separate read.
    const open = { created_to: since, state: OPEN_STATES }
    const openAt = await this.#readList({ ...open, jobs: plan.withList }, priority)
    await this.#readList({ created_to: since, finished_from: since }, priority)
    // A build that was finished or blocked in the first of these lists and runs in the second is in neither.
    const tookMs = (this.#until?.getTime() ?? 0) - openAt.getTime()
    if (tookMs > TOGETHER) await this.#readList({ ...open, jobs: false }, priority)
    const [start, until] = [this.#start, this.#until]
    if (!start || !until) throw new RangeError('No list of builds was read.')
    this.#countUnlistable(await retryUnlistable(this.#reading))
    await this.#readUnlisted(since, start, unlisted)
    await this.#retryFailed()
    await this.#readJobs(plan)
    this.#tally.requests += this.#locator.requests
    // A safeguard, however the start was determined: nothing is verified beyond Buildkite's present time.
    const present = this.#source.client.now() ?? start
    return { to: new Date(Math.min(start.getTime(), present.getTime())), until }
  }

  /** Returns the time of the first page. */
  async #readList(filter: BuildsFilter, priority: 'hot' | 'absent'): Promise<Date> {
    let first: Date | undefined
    const pages = this.#source.client.builds(
      this.#source.slug,
      { ...filter, avoid: this.#avoid },
      priority,
      this.#signal,
    )
    for await (const page of prefetch(pages)) {
      this.#signal.throwIfAborted()
      first ??= page.at
      this.#start ??= page.at
      this.#until = answeredBy(this.#source, page.at)
      this.#tally.requests += page.requests
      await this.#recordUnlistable(page)
      const report = await this.#reading.writer.write(page.value, page.at, { jobs: page.jobs, via: 'list' })
      for (const { id } of report.builds) this.#seen.add(id)
      this.#tally.add(report)
    }
    if (!first) throw new RangeError('A list of builds returned no page, not even an empty one.')
    return first
  }

  async #recordUnlistable({ unlistable }: BuildsPage): Promise<void> {
    if (unlistable.length === 0) return
    this.#countUnlistable(await recordUnlistable(this.#reading, unlistable))
    this.#avoid = [...this.#avoid, ...unlistable]
  }

  #countUnlistable({ requests, pages }: UnlistableReport): void {
    this.#tally.requests += requests
    for (const page of pages) {
      for (const { id } of page.builds) this.#seen.add(id)
      this.#tally.add(page)
    }
  }

  #planJobReads(): Promise<JobReadPlan> {
    const { builds, jobs } = this.#tally.results
    const lost = builds.missing + builds.healed + jobs.missing + jobs.healed > 0
    return planJobReads(this.#deps.db, this.#source, new Date(this.#deps.clock()), lost)
  }

  async #readUnlisted(since: Date, start: Date, limit: number): Promise<void> {
    const { db, backfillDays } = this.#deps
    const query = {
      createdBefore: since,
      observedBefore: start,
      seen: this.#seen,
      // Without a backfill nothing else reads these builds, so this cycle reads them individually.
      awaitingBackfill: backfillDays === 0 ? [] : await awaitingBackfill(db, this.#source.id, this.#mark),
      limit,
    }
    const alone = await readUnlisted(this.#reading, query)
    this.#tally.requests += alone.requests
    this.#tally.unlisted_read += alone.reads
    for (const page of alone.pages) this.#tally.add(page)
  }

  async #retryFailed(): Promise<void> {
    for (const page of await retryFailedBuilds(this.#deps, this.#source, this.#reader, this.#signal))
      this.#tally.add(page)
  }

  /** Reads the jobs of builds that were listed without them. A build that is gone is marked: nothing is left to read. */
  async #readJobs({ unaccounted }: JobReadPlan): Promise<void> {
    const { db, clock, filter } = this.#deps
    const options = { unaccounted, large: this.#kind === 'warm', limit: kinds[this.#kind].jobReads }
    for (const build of await dueJobReads(db, this.#source, new Date(clock()), options)) {
      this.#signal.throwIfAborted()
      const slug = build.slug ?? slugsOf(build.url).pipeline
      if (slug === undefined || !filter.pipeline(slug)) {
        await postponeJobRead(db, build.id, new Date(clock() + 6 * HOUR))
        continue
      }
      const created_at = build.created_at === null ? null : new Date(build.created_at)
      const known = { ...build, number: Number(build.number), created_at }
      const { page, tries = 1 } = await this.#reader.readKnown(known, slug)
      if (page) this.#tally.add(page)
      if (!page || page.refused.length > 0) {
        await postponeJobRead(db, build.id, new Date(clock() + Math.max(5 * MINUTE, backOff(tries))))
      }
    }
  }
}

/** The time before which everything is verified. A first cycle starts now; the backfill reads what is older. */
function lookBackTo(kind: CycleKind, mark: Watermark | undefined, now: number): number {
  if (!mark?.watermark) return now
  const warm = kind === 'warm' ? mark.warm_watermark : null
  return Math.min(mark.watermark.getTime(), warm?.getTime() ?? Number.POSITIVE_INFINITY)
}
