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

// Some builds make Buildkite fail every list page that contains them. The walk reports the range of created_at between the listed
// neighbours. This file records that range and reads its builds individually; later walks avoid the range.

/** How many builds of one range are read individually at a time. */
const READS = 20
/** How many ranges one cycle tries to list again. */
const RETRIES = 2
/** Only pipelines that had a build within this time of the range are searched for unknown numbers. */
const NEIGHBOURHOOD = 30 * DAY

/** What reading unlistable builds cost and found. */
export interface UnlistableReport {
  readonly requests: number
  readonly pages: readonly PageReport[]
}

/** The organization's known unlistable ranges of created_at; walks avoid them. */
export async function unlistableRanges({ db }: ReconcileDeps, source: Source): Promise<Span[]> {
  return (await failuresOf(db, source.id, ['builds_list'])).flatMap((row) => rangeOf(row) ?? [])
}

/** Records ranges that a walk found and reads their builds. @throws BuildkiteError when the token is rejected; StoreError. */
export async function recordUnlistable(
  deps: ReconcileDeps,
  source: Source,
  keeper: BuildKeeper,
  found: BuildsPage['unlistable'],
  signal?: AbortSignal,
): Promise<UnlistableReport> {
  const reports: UnlistableReport[] = []
  for (const { from, to, error } of found) {
    await recordFailure(
      deps.db,
      { ...unitOf(source, { from, to }), range: { from, to } },
      error,
      new Date(deps.clock()),
    )
    reports.push(await readStretch(deps, source, keeper, { from, to }, signal))
  }
  return sum(reports)
}

/** Tries to list ranges whose back-off is over. A range that can be listed is deleted; for the others the builds are read again. */
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
    if (range) reports.push(await retry(deps, source, keeper, range, signal))
  }
  return sum(reports)
}

async function retry(
  deps: ReconcileDeps,
  source: Source,
  keeper: BuildKeeper,
  range: Span,
  signal: AbortSignal | undefined,
): Promise<UnlistableReport> {
  // One by one and without jobs, so a failure is caused by the build itself.
  const filter = { created_from: range.from, created_to: range.to, jobs: false, maxPageSize: 1 }
  const pages: PageReport[] = []
  let requests = 0
  let failed: BuildkiteError | undefined
  try {
    for await (const page of source.client.builds(source.slug, filter, 'absent', signal)) {
      requests += page.requests
      failed ??= page.unlistable[0]?.error
      pages.push(await keeper.keep(page.value, page.at, { jobs: page.jobs, via: 'list' }))
    }
  } catch (error) {
    if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
    failed = error
  }
  if (!failed) {
    await clearFailure(deps.db, unitOf(source, range))
    return { requests, pages }
  }
  await recordFailure(deps.db, { ...unitOf(source, range), range }, failed, new Date(deps.clock()))
  return sum([{ requests, pages }, await readStretch(deps, source, keeper, range, signal)])
}

/** Reads individually the builds of a range that the mirror knows, and those whose numbers it lacks. */
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
 * Build numbers that the mirror lacks between those just before and just after a range, by pipeline. Numbers increase by one in each
 * pipeline; a deleted build returns 404.
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
