import { and, eq, gte, isNull, lt, sql } from 'drizzle-orm'
import type { BuildsPage } from '../buildkite/client.ts'
import { slugsOf } from '../buildkite/urls.ts'
import { clearFailure, type Failure, failuresOf, isDue, recordFailure } from '../database/failures.ts'
import { builds, pipelines } from '../database/schema.ts'
import { BuildkiteError } from '../errors.ts'
import { DAY } from '../time.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import type { BuildKeeper, PageReport } from './pages.ts'
import type { Span } from './spans.ts'

// Some builds break every list page that holds them; Buildkite then fails the whole page. The walk reports the stretch of created_at
// between the listed neighbours. Here that stretch is recorded, its builds are read by themselves, and later walks avoid it.

/** How many builds of one stretch are read by themselves at a time. */
const READS = 20
/** How many stretches one cycle tries to list again. */
const RETRIES = 2
/** After so many requests a try ends; it goes on below with the next cycle. */
const RETRY_REQUESTS = 20
/** Only pipelines that had a build within so long of the stretch are searched for unknown numbers. */
const NEIGHBOURHOOD = 30 * DAY

/** What reading unlistable builds cost and found. */
export interface UnlistableReport {
  readonly requests: number
  readonly pages: readonly PageReport[]
}

/** The stretches of created_at that no list of the organization shows, as far as is known; walks avoid them. */
export async function unlistableRanges({ db }: ReconcileDeps, source: Source): Promise<Span[]> {
  return (await failuresOf(db, source.id, ['builds_list'])).flatMap((row) => rangeOf(row) ?? [])
}

/** Records stretches that a walk found, and reads what can be read of them. @throws BuildkiteError when the token is refused; StoreError. */
export async function recordUnlistable(
  deps: ReconcileDeps,
  source: Source,
  keeper: BuildKeeper,
  found: BuildsPage['unlistable'],
  signal?: AbortSignal,
): Promise<UnlistableReport> {
  const reports: UnlistableReport[] = []
  for (const { from, to, error } of found) {
    await recordStretch(deps, source, { from, to }, error)
    reports.push(await readStretch(deps, source, keeper, { from, to }, signal))
  }
  return sum(reports)
}

/**
 * Tries again to list stretches whose back-off is over. What is listed now is no longer avoided; of the rest the builds are read again.
 * @throws BuildkiteError when the token is refused; StoreError.
 */
export async function retryUnlistable(
  deps: ReconcileDeps,
  source: Source,
  keeper: BuildKeeper,
  signal?: AbortSignal,
): Promise<UnlistableReport> {
  const now = deps.clock()
  const failed = await failuresOf(deps.db, source.id, ['builds_list'])
  const due = failed.filter(({ next_try_at }) => isDue(next_try_at, now))
  const reports: UnlistableReport[] = []
  for (const row of due.slice(0, RETRIES)) {
    const range = rangeOf(row)
    if (range) reports.push(await retry(deps, source, keeper, row, range, signal))
  }
  return sum(reports)
}

/** Replaces a stretch by those parts of it that still cannot be listed, and by the part that this try did not reach. */
async function retry(
  deps: ReconcileDeps,
  source: Source,
  keeper: BuildKeeper,
  row: Failure,
  range: Span,
  signal: AbortSignal | undefined,
): Promise<UnlistableReport> {
  // A few at a time and without jobs: what fails then is soon known to be the build itself.
  const filter = { created_from: range.from, created_to: range.to, jobs: false, maxPageSize: 5 }
  const pages: PageReport[] = []
  const left: (Span & { error: unknown })[] = []
  let requests = 0
  let rest = range
  let ended = false
  try {
    for await (const page of source.client.builds(source.slug, filter, 'absent', signal)) {
      requests += page.requests
      left.push(...page.unlistable)
      pages.push(await keeper.keep(page.value, page.at, { jobs: page.jobs, via: 'list' }))
      rest = { from: range.from, to: page.last ? range.from : page.walkedTo }
      ended = page.last || requests >= RETRY_REQUESTS
      if (ended) break
    }
  } catch (error) {
    if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
    left.push({ ...rest, error })
  }
  if (ended && rest.from < rest.to) await recordStretch(deps, source, rest, errorOf(row))
  for (const one of left) await recordStretch(deps, source, one, one.error)
  const isLeft = [...left, rest].some((one) => unitOf(source, one).subject === row.subject)
  if (!isLeft) await clearFailure(deps.db, { ...unitOf(source, range), subject: row.subject })
  const reports: UnlistableReport[] = [{ requests, pages }]
  for (const one of left) reports.push(await readStretch(deps, source, keeper, one, signal))
  return sum(reports)
}

function recordStretch(deps: ReconcileDeps, source: Source, { from, to }: Span, error: unknown): Promise<number> {
  const range = { from, to }
  return recordFailure(deps.db, { ...unitOf(source, range), range }, error, new Date(deps.clock()))
}

/** The error that a failure was recorded with, as far as it is known. */
function errorOf({ code, error }: Failure): BuildkiteError {
  const status = Number(/^http_(\d+)$/.exec(code)?.[1] ?? Number.NaN)
  return new BuildkiteError('unavailable', error, { status: Number.isNaN(status) ? undefined : status })
}

/** Reads by themselves the builds of a stretch that the mirror knows, and those whose numbers it lacks. */
async function readStretch(
  deps: ReconcileDeps,
  source: Source,
  keeper: BuildKeeper,
  range: Span,
  signal: AbortSignal | undefined,
): Promise<UnlistableReport> {
  const candidates = [...(await knownBuilds(deps, source, range)), ...(await unknownNumbers(deps, source, range))]
  const pages: PageReport[] = []
  let requests = 0
  for (const { slug, number } of candidates.slice(0, READS)) {
    signal?.throwIfAborted()
    requests += 1
    try {
      const read = await source.client.build(source.slug, slug, number, 'absent', signal)
      if (read) pages.push(await keeper.keep([read.value], read.at, { jobs: true, via: 'build' }))
    } catch (error) {
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      const unit = { kind: 'build', organizationId: source.id, subject: `${slug} #${number}` } as const
      await recordFailure(deps.db, { ...unit, pipelineSlug: slug, buildNumber: number }, error, new Date(deps.clock()))
    }
  }
  return { requests, pages }
}

interface Candidate {
  readonly slug: string
  readonly number: number
}

async function knownBuilds({ db, scope }: ReconcileDeps, source: Source, { from, to }: Span): Promise<Candidate[]> {
  const rows = await db
    .select({ slug: pipelines.slug, url: builds.url, number: builds.number })
    .from(builds)
    .leftJoin(pipelines, eq(pipelines.id, builds.pipeline_id))
    .where(
      and(
        eq(builds.organization_id, source.id),
        gte(builds.created_at, from),
        lt(builds.created_at, to),
        isNull(builds.deleted_at),
      ),
    )
    .limit(READS)
  return rows.flatMap(({ slug: known, url, number }) => {
    const slug = known ?? slugsOf(url).pipeline
    return slug === undefined || number === null || !scope.pipeline(slug) ? [] : [{ slug, number }]
  })
}

/**
 * Build numbers that the mirror lacks between those just before and just after a stretch, by pipeline. Numbers count up by one in each
 * pipeline; one that was deleted answers 404.
 */
async function unknownNumbers({ db, scope }: ReconcileDeps, source: Source, { from, to }: Span): Promise<Candidate[]> {
  const near = (time: Date, ms: number) => new Date(time.getTime() + ms)
  const { rows } = await db.execute<{ slug: string; number: string }>(sql`
    with around as (
      select pipeline_id, max(number) filter (where created_at < ${from}) as below,
        min(number) filter (where created_at >= ${to}) as above
      from ${builds}
      where organization_id = ${source.id} and pipeline_id is not null
        and created_at >= ${near(from, -NEIGHBOURHOOD)} and created_at < ${near(to, NEIGHBOURHOOD)}
      group by pipeline_id
    )
    select pipeline.slug, candidate as number
    from around join ${pipelines} as pipeline on pipeline.id = around.pipeline_id
    cross join lateral generate_series(
      coalesce(below + 1, above - 1), least(coalesce(above - 1, below + 1), coalesce(below + 1, above - 1) + 20)) as candidate
    where pipeline.slug is not null and pipeline.deleted_at is null and candidate > 0
      and not exists (select from ${builds} as known where known.pipeline_id = around.pipeline_id and known.number = candidate)
    order by below is null or above is null, candidate
    limit ${READS}`)
  return rows.flatMap(({ slug, number }) => (scope.pipeline(slug) ? [{ slug, number: Number(number) }] : []))
}

function rangeOf({ created_from: from, created_to: to }: Failure): Span | undefined {
  return from && to ? { from, to } : undefined
}

function unitOf(source: Source, { from, to }: Span) {
  const subject = `builds of ${source.slug} created from ${from.toISOString()} to ${to.toISOString()}`
  return { kind: 'builds_list', organizationId: source.id, subject } as const
}

function sum(reports: readonly UnlistableReport[]): UnlistableReport {
  return {
    requests: reports.reduce((total, { requests }) => total + requests, 0),
    pages: reports.flatMap(({ pages }) => pages),
  }
}
