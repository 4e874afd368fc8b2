import { sql } from 'drizzle-orm'
import { DeepListingError } from '../../buildkite/client.ts'
import type { Priority } from '../../buildkite/http/budget.ts'
import { builds } from '../../database/schema.ts'
import { MINUTE, type pause, SECOND } from '../../runtime/time.ts'
import { createdIn } from '../builds/locate-build.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { prefetch } from '../prefetch.ts'
import { halve, type TimeRange } from '../progress/time-range.ts'
import { buildsWithDrift, closeDrift, type Discrepancy } from './drift.ts'
import { knownUnlistable, recordUnreadable, type Unreadable } from './unreadable.ts'
import { type Stretch, Verification } from './verification.ts'

export interface VerifyOptions {
  /** `created_at` of the builds to verify. */
  readonly span: TimeRange
  /** Slug of a pipeline, to verify only its builds. */
  readonly pipeline?: string | undefined
  /** Verifies only about this many builds, in pages at random times within the span. */
  readonly sample?: number | undefined
  /** Whether to correct differences. If not, nothing is written. */
  readonly heal: boolean
  readonly priority: Priority
  readonly onProgress?: (progress: VerifyProgress) => void
  /** Called before a pause, with the number of builds in flight and its length. */
  readonly onPause?: (builds: number, ms: number) => void
  readonly signal?: AbortSignal | undefined
  /** How long to wait before builds in flight are read again. Default: {@link recheckAfter} of the default interval. */
  readonly recheckAfterMs?: number
  /** Waits; replaced in tests. */
  readonly wait?: typeof pause
}

export interface VerifyProgress {
  readonly builds: number
  readonly requests: number
  readonly found: number
}

/** The result of a verification. */
export interface VerifyReport {
  readonly organization: string
  readonly from: Date
  readonly to: Date
  /** Builds and jobs that were compared. */
  readonly builds: number
  readonly jobs: number
  /** Builds and jobs that differ, but that a webhook or the next cycle may still correct; the mirror does not claim them yet. */
  readonly builds_in_flight: number
  readonly jobs_in_flight: number
  readonly requests: number
  /** Differences in what the mirror claims to be correct. */
  readonly findings: readonly Discrepancy[]
  /** Builds and ranges that could not be compared. */
  readonly unreadable: readonly Unreadable[]
  /** When the first page was read, on Buildkite's clock. */
  readonly read_at: Date | undefined
}

/** How long after a change the next cycle has read it: the interval plus a margin for the cycle itself. */
export function recheckAfter(reconcileIntervalMs: number): number {
  return reconcileIntervalMs + Math.min(15 * SECOND, Math.max(SECOND, reconcileIntervalMs / 4))
}

/**
 * Reads every build of a span from the API again, with its jobs, and compares it with the mirror in both directions. A difference
 * counts if Buildkite had the value at the time of the mirror's claim. What changed later is read again after a cycle, at most
 * {@link RECHECKS} times, and is in flight if that does not decide it.
 *
 * Healing writes what was read, as a cycle does, so it does not wait for builds in flight. It also closes rows of sync.drift for
 * compared builds that no longer differ, and records in sync.failures what could not be read. It does not try to list ranges that are
 * recorded there as unlistable.
 * @throws BuildkiteError when a list cannot be read, StoreError.
 */
export async function verifySpan(deps: ReconcileDeps, source: Source, options: VerifyOptions): Promise<VerifyReport> {
  const open = options.heal ? await buildsWithDrift(deps.db, source.id) : new Set<string>()
  const run = new Verification(deps, source, { recheckAfterMs: recheckAfter(MINUTE), ...options }, open)
  await run.begin()
  const avoid = options.heal ? await knownUnlistable(deps, source, options.span) : []
  run.skip(avoid)
  for await (const stretch of stretches(deps, source, { ...options, avoid })) {
    options.signal?.throwIfAborted()
    await run.check(stretch)
  }
  await run.checkAgain()
  const report = run.report()
  if (options.heal) {
    await closeDrift(deps.db, source.id, run.compared, report.findings, new Date(deps.clock()))
    await recordUnreadable(deps, source, report.unreadable)
  }
  return report
}

/** Filter for the walk, without the known unlistable ranges of created_at. */
type Walk = VerifyOptions & { readonly avoid: readonly TimeRange[] }

async function* stretches(deps: ReconcileDeps, source: Source, options: Walk): AsyncGenerator<Stretch> {
  const { span, sample } = options
  if (sample === undefined) return yield* walkWhole(source, options, span)
  for (const to of await randomMoments(deps, source, span, Math.ceil(sample / 100))) {
    for await (const stretch of walk(source, options, { from: span.from, to })) {
      yield stretch
      break
    }
  }
}

async function* walk(source: Source, options: Walk, { from, to }: TimeRange): AsyncGenerator<Stretch> {
  const { pipeline, avoid, priority, signal } = options
  const filter = { created_from: from, created_to: to, pipeline, avoid }
  const pages = source.client.builds(source.slug, filter, priority, signal)
  let reached = to
  for await (const page of pages) {
    yield { page, span: { from: page.walkedTo, to: reached } }
    reached = page.walkedTo
  }
}

async function* walkWhole(source: Source, options: Walk, span: TimeRange): AsyncGenerator<Stretch> {
  let { to } = span
  try {
    for await (const stretch of prefetch(walk(source, options, span))) {
      yield stretch
      to = stretch.span.from
    }
  } catch (error) {
    const halves = error instanceof DeepListingError ? halve({ from: span.from, to }) : undefined
    if (!halves) throw error
    for (const half of halves) yield* walkWhole(source, options, half)
  }
}

/** Random times just after builds of the mirror, so that busy times are chosen more often; the span's end if it has no builds. */
async function randomMoments({ db }: ReconcileDeps, source: Source, span: TimeRange, count: number): Promise<Date[]> {
  const rows = await db
    .select({ created_at: builds.created_at })
    .from(builds)
    .where(createdIn(source, span))
    .orderBy(sql`random()`)
    .limit(count)
  const moments = rows.flatMap(({ created_at }) => (created_at ? [new Date(created_at.getTime() + 1)] : []))
  return moments.length > 0 ? moments : [span.to]
}
