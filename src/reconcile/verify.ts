import { sql } from 'drizzle-orm'
import type { Priority } from '../buildkite/budget.ts'
import { type BuildsPage, DeepListingError } from '../buildkite/client.ts'
import { slugsOf } from '../buildkite/urls.ts'
import { builds } from '../database/schema.ts'
import { inOneTransaction, markDeleted } from '../mirror/apply.ts'
import { compareWithMirror, type Difference } from '../mirror/compare.ts'
import { canonical } from '../mirror/merge.ts'
import { observeBuilds } from '../mirror/observe.ts'
import { isObject } from '../mirror/reader.ts'
import { MINUTE, pause, SECOND } from '../time.ts'
import { OPEN_STATES } from './absent.ts'
import { oneAhead } from './ahead.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import { buildsWithDrift, closeDrift, type Finding } from './drift.ts'
import { type BuildKeeper, buildKeeper } from './pages.ts'
import { halve, type Span } from './spans.ts'
import { createdIn, Surplus } from './surplus.ts'
import { Search } from './whereabouts.ts'

export interface VerifyOptions {
  /** `created_at` of the builds to verify. */
  readonly span: Span
  /** Slug of a pipeline, where only its builds are to be verified. */
  readonly pipeline?: string | undefined
  /** Only about so many builds, in pages at random places of the span. */
  readonly sample?: number | undefined
  /** Whether what differs is set right. Without, nothing is written. */
  readonly heal: boolean
  readonly priority: Priority
  readonly onProgress?: (progress: { builds: number; requests: number; found: number }) => void
  readonly signal?: AbortSignal | undefined
  /** How long after its first reading a build under way is read again; for tests. */
  readonly recheckAfterMs?: number
}

/** What verifying found. */
export interface VerifyReport {
  readonly organization: string
  readonly from: Date
  readonly to: Date
  /** Builds and jobs of Buildkite that were compared. */
  readonly builds: number
  readonly jobs: number
  readonly requests: number
  readonly findings: readonly Finding[]
  /** When the first page was read, on Buildkite's clock. */
  readonly read_at: Date | undefined
}

/** Within this time of its last change a build's webhooks may be on their way, or a cycle about to see it. */
const IN_MOTION = MINUTE
const RECHECK_AFTER = 10 * SECOND
const RECHECKS = 3

/**
 * Reads every build of a span from the API once more, with its jobs, and compares all with the mirror, both ways. What differs on
 * a build under way is looked at again some seconds later, and only counts when it stays. Healing also closes what is open in
 * sync.drift of the builds compared and differs no longer.
 * @throws BuildkiteError, StoreError.
 */
export async function verifySpan(deps: ReconcileDeps, source: Source, options: VerifyOptions): Promise<VerifyReport> {
  const open = options.heal ? await buildsWithDrift(deps.db, source.id) : new Set<string>()
  const run = new Verification(deps, source, options, open)
  for await (const stretch of stretches(deps, source, options)) {
    options.signal?.throwIfAborted()
    await run.check(stretch)
  }
  await run.checkAgain()
  const report = run.report()
  if (options.heal) await closeDrift(deps.db, source.id, run.compared, report.findings, new Date(deps.clock()))
  return report
}

/** A page of builds, and the part of the span that is read whole with it. */
interface Stretch {
  readonly page: BuildsPage
  readonly span: Span
}

async function* stretches(deps: ReconcileDeps, source: Source, options: VerifyOptions): AsyncGenerator<Stretch> {
  const { span, sample } = options
  if (sample === undefined) return yield* walkWhole(source, options, span)
  for (const to of await randomMoments(deps, source, span, Math.ceil(sample / 100))) {
    for await (const stretch of walk(source, options, { from: span.from, to })) {
      yield stretch
      break
    }
  }
}

async function* walk(source: Source, options: VerifyOptions, { from, to }: Span): AsyncGenerator<Stretch> {
  const { pipeline, priority, signal } = options
  const pages = source.client.builds(source.slug, { created_from: from, created_to: to, pipeline }, priority, signal)
  let reached = to
  for await (const page of pages) {
    yield { page, span: { from: page.walkedTo, to: reached } }
    reached = page.walkedTo
  }
}

async function* walkWhole(source: Source, options: VerifyOptions, span: Span): AsyncGenerator<Stretch> {
  let { to } = span
  try {
    for await (const stretch of oneAhead(walk(source, options, span))) {
      yield stretch
      to = stretch.span.from
    }
  } catch (error) {
    const halves = error instanceof DeepListingError ? halve({ from: span.from, to }) : undefined
    if (!halves) throw error
    for (const half of halves) yield* walkWhole(source, options, half)
  }
}

/** Moments just after builds that the mirror holds, so that busy times are drawn more often; the span's end where it holds none. */
async function randomMoments({ db }: ReconcileDeps, source: Source, span: Span, count: number): Promise<Date[]> {
  const rows = await db
    .select({ created_at: builds.created_at })
    .from(builds)
    .where(createdIn(source, span))
    .orderBy(sql`random()`)
    .limit(count)
  const moments = rows.flatMap(({ created_at }) => (created_at ? [new Date(created_at.getTime() + 1)] : []))
  return moments.length > 0 ? moments : [span.to]
}

interface Suspect {
  readonly slug: string
  readonly number: number
  readonly at: Date
  readonly differences: readonly Difference[]
}

/** One run over a span. */
class Verification {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #options: VerifyOptions
  readonly #keeper: BuildKeeper
  readonly #search: Search
  readonly #surplus: Surplus
  readonly #findings: Finding[] = []
  readonly #suspects = new Map<string, Suspect>()
  readonly #open: ReadonlySet<string>
  /** Of the builds with open drift, those that were compared to the end. */
  readonly compared = new Set<string>()
  #builds = 0
  #jobs = 0
  #requests = 0
  #readAt: Date | undefined

  constructor(deps: ReconcileDeps, source: Source, options: VerifyOptions, open: ReadonlySet<string>) {
    this.#open = open
    this.#deps = deps
    this.#source = source
    this.#options = options
    this.#keeper = buildKeeper(deps, source)
    const { heal: refresh, priority, signal } = options
    this.#search = new Search(deps, source, priority, { refresh, signal })
    this.#surplus = new Surplus(deps, source, this.#search, options.pipeline)
  }

  report(): VerifyReport {
    return {
      organization: this.#source.slug,
      ...this.#options.span,
      builds: this.#builds,
      jobs: this.#jobs,
      requests: this.#requests + this.#search.requests,
      findings: this.#findings,
      read_at: this.#readAt,
    }
  }

  async check({ page, span }: Stretch): Promise<void> {
    this.#requests += 1
    this.#readAt ??= page.at
    const wanted = page.value.filter(isObject).filter(({ url }) => this.#isWanted(slugsOf(url).pipeline))
    this.#builds += wanted.length
    this.#jobs += wanted.reduce((sum, { jobs }) => sum + (Array.isArray(jobs) ? jobs.length : 0), 0)
    const differences = await this.#compare(wanted, page.at)
    const differing = new Set(differences.map(({ build_id }) => build_id))
    for (const build of wanted) {
      const id = idOf(build)
      const { pipeline: slug, number } = slugsOf(build.url)
      if (!differing.has(id) || slug === undefined || number === undefined || !isInMotion(build, page.at)) continue
      const found = differences.filter(({ build_id }) => build_id === id)
      this.#suspects.set(id, { slug, number, at: page.at, differences: found })
    }
    const settled = differences.filter(({ build_id }) => !this.#suspects.has(build_id))
    await this.#settle(settled, wanted, page.at)
    for (const build of wanted) this.#note(idOf(build))
    for (const { build, gone, at } of await this.#surplus.of(page, span)) {
      const { heal } = this.#options
      if (heal) await markDeleted(this.#deps.db, 'builds', [build.id], gone, at)
      const { id: build_id, verified_at: right_until } = build
      const finding = { kind: 'surplus', build_id, job_id: null, columns: [], right_until, reason: gone } as const
      this.#findings.push({ ...finding, healed: heal })
    }
    this.#options.onProgress?.({ ...this.report(), found: this.#findings.length })
  }

  #note(id: string): void {
    if (this.#open.has(id) && !this.#suspects.has(id)) this.compared.add(id)
  }

  #isWanted(slug: string | undefined): boolean {
    return this.#deps.scope.pipeline(slug ?? '')
  }

  #compare(raw: readonly Record<string, unknown>[], at: Date): Promise<Difference[]> {
    const observed = observeBuilds(raw, at, {
      storeEnv: this.#deps.storeEnv,
      organizationId: this.#source.id,
    })
    const complete = new Set(raw.filter(({ jobs }) => Array.isArray(jobs)).map(({ id }) => idOf({ id })))
    return inOneTransaction(this.#deps.db, 'compare builds with the mirror', (tx) =>
      compareWithMirror(tx, observed, complete),
    )
  }

  /** Takes differences as found, and heals them if asked to; whether that helped is looked up, not believed. */
  async #settle(differences: readonly Difference[], raw: readonly Record<string, unknown>[], at: Date): Promise<void> {
    if (!this.#options.heal) {
      this.#findings.push(...differences.map((difference) => ({ ...difference, healed: false })))
      return
    }
    // Also without a difference: it renews what the rows say of their verification.
    await this.#keeper.keep(raw, at)
    if (differences.length === 0) return
    const surplus = differences.flatMap(({ kind, job_id }) => (kind === 'surplus' && job_id ? [job_id] : []))
    await markDeleted(this.#deps.db, 'jobs', surplus, 'not_listed', at)
    const concerned = new Set(differences.map(({ build_id }) => build_id))
    const left = await this.#compare(
      raw.filter(({ id }) => concerned.has(idOf({ id }))),
      at,
    )
    const leftover = new Set(left.map(keyOf))
    for (const difference of differences) {
      this.#findings.push({ ...difference, healed: !leftover.has(keyOf(difference)) })
    }
  }

  /** Looks again at builds under way: only what two readings agree on, and the mirror still lacks, is a difference. */
  async checkAgain(): Promise<void> {
    const { recheckAfterMs = RECHECK_AFTER, signal, priority } = this.#options
    const { client, slug: organization } = this.#source
    for (let round = 1; this.#suspects.size > 0; round++) {
      await pause(recheckAfterMs, signal)
      signal?.throwIfAborted()
      for (const [id, suspect] of this.#suspects) {
        this.#requests += 1
        const read = await client.build(organization, suspect.slug, suspect.number, priority, signal)
        if (!read || !isObject(read.value)) {
          this.#suspects.delete(id)
          continue
        }
        const differences = await this.#compare([read.value], read.at)
        const before = new Set(suspect.differences.map(contentOf))
        const steady = differences.every((difference) => before.has(contentOf(difference)))
        if (steady || round === RECHECKS) {
          this.#suspects.delete(id)
          await this.#settle(differences, [read.value], read.at)
          this.#note(id)
        } else this.#suspects.set(id, { ...suspect, at: read.at, differences })
      }
    }
  }
}

function idOf({ id }: Record<string, unknown>): string {
  return String(id).toLowerCase()
}

function keyOf({ kind, build_id, job_id }: Difference): string {
  return `${kind} ${build_id} ${job_id ?? ''}`
}

/** The difference with what Buildkite told, to see whether a second reading tells the same. */
function contentOf(difference: Difference): string {
  return `${keyOf(difference)} ${canonical(difference.columns.map(({ column, buildkite }) => [column, buildkite]))}`
}

/** Whether a build runs, or it or a job of it has changed just now. */
function isInMotion(build: Record<string, unknown>, at: Date): boolean {
  if (OPEN_STATES.some((state) => state === build.state)) return true
  const jobs = Array.isArray(build.jobs) ? build.jobs.filter(isObject) : []
  const times = [build, ...jobs].flatMap((one) => [one.created_at, one.started_at, one.finished_at, one.unblocked_at])
  return times.some((time) => typeof time === 'string' && Date.parse(time) > at.getTime() - IN_MOTION)
}
