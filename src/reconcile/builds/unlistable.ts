import { and, eq, isNull, sql } from 'drizzle-orm'
import type { BuildsPage } from '../../buildkite/client.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { clearOnceConfirmed, type Failure, failuresOf, isDue, recordFailure } from '../../database/failures.ts'
import { builds, pipelines } from '../../database/schema.ts'
import { BuildkiteError } from '../../runtime/errors.ts'
import { DAY } from '../../runtime/time.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import type { TimeRange } from '../progress/time-range.ts'
import { BuildReader } from './build-reader.ts'
import type { BuildWriter, PageReport } from './build-writer.ts'
import { BuildLocator, createdIn, type MirroredBuild } from './locate-build.ts'

// Some builds make Buildkite fail every list page that contains them. The walk reports the range of created_at between the listed
// neighbours. This file records that range and reads its builds individually; later walks avoid the range.

/** How many builds of one range are read individually at a time. */
const READS = 20
/** At most this many missing numbers are considered per range and pipeline. */
const NUMBERS = 1_000
/** How many ranges one cycle tries to list again. */
const RETRIES = 2
/** A try ends after this many requests; the next one continues with older builds. */
const RETRY_REQUESTS = 20
/** Only pipelines that had a build within this time of the range are searched for missing numbers. */
const NEIGHBOURHOOD = 30 * DAY

/** The cost and the results of reading unlistable builds. */
export interface UnlistableReport {
  readonly requests: number
  readonly pages: readonly PageReport[]
}

/** How a cycle or a backfill reads the builds of one organization. */
export interface Reading {
  readonly deps: ReconcileDeps
  readonly source: Source
  readonly writer: BuildWriter
  readonly signal: AbortSignal | undefined
}

/** The organization's known unlistable ranges of created_at; walks avoid them. */
export async function unlistableRanges({ db }: ReconcileDeps, source: Source): Promise<TimeRange[]> {
  return (await failuresOf(db, source.id, ['builds_list'])).flatMap((row) => rangeOf(row) ?? [])
}

/** Records ranges that a walk found and reads their builds. @throws BuildkiteError when the token is rejected; StoreError. */
export async function recordUnlistable(reading: Reading, found: BuildsPage['unlistable']): Promise<UnlistableReport> {
  const reports: UnlistableReport[] = []
  for (const { from, to, error } of found) {
    const tries = await recordRange(reading, { from, to }, error)
    reports.push(await readRange(reading, { from, to }, tries))
  }
  return sum(reports)
}

/**
 * Tries to list ranges whose back-off is over. What can be listed is removed from them; the builds of the rest are read again.
 * @throws BuildkiteError when the token is rejected; StoreError.
 */
export async function retryUnlistable(reading: Reading): Promise<UnlistableReport> {
  const { deps, source } = reading
  const now = deps.clock()
  const failed = await failuresOf(deps.db, source.id, ['builds_list'])
  const due = failed
    .map((row) => ({ row, range: rangeOf(row) }))
    .filter(({ row, range }) => range && isDue(row.next_try_at, now))
    .sort((a, b) => a.row.next_try_at.getTime() - b.row.next_try_at.getTime())
  const reports: UnlistableReport[] = []
  for (const { row, range } of due.slice(0, RETRIES)) {
    if (range) reports.push(await retry(reading, row, range))
  }
  return sum(reports)
}

/** Replaces a range by the parts that still cannot be listed and the part that this try did not reach. */
async function retry(reading: Reading, row: Failure, range: TimeRange): Promise<UnlistableReport> {
  const { deps, source, writer, signal } = reading
  // A few builds per page and without jobs, so a failure is soon traced to one build.
  const filter = { created_from: range.from, created_to: range.to, jobs: false, maxPageSize: 5 }
  const pages: PageReport[] = []
  const left: (TimeRange & { error: unknown })[] = []
  let requests = 0
  let rest = range
  let ended = false
  try {
    for await (const page of source.client.builds(source.slug, filter, 'absent', signal)) {
      requests += page.requests
      left.push(...page.unlistable)
      pages.push(await writer.write(page.value, page.at, { jobs: page.jobs, via: 'list' }))
      rest = { from: range.from, to: page.last ? range.from : page.walkedTo }
      ended = page.last || requests >= RETRY_REQUESTS
      if (ended) break
    }
  } catch (error) {
    if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
    left.push({ ...rest, error })
  }
  if (ended && rest.from < rest.to) await recordRange(reading, rest, errorOf(row))
  const tries: number[] = []
  for (const one of left) tries.push(await recordRange(reading, one, one.error))
  const isLeft = [...left, rest].some((one) => unitOf(source, one).subject === row.subject)
  if (!isLeft) {
    const unit = { ...unitOf(source, range), subject: row.subject }
    await clearOnceConfirmed(deps.db, unit, presentOf(deps, source))
  }
  const reports: UnlistableReport[] = [{ requests, pages }]
  for (const [index, one] of left.entries()) {
    reports.push(await readRange(reading, one, tries[index] ?? 1))
  }
  return sum(reports)
}

function recordRange({ deps, source }: Reading, { from, to }: TimeRange, error: unknown): Promise<number> {
  const range = { from, to }
  return recordFailure(deps.db, { ...unitOf(source, range), range }, error, new Date(deps.clock()))
}

/** The error of a recorded failure. */
export function errorOf({ code, error }: Failure): BuildkiteError {
  const status = Number(/^http_(\d+)$/.exec(code)?.[1] ?? Number.NaN)
  return new BuildkiteError('unavailable', error, { status: Number.isNaN(status) ? undefined : status })
}

/**
 * Reads individually the builds of a range: those that the mirror knows, and those whose numbers it lacks. Each gets half of the reads;
 * each try starts with other builds.
 */
async function readRange(reading: Reading, range: TimeRange, tries: number): Promise<UnlistableReport> {
  const { deps, source, writer, signal } = reading
  const unknown = rotate(await unknownNumbers(deps, source, range), tries, READS / 2)
  const known = (await knownBuilds(deps, source, range)).slice(0, READS - Math.min(unknown.length, READS / 2))
  const pages: PageReport[] = []
  const locator = new BuildLocator(deps, source, 'absent', { refresh: true, signal })
  const reader = new BuildReader(deps, source, writer, locator)
  for (const { slug, ...build } of known) {
    signal?.throwIfAborted()
    const { page } = await reader.readKnown(build, slug)
    if (page) pages.push(page)
  }
  // These numbers are guesses. A number without a build is no reason to list the pipelines again.
  const numbers = new BuildLocator(deps, source, 'absent', { refresh: false, signal })
  const guesser = new BuildReader(deps, source, writer, numbers)
  for (const one of unknown.slice(0, READS - known.length)) {
    signal?.throwIfAborted()
    const { slug: pipelineSlug, number: buildNumber, pipelineId } = one
    const subject = `${pipelineSlug} #${buildNumber}`
    const unit = { kind: 'build', organizationId: source.id, subject, pipelineSlug, buildNumber, pipelineId } as const
    const { page } = await guesser.readNumbered(one, unit, { forget: false })
    if (page) pages.push(page)
  }
  return { requests: locator.requests + numbers.requests, pages }
}

/** Rotates the candidates, so that each try starts with another one. */
function rotate<T>(all: readonly T[], tries: number, step: number): T[] {
  const first = all.length === 0 ? 0 : ((tries - 1) * step) % all.length
  return [...all.slice(first), ...all.slice(0, first)]
}

/** The builds of a range that the mirror holds, the longest unverified first. */
async function knownBuilds(
  { db, filter }: ReconcileDeps,
  source: Source,
  range: TimeRange,
): Promise<(MirroredBuild & { slug: string })[]> {
  const { id, number, url, pipeline_id, created_at, verified_at } = builds
  const rows = await db
    .select({ id, number, url, pipeline_id, created_at, known: pipelines.slug })
    .from(builds)
    .leftJoin(pipelines, eq(pipelines.id, builds.pipeline_id))
    .where(and(createdIn(source, range), isNull(builds.deleted_at)))
    .orderBy(sql`${verified_at} nulls first`)
    .limit(READS)
  return rows.flatMap(({ known, number, ...build }) => {
    const slug = known ?? slugsOf(build.url).pipeline
    return slug === undefined || number === null || !filter.pipeline(slug) ? [] : [{ ...build, slug, number }]
  })
}

interface UnknownBuild {
  readonly slug: string
  readonly number: number
  readonly pipelineId: string
}

/**
 * Build numbers that the mirror lacks between those just before and just after a range, by pipeline. Numbers increase by one in each
 * pipeline; a deleted build returns 404. If nothing is known on one side, the number next to the known ones is tried.
 */
async function unknownNumbers(
  { db, filter }: ReconcileDeps,
  source: Source,
  { from, to }: TimeRange,
): Promise<UnknownBuild[]> {
  const near = (time: Date, ms: number) => new Date(time.getTime() + ms)
  const { rows } = await db.execute<{ pipelineId: string; slug: string; number: string }>(sql`
    with around as (
      select pipeline_id, max(number) filter (where created_at < ${from}) as below,
        min(number) filter (where created_at >= ${to}) as above,
        max(number) filter (where created_at < ${to}) as newest, min(number) filter (where created_at >= ${from}) as oldest
      from ${builds}
      where organization_id = ${source.id} and pipeline_id is not null
        and created_at >= ${near(from, -NEIGHBOURHOOD)} and created_at < ${near(to, NEIGHBOURHOOD)}
      group by pipeline_id
    )
    select pipeline.id as "pipelineId", pipeline.slug, candidate as number
    from around join ${pipelines} as pipeline on pipeline.id = around.pipeline_id
    cross join lateral (
      select coalesce(below + 1, oldest - 1) as first, coalesce(above - 1, newest + 1) as last
    ) as gap
    cross join lateral generate_series(first, least(last, first + ${NUMBERS})) as candidate
    where pipeline.slug is not null and pipeline.deleted_at is null and candidate > 0
      and not exists (select from ${builds} as known where known.pipeline_id = around.pipeline_id and known.number = candidate)
    order by below is null or above is null, candidate
    limit ${NUMBERS}`)
  return rows.flatMap(({ number, ...row }) => (filter.pipeline(row.slug) ? [{ ...row, number: Number(number) }] : []))
}

function rangeOf({ created_from: from, created_to: to }: Failure): TimeRange | undefined {
  return from && to ? { from, to } : undefined
}

function unitOf(source: Source, { from, to }: TimeRange) {
  const subject = `builds of ${source.slug} created from ${from.toISOString()} to ${to.toISOString()}`
  return { kind: 'builds_list', organizationId: source.id, subject } as const
}

function sum(reports: readonly UnlistableReport[]): UnlistableReport {
  return {
    requests: reports.reduce((total, { requests }) => total + requests, 0),
    pages: reports.flatMap(({ pages }) => pages),
  }
}
