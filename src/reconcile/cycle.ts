import { and, eq, lt } from 'drizzle-orm'
import type { BuildsFilter } from '../buildkite/client.ts'
import { withLock } from '../database/locks.ts'
import { cycles } from '../database/schema.ts'
import { messageOf } from '../errors.ts'
import { DAY, HOUR, MINUTE } from '../time.ts'
import { forgetSettled, OPEN_STATES, readAbsent } from './absent.ts'
import { oneAhead } from './ahead.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import {
  addPageResults,
  buildKeeper,
  nothingFound,
  type PageReport,
  type Refused,
  type Results,
  refusalOf,
} from './pages.ts'
import { awaitingBackfill, moveWatermark, type Watermark, watermarkOfWanted } from './watermark.ts'
import { webhookProgress } from './webhook-progress.ts'

/**
 * `hot` runs every minute and looks back to the watermark; `warm` runs every hour and looks back hours further, for what the API
 * itself showed late. The longest delay of a webhook known is about two hours.
 */
export type CycleKind = 'hot' | 'warm'

const kinds = {
  hot: { overlap: 2 * MINUTE, absent: 20, priority: 'hot' },
  warm: { overlap: 3 * HOUR, absent: 100, priority: 'absent' },
} as const

const CYCLES_KEPT = 30 * DAY
// List 1 has no end, but the walk wants one: so far off that no wrong clock of ours can cut a build away.
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
   * What was found about builds and jobs; see ReadResult. A first cycle finds nothing missing or healed, and nor does any cycle of an
   * organization without webhooks: no webhook was lost, so what REST brought counts as completed.
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
  /** Builds read one by one, because no list held them. */
  readonly absent_read: number
  /** Builds that Postgres would not take; the watermark passes them, and the cycle's row names them as its error. */
  readonly refused: readonly Refused[]
}

/**
 * Runs one cycle for one organization: every build created or finished since the watermark, every open one, and those that should
 * have been among them. `undefined` when another process is at it.
 * @throws BuildkiteError, StoreError; the watermark then stays, and the cycle's row in sync.cycles tells why.
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
    const locked = await withLock(deps.db, `cycle:${kind}:${source.id}`, async (tx) => {
      // The cycle begins once nobody else is at it: so its row tells, and no two rows overlap.
      started = new Date(deps.clock())
      // Not through tx: a statement's portal would hold back vacuum for as long as the cycle takes.
      const before = await watermarkOfWanted(deps, source)
      const to = await runCycle(deps, source, kind, before, tally, signal)
      const report: CycleReport = {
        organization: source.slug,
        kind,
        watermark_from: before?.watermark ?? null,
        watermark_to: to,
        started_at: started,
        finished_at: new Date(deps.clock()),
        ...columnsOf(tally),
        refused: tally.refused,
      }
      await moveWatermark(tx, deps, source.id, kind, to, report.finished_at)
      const { organization: _, refused, ...row } = report
      await tx.insert(cycles).values({ organization_id: source.id, ...row, error: refusalOf(refused) ?? null })
      return report
    })
    if (kind === 'warm') {
      await forgetOldCycles(deps, source)
      await forgetSettled(deps, source)
    }
    return locked.held ? locked.value : undefined
  } catch (error) {
    if (!signal?.aborted) await recordFailure(deps, source, kind, started, tally, error)
    throw error
  }
}

/** What a cycle has read and found so far. */
interface Tally {
  requests: number
  builds_read: number
  results: Results
  absent_read: number
  refused: Refused[]
}

function newTally(): Tally {
  return { requests: 0, builds_read: 0, results: nothingFound, absent_read: 0, refused: [] }
}

/** The tally in the columns of sync.cycles. */
function columnsOf({ requests, builds_read, absent_read, results: { builds, jobs } }: Tally) {
  return {
    requests,
    builds_read,
    absent_read,
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

/** The three lists and the absent; returns the cycle's start on Buildkite's clock, up to which all is then verified. */
async function runCycle(
  deps: ReconcileDeps,
  source: Source,
  kind: CycleKind,
  mark: Watermark | undefined,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<Date> {
  const { overlap, absent, priority } = kinds[kind]
  const first = !mark?.watermark
  const keeper = buildKeeper(deps, source, first ? undefined : webhookProgress(deps, source))
  const seen = new Set<string>()
  const since = new Date(lookBackTo(kind, mark, deps.clock()) - overlap)
  let start: Date | undefined

  const count = (page: PageReport) => {
    tally.requests += page.requests
    tally.builds_read += page.read
    tally.refused.push(...page.refused)
    tally.results = addPageResults(tally.results, page.results)
  }
  const walk = async (filter: BuildsFilter) => {
    for await (const page of oneAhead(source.client.builds(source.slug, filter, priority, signal))) {
      signal?.throwIfAborted()
      start ??= page.at
      tally.requests += 1
      const report = await keeper.keep(page.value, page.at)
      for (const { id } of report.facts) seen.add(id)
      count(report)
    }
  }

  await walk({ created_from: since, created_to: new Date(deps.clock() + NEVER) })
  // Open before finished: a build that finishes between the two requests is in both, and need not be asked for by itself.
  await walk({ created_to: since, state: OPEN_STATES })
  await walk({ created_to: since, finished_from: since })
  if (!start) throw new RangeError('The builds lists gave not even an empty page.')

  const alone = await readAbsent(
    deps,
    source,
    keeper,
    {
      createdBefore: since,
      observedBefore: start,
      seen,
      // What no backfill is to read is read here, build by build.
      awaitingBackfill: deps.backfillDays === 0 ? [] : await awaitingBackfill(deps.db, source.id, mark),
      limit: absent,
    },
    signal,
  )
  tally.requests += alone.requests
  tally.absent_read += alone.reads
  for (const page of alone.pages) count(page)
  return start
}

/** The time before which all is verified. A first cycle starts now: what lies before is the backfill's. */
function lookBackTo(kind: CycleKind, mark: Watermark | undefined, now: number): number {
  if (!mark?.watermark) return now
  const warm = kind === 'warm' ? mark.warm_watermark : null
  return Math.min(mark.watermark.getTime(), warm?.getTime() ?? Number.POSITIVE_INFINITY)
}

async function recordFailure(
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
    // The error itself is on its way to the caller; a database that is down cannot take a note of it.
    log.debug({ err: failure }, 'Could not record a failed cycle.')
  }
}

async function forgetOldCycles({ db, clock }: ReconcileDeps, source: Source): Promise<void> {
  const before = new Date(clock() - CYCLES_KEPT)
  await db.delete(cycles).where(and(eq(cycles.organization_id, source.id), lt(cycles.started_at, before)))
}
