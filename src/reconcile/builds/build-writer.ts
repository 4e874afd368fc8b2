import { eq } from 'drizzle-orm'
import { z } from 'zod'
import { isObject, isUuid } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { clearFailure, codeOf, type Failure, failuresOf, recordFailure } from '../../database/failures.ts'
import { pipelines, watermarks } from '../../database/schema.ts'
import { observeBuilds } from '../../mirror/observe.ts'
import { addResults, noResults, type ReadResults, type WebhookProgress } from '../../mirror/read-result.ts'
import { BuildkiteError, messageOf, StoreError } from '../../runtime/errors.ts'
import { MINUTE } from '../../runtime/time.ts'
import { keepObserved, type ReconcileDeps, type Source } from '../context.ts'
import { pipelinesBackOff, refreshPipelines } from '../pipelines/pipelines.ts'
import { expectJobs, recordJobs } from './job-reads.ts'

/** The fields of a build that reconciliation itself needs. */
const buildFacts = z.object({
  id: z.guid().toLowerCase(),
  state: z.string().nullish().catch(null),
  url: z.string().nullish().catch(null),
  number: z.number().nullish().catch(null),
  created_at: z.coerce.date().nullish().catch(null),
})
export type BuildFacts = z.infer<typeof buildFacts>

/** The result of one page (or one build) of REST. */
export interface PageReport {
  /** Every build on the page, also those out of scope. */
  readonly facts: readonly BuildFacts[]
  /** Builds in scope. */
  readonly read: number
  /** Additional requests, which refreshed the pipelines. */
  readonly requests: number
  /** The results for the rows of these builds and of their jobs. */
  readonly results: Results
  /** Builds that could not be read or that Postgres rejected, whole or in part. The others are stored: one bad build must not block an organization. */
  readonly refused: readonly Refused[]
}

export interface Results {
  readonly builds: ReadResults
  readonly jobs: ReadResults
}

export interface Refused {
  readonly id: string
  /** A stable code: `no_id`, `jobs_unreadable`, or Postgres's SQLSTATE. */
  readonly code: string
  readonly reason: string
}

/** A slug that is not in the list of pipelines (hidden from our user) causes a new read of the list at most this often. */
const PIPELINES_AGE = 5 * MINUTE

/** How builds were read, and whether with their jobs. */
export interface PageKind {
  readonly jobs: boolean
  readonly via: 'list' | 'build'
}

const listed: PageKind = { jobs: true, via: 'list' }

/** Merges pages of builds of one organization into the mirror. */
export interface BuildWriter {
  /** Builds that cannot be stored are recorded in sync.failures and skipped. @throws StoreError. */
  write(builds: readonly unknown[], at: Date, kind?: PageKind): Promise<PageReport>
}

/**
 * A BuildKeeper for one cycle or window. With `exclude_pipeline` only a build's URL names its pipeline. If that pipeline is new to the
 * mirror, the pipelines are read first, at most once for each writer. If that fails, the builds are stored without a pipeline until the next list.
 * `progress` is called before each page; without it no webhook counts as lost.
 */
export function createBuildWriter(
  deps: ReconcileDeps,
  source: Source,
  progress?: () => Promise<WebhookProgress | undefined>,
): BuildWriter {
  let known: Set<string> | undefined
  let refreshed: Promise<{ requests: number }> | undefined
  let failing: Promise<Map<string, Failure>> | undefined

  async function refreshFor(facts: readonly BuildFacts[]): Promise<number> {
    if (!refreshed) {
      known ??= await knownSlugs(deps, source)
      const slugs = known
      const strangers = facts.filter(({ url }) => {
        const slug = slugsOf(url).pipeline
        return slug !== undefined && !slugs.has(slug)
      })
      if (strangers.length === 0) return 0
      if (!(await worthRefreshing(deps, source, strangers))) return 0
    }
    // Another page may have requested the list already; this one waits for the same answer.
    if (refreshed) return refreshed.then(() => 0)
    refreshed = refreshPipelines(deps, source).catch((error: unknown) => {
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      deps.log.warn(
        { err: error, organization: source.slug },
        'Could not read the pipelines; their builds are stored without a pipeline until the next list.',
      )
      return { requests: 0 }
    })
    return (await refreshed).requests
  }

  /**
   * Records builds that could not be stored, and clears the failures of builds that succeed now. A build without its jobs does not count as
   * a success, because the earlier failure may be in the jobs.
   */
  async function recordOutcome(wanted: readonly SeenBuild[], refused: readonly Refused[], jobs: boolean) {
    failing ??= failuresOf(deps.db, source.id, ['build']).then(
      (rows) => new Map(rows.flatMap((row) => (row.build_id ? [[row.build_id, row] as const] : []))),
    )
    const before = await failing
    const reasons = new Map(refused.map((one) => [one.id, one]))
    for (const { facts } of wanted) {
      const reason = reasons.get(facts.id)
      const failed = before.get(facts.id)
      if (reason !== undefined) {
        await recordFailure(deps.db, buildUnit(source, facts), asError(reason), new Date(deps.clock()))
      } else if (failed && jobs) {
        before.delete(facts.id)
        await clearFailure(deps.db, { kind: 'build', organizationId: source.id, subject: failed.subject })
      }
    }
  }

  return {
    async write(builds, at, { jobs, via } = listed) {
      const all = builds.flatMap((raw) => {
        const parsed = buildFacts.safeParse(raw)
        return parsed.success ? [{ raw, facts: parsed.data }] : []
      })
      const nameless: Refused[] =
        all.length < builds.length ? [{ id: 'without an id', code: 'no_id', reason: noId }] : []
      const wanted = all.filter(({ facts }) => deps.scope.pipeline(slugsOf(facts.url).pipeline ?? ''))
      const ids = wanted.map(({ facts }) => facts.id)
      const requests = await refreshFor(wanted.map(({ facts }) => facts))
      if (!jobs) await expectJobs(deps.db, source, ids, at)
      const { results, refused: refusedByStore } = await applyBuilds(deps, source, wanted, at, await progress?.())
      const refusedIds = new Set(refusedByStore.map(({ id }) => id))
      const shown = wanted.filter(({ facts }) => !refusedIds.has(facts.id))
      await recordJobs(
        deps.db,
        source,
        shown.map((one) => ({ id: one.facts.id, jobs: jobs ? countJobs(one) : undefined })),
        at,
        via,
      )
      // The watermark moves past them, so builds that the mirror lacks must be recorded.
      const refused = [...nameless, ...(jobs ? wanted.flatMap(unreadJobs) : []), ...refusedByStore]
      for (const { id, reason } of refused) deps.log.error({ build: id }, `A build could not be stored. ${reason}`)
      await recordOutcome(wanted, refused, jobs)
      return { facts: all.map(({ facts }) => facts), read: wanted.length, requests, results, refused }
    },
  }
}

/** How a build that cannot be read or stored is recorded in sync.failures. */
export function buildUnit(
  source: Source,
  { id, url, number }: { id: string; url?: string | null | undefined; number?: number | null | undefined },
) {
  const slugs = slugsOf(url)
  const pipelineSlug = slugs.pipeline
  const buildNumber = number ?? slugs.number
  const subject = pipelineSlug === undefined || buildNumber === undefined ? id : `${pipelineSlug} #${buildNumber}`
  return { kind: 'build', organizationId: source.id, subject, pipelineSlug, buildNumber, buildId: id } as const
}

interface SeenBuild {
  readonly raw: unknown
  readonly facts: BuildFacts
}

const noId = 'Buildkite returned it without a usable id.'
/** A build that has jobs which cannot be stored. */
function unreadJobs({ raw, facts: { id } }: SeenBuild): Refused[] {
  const jobs = isObject(raw) ? (raw.jobs ?? []) : []
  const code = 'jobs_unreadable'
  if (!Array.isArray(jobs)) return [{ id, code, reason: 'Its `jobs` is not a list.' }]
  const nameless = jobs.filter((job) => !isObject(job) || !isUuid(job.id)).length
  return nameless > 0 ? [{ id, code, reason: `${nameless} of its jobs have no usable id.` }] : []
}

function asError({ code, reason }: Refused): StoreError {
  return new StoreError('permanent', reason, { code })
}

function countJobs({ raw }: SeenBuild): number {
  return isObject(raw) && Array.isArray(raw.jobs) ? raw.jobs.length : 0
}

/**
 * Merges a page at once. If Postgres refuses it or takes too long, merges it in two parts, so that only the bad builds are left out. The
 * parts are alternate builds, so that adjacent bad builds are spread over both.
 */
async function applyBuilds(
  deps: ReconcileDeps,
  source: Source,
  seen: readonly SeenBuild[],
  at: Date,
  progress: WebhookProgress | undefined,
  page = { stored: 0, tooSlow: 0 },
): Promise<{ results: Results; refused: Refused[] }> {
  const observed = observeBuilds(
    seen.map(({ raw }) => raw),
    at,
    { storeEnv: deps.storeEnv, organizationId: source.id },
  )
  try {
    const { results } = await keepObserved(deps, observed, progress)
    page.stored += seen.length
    return { results, refused: [] }
  } catch (error) {
    const [only] = seen
    if (!isRefusal(error) || !only) throw error
    if (seen.length === 1) {
      if (isTooSlow(error)) page.tooSlow += 1
      // Postgres is slow in general; no single build is the cause.
      if (page.tooSlow >= MOST_TOO_SLOW && page.tooSlow > page.stored) throw error
      return { results: nothingFound, refused: [{ id: only.facts.id, code: codeOf(error), reason: messageOf(error) }] }
    }
    const part = (rest: number) => seen.filter((_, index) => index % 2 === rest)
    const one = await applyBuilds(deps, source, part(0), at, progress, page)
    const other = await applyBuilds(deps, source, part(1), at, progress, page)
    return { results: addPageResults(one.results, other.results), refused: [...one.refused, ...other.refused] }
  }
}

/** If this many builds of one page time out, and more than were stored, the builds are not the cause. */
const MOST_TOO_SLOW = 4

export const nothingFound: Results = { builds: noResults, jobs: noResults }

export function addPageResults(a: Results, b: Results): Results {
  return { builds: addResults(a.builds, b.builds), jobs: addResults(a.jobs, b.jobs) }
}

/**
 * SQLSTATE classes 21 to 23 and 54: the value is at fault (invalid, duplicate or too large), not the database. 57014 and 53200: the
 * statement takes too long or too much memory.
 */
function isRefusal(error: unknown): boolean {
  return error instanceof StoreError && (/^(2[123]|54)/.test(error.code ?? '') || isTooSlow(error))
}

function isTooSlow(error: unknown): boolean {
  return error instanceof StoreError && (error.code === '57014' || error.code === '53200')
}

async function knownSlugs({ db }: ReconcileDeps, source: Source): Promise<Set<string>> {
  const rows = await db.select({ slug: pipelines.slug }).from(pipelines).where(eq(pipelines.organization_id, source.id))
  return new Set(rows.flatMap(({ slug }) => slug ?? []))
}

async function worthRefreshing(deps: ReconcileDeps, source: Source, strangers: readonly BuildFacts[]) {
  const [row] = await deps.db
    .select({ readAt: watermarks.pipelines_read_at })
    .from(watermarks)
    .where(eq(watermarks.organization_id, source.id))
  if (await pipelinesBackOff(deps, source)) return false
  const readAt = row?.readAt
  if (!readAt || deps.clock() - readAt.getTime() > PIPELINES_AGE) return true
  return strangers.some(({ created_at }) => created_at && created_at > readAt)
}

/** Names builds that could not be stored, in a sentence; `undefined` when there are none. */
export function refusalOf(refused: readonly Refused[]): string | undefined {
  const [first] = refused
  if (!first) return undefined
  const ids = [...new Set(refused.map(({ id }) => id))]
  const named = ids.slice(0, 10).join(', ') + (ids.length > 10 ? ' …' : '')
  return `${ids.length} ${ids.length === 1 ? 'build' : 'builds'} could not be stored: ${named}. ${first.reason}`
}
