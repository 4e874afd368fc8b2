import type { BuildsFilter, BuildsPage } from '../buildkite/client.ts'
import { slugsOf } from '../buildkite/urls.ts'
import { backOff } from '../database/failures.ts'
import { withLease } from '../database/leases.ts'
import { cycles } from '../database/schema.ts'
import { BuildkiteError, messageOf } from '../errors.ts'
import { DAY, HOUR, MINUTE } from '../time.ts'
import { readAbsent } from './absent.ts'
import { oneAhead } from './ahead.ts'
import { answeredBy, type ReconcileDeps, type Source } from './deps.ts'
import { retryFailedBuilds } from './failed-builds.ts'
import { dueJobReads, forgetJobReads, type JobReadPlan, planJobReads, postponeJobRead } from './job-reads.ts'
import { OPEN_STATES } from './open-states.ts'
import {
  addPageResults,
  type BuildKeeper,
  buildKeeper,
  nothingFound,
  type PageReport,
  type Refused,
  type Results,
  refusalOf,
} from './pages.ts'
import { pipelinesBackOff, refreshPipelines } from './pipelines.ts'
import { BuildReader } from './read-build.ts'
import type { Span } from './spans.ts'
import { recordUnlistable, retryUnlistable, type UnlistableReport, unlistableRanges } from './unlistable.ts'
import { awaitingBackfill, isListedFor, LIST_LAG, moveWatermark, readWatermark, type Watermark } from './watermark.ts'
import { webhookProgress } from './webhook-progress.ts'
import { Search } from './whereabouts.ts'

/**
 * `hot` runs every minute and looks back to the watermark. `warm` runs every hour and looks back hours further, because the API itself
 * shows some builds late. The longest known delay of a webhook is about two hours.
 */
export type CycleKind = 'hot' | 'warm'

const kinds = {
  hot: { overlap: LIST_LAG, absent: 20, jobReads: 20, priority: 'hot' },
  warm: { overlap: 3 * HOUR, absent: 100, jobReads: 200, priority: 'absent' },
} as const

/** A cycle that does not count looks back at most this far. Its watermark does not move, so otherwise each cycle would read more. */
const UNCOUNTED_SPAN = HOUR

// List 1 has no end, but the walk needs one. This far ahead, a wrong clock of ours cannot exclude a build.
const NEVER = 3_650 * DAY

/** What one cycle read and found. */
export interface CycleReport {
  readonly organization: string
  readonly kind: CycleKind
  /** The watermark before; `null` for the first cycle. */
  readonly watermark_from: Date | null
  /** The watermark after: everything created or finished before it is verified. */
  readonly watermark_to: Date
  readonly started_at: Date
  readonly finished_at: Date
  readonly requests: number
  readonly builds_read: number
  /**
   * Results for builds and jobs; see ReadResult. A first cycle, and any cycle of an organization without webhooks, has no missing or
   * healed rows: no webhook was lost, so what REST added counts as completed.
   */
  readonly builds_missing: number
  readonly builds_healed: number
  readonly builds_in_flight: number
  readonly builds_completed: number
  readonly builds_confirmed: number
  readonly jobs_missing: number
  readonly jobs_healed: number
  readonly jobs_in_flight: number
  readonly jobs_completed: number
  readonly jobs_confirmed: number
  /** Builds that were read individually, because they were in no list. */
  readonly unlisted_read: number
  /** Builds that Postgres rejected. The watermark still moves past them; the cycle's row names them in its error. */
  readonly refused: readonly Refused[]
}

/**
 * Runs one cycle for one organization. Reads every build created or finished since the watermark, every open one, and those that should
 * have been among them. `undefined` when another process runs one.
 * @throws BuildkiteError, StoreError; then the watermark does not move, and the cycle's row in sync.cycles has the error.
 */
export async function reconcileOnce(
  deps: ReconcileDeps,
  source: Source,
  kind: CycleKind = 'hot',
  signal?: AbortSignal,
): Promise<CycleReport | undefined> {
  let started = new Date(deps.clock())
  const tally = newTally()
  try {
    const leased = await withLease(
      deps.db,
      `${kind}:${source.id}`,
      async (lease) => {
        // The cycle starts when it has the lease, so rows of sync.cycles never overlap.
        started = new Date(deps.clock())
        const own = { ...deps, db: lease.db }
        const unlisted = await listPipelines(own, source, tally, lease.signal)
        const before = await readWatermark(own.db, source.id)
        const cycle = new Cycle(own, source, kind, before, tally, lease.signal)
        const now = (source.client.now() ?? started).getTime()
        const read = await cycle.run(unlisted === undefined ? undefined : now - UNCOUNTED_SPAN)
        return commitCycle(own, source, kind, { before, read, started, tally, unlisted })
      },
      { signal },
    )
    if (kind === 'warm') await forgetJobReads(deps.db, source)
    return leased.held ? leased.value : undefined
  } catch (error) {
    if (!signal?.aborted) await recordFailedCycle(deps, source, kind, started, tally, error)
    throw error
  }
}

/**
 * Lists the pipelines if they were last listed for another filter or token, or never. The cycle continues if the list fails. It does
 * not count if the previous list was for another filter or token; then this returns the reason.
 */
async function listPipelines(
  deps: ReconcileDeps,
  source: Source,
  tally: Tally,
  signal: AbortSignal,
): Promise<string | undefined> {
  const mark = await readWatermark(deps.db, source.id)
  if (isListedFor(mark, deps, source)) return undefined
  const failure = await pipelinesBackOff(deps, source)
  let reason = failure?.error
  if (!failure) {
    try {
      tally.requests += (await refreshPipelines(deps, source, signal)).requests
    } catch (error) {
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      reason = messageOf(error)
      const message = 'Could not list the pipelines; the cycle continues with the builds.'
      deps.log.warn({ err: error, organization: source.slug }, message)
    }
  }
  if (reason === undefined || !mark?.pipelines_read_at) return undefined
  return `The pipelines could not be listed for this token and filter, so nothing newer is confirmed. ${reason}`
}

/** Moves the watermark and records the cycle, after all its reads are committed. */
async function commitCycle(
  deps: ReconcileDeps,
  source: Source,
  kind: CycleKind,
  { before, read, started, tally, unlisted }: CycleResult,
): Promise<CycleReport> {
  const { to, until } = read
  return deps.db.transaction(async (tx) => {
    const finished = new Date(deps.clock())
    const reading = { kind, since: before?.watermark ?? null, to }
    const moved = unlisted === undefined && (await moveWatermark(tx, deps, source, reading, finished))
    const report: CycleReport = {
      organization: source.slug,
      kind,
      watermark_from: before?.watermark ?? null,
      watermark_to: moved ? to : (before?.watermark ?? to),
      started_at: started,
      finished_at: finished,
      ...columnsOf(tally),
      refused: tally.refused,
    }
    const { organization: _, refused, ...row } = report
    const read_until = moved ? until : null
    await tx
      .insert(cycles)
      .values({ organization_id: source.id, ...row, read_until, error: unlisted ?? refusalOf(refused) ?? null })
    return report
  })
}

interface CycleResult {
  readonly before: Watermark | undefined
  readonly read: ReadLists
  readonly started: Date
  readonly tally: Tally
  /** Why it does not count, if the pipelines are not listed for its token and filter. */
  readonly unlisted: string | undefined
}

/** When a cycle's lists were read, on Buildkite's clock. */
interface ReadLists {
  /** Time of the first request: everything up to then is verified. */
  readonly to: Date
  /** Time of the last answer. */
  readonly until: Date
}

/** What a cycle has read and found so far. */
interface Tally {
  requests: number
  builds_read: number
  results: Results
  unlisted_read: number
  refused: Refused[]
}

function newTally(): Tally {
  return { requests: 0, builds_read: 0, results: nothingFound, unlisted_read: 0, refused: [] }
}

/** The tally in the columns of sync.cycles. */
function columnsOf({ requests, builds_read, unlisted_read, results: { builds, jobs } }: Tally) {
  return {
    requests,
    builds_read,
    unlisted_read,
    builds_missing: builds.missing,
    builds_healed: builds.healed,
    builds_in_flight: builds.in_flight,
    builds_completed: builds.completed,
    builds_confirmed: builds.confirmed,
    jobs_missing: jobs.missing,
    jobs_healed: jobs.healed,
    jobs_in_flight: jobs.in_flight,
    jobs_completed: jobs.completed,
    jobs_confirmed: jobs.confirmed,
  }
}

/** One cycle: the three lists, then the builds that no list shows. */
class Cycle {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #kind: CycleKind
  readonly #mark: Watermark | undefined
  readonly #tally: Tally
  readonly #signal: AbortSignal
  readonly #keeper: BuildKeeper
  readonly #search: Search
  readonly #reader: BuildReader
  readonly #seen = new Set<string>()
  #avoid: readonly Span[] = []
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
    this.#keeper = buildKeeper(deps, source, mark?.watermark ? webhookProgress(deps, source) : undefined)
    this.#search = new Search(deps, source, 'absent', { refresh: true, signal })
    this.#reader = new BuildReader(deps, source, this.#keeper, this.#search)
  }

  /** Reads the lists. Builds that were created and finished before `earliest` are skipped. */
  async run(earliest = Number.NEGATIVE_INFINITY): Promise<ReadLists> {
    const { overlap, absent, priority } = kinds[this.#kind]
    const lookBack = lookBackTo(this.#kind, this.#mark, this.#deps.clock()) - overlap
    const since = new Date(Math.max(lookBack, earliest))
    this.#avoid = await unlistableRanges(this.#deps, this.#source)
    await this.#walk({ created_from: since, created_to: new Date(this.#deps.clock() + NEVER) }, priority)
    const plan = await this.#planJobReads()
    // Open before finished: a build that finishes between the two requests is in both lists and needs no separate read.
    await this.#walk({ created_to: since, state: OPEN_STATES, jobs: plan.withList }, priority)
    await this.#walk({ created_to: since, finished_from: since }, priority)
    const [start, until] = [this.#start, this.#until]
    if (!start || !until) throw new RangeError('The builds lists returned no page, not even an empty one.')
    this.#countUnlistable(await retryUnlistable(this.#deps, this.#source, this.#keeper, this.#signal))
    await this.#readAbsent(since, start, absent)
    await this.#retryFailed()
    await this.#readJobs(plan)
    this.#tally.requests += this.#search.requests
    // A safeguard, however the start was determined: nothing is verified beyond Buildkite's present time.
    const present = this.#source.client.now() ?? start
    return { to: new Date(Math.min(start.getTime(), present.getTime())), until }
  }

  async #walk(filter: BuildsFilter, priority: 'hot' | 'absent'): Promise<void> {
    const pages = this.#source.client.builds(
      this.#source.slug,
      { ...filter, avoid: this.#avoid },
      priority,
      this.#signal,
    )
    for await (const page of oneAhead(pages)) {
      this.#signal.throwIfAborted()
      this.#start ??= page.at
      this.#until = answeredBy(this.#source, page.at)
      this.#tally.requests += page.requests
      await this.#keepUnlistable(page)
      const report = await this.#keeper.keep(page.value, page.at, { jobs: page.jobs, via: 'list' })
      for (const { id } of report.facts) this.#seen.add(id)
      this.#count(report)
    }
  }

  async #keepUnlistable({ unlistable }: BuildsPage): Promise<void> {
    if (unlistable.length === 0) return
    this.#countUnlistable(await recordUnlistable(this.#deps, this.#source, this.#keeper, unlistable, this.#signal))
    this.#avoid = [...this.#avoid, ...unlistable]
  }

  #countUnlistable({ requests, pages }: UnlistableReport): void {
    this.#tally.requests += requests
    for (const page of pages) {
      for (const { id } of page.facts) this.#seen.add(id)
      this.#count(page)
    }
  }

  #count(page: PageReport): void {
    this.#tally.requests += page.requests
    this.#tally.builds_read += page.read
    this.#tally.refused.push(...page.refused)
    this.#tally.results = addPageResults(this.#tally.results, page.results)
  }

  #planJobReads(): Promise<JobReadPlan> {
    const { builds, jobs } = this.#tally.results
    const lost = builds.missing + builds.healed + jobs.missing + jobs.healed > 0
    return planJobReads(this.#deps.db, this.#source, new Date(this.#deps.clock()), lost)
  }

  async #readAbsent(since: Date, start: Date, limit: number): Promise<void> {
    const { db, backfillDays } = this.#deps
    const query = {
      createdBefore: since,
      observedBefore: start,
      seen: this.#seen,
      // Without a backfill nothing else reads these builds, so this cycle reads them individually.
      awaitingBackfill: backfillDays === 0 ? [] : await awaitingBackfill(db, this.#source.id, this.#mark),
      limit,
    }
    const alone = await readAbsent(this.#deps, this.#source, this.#keeper, query, this.#signal)
    this.#tally.requests += alone.requests
    this.#tally.unlisted_read += alone.reads
    for (const page of alone.pages) this.#count(page)
  }

  async #retryFailed(): Promise<void> {
    for (const page of await retryFailedBuilds(this.#deps, this.#source, this.#reader, this.#signal)) this.#count(page)
  }

  /** Reads the jobs of builds that were listed without them. A build that is gone is marked: nothing is left to read. */
  async #readJobs({ unaccounted }: JobReadPlan): Promise<void> {
    const { db, clock, scope } = this.#deps
    const options = { unaccounted, large: this.#kind === 'warm', limit: kinds[this.#kind].jobReads }
    for (const build of await dueJobReads(db, this.#source, new Date(clock()), options)) {
      this.#signal.throwIfAborted()
      const slug = build.slug ?? slugsOf(build.url).pipeline
      if (slug === undefined || !scope.pipeline(slug)) {
        await postponeJobRead(db, build.id, new Date(clock() + 6 * HOUR))
        continue
      }
      const created_at = build.created_at === null ? null : new Date(build.created_at)
      const known = { ...build, number: Number(build.number), created_at }
      const { page, tries = 1 } = await this.#reader.readKnown(known, slug)
      if (page) this.#count(page)
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

async function recordFailedCycle(
  { db, clock, log }: ReconcileDeps,
  source: Source,
  kind: CycleKind,
  started: Date,
  tally: Tally,
  error: unknown,
): Promise<void> {
  const row = { started_at: started, finished_at: new Date(clock()), ...columnsOf(tally), error: messageOf(error) }
  try {
    await db.insert(cycles).values({ organization_id: source.id, kind, ...row })
  } catch (failure) {
    // The caller gets the error itself; a database that is down cannot record it.
    log.debug({ err: failure }, 'Could not record a failed cycle.')
  }
}
