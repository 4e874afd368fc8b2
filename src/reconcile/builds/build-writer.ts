import { z } from 'zod'
import { isObject, isUuid } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { isTooMuch } from '../../database/connection.ts'
import { clearFailure, codeOf, type Failure, failuresOf, recordFailure } from '../../database/failures.ts'
import { observeBuilds } from '../../mirror/observe.ts'
import { addResults, noResults, type ReadResults, type WebhookProgress } from '../../mirror/read-result.ts'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { keepObserved, type ReconcileDeps, type Source } from '../context.ts'
import { expectJobs, recordJobs } from './job-reads.ts'
import { UnknownPipelines } from './unknown-pipelines.ts'

/** The fields of a build that reconciliation itself needs. */
const buildSummary = z.object({
  id: z.guid().toLowerCase(),
  state: z.string().nullish().catch(null),
  url: z.string().nullish().catch(null),
  number: z.number().nullish().catch(null),
  created_at: z.coerce.date().nullish().catch(null),
})
export type BuildSummary = z.infer<typeof buildSummary>

/** A build as Buildkite returned it. */
interface PageBuild extends BuildSummary {
  readonly raw: unknown
}

/** The result of one page (or one build) of REST. */
export interface PageReport {
  /** Every build on the page, also those out of scope. */
  readonly builds: readonly BuildSummary[]
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

/** How builds were read, and whether with their jobs. */
export interface PageKind {
  readonly jobs: boolean
  readonly via: 'list' | 'build'
}

/** Merges pages of builds of one organization into the mirror, for one cycle or window. */
export class BuildWriter {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #progress: (() => Promise<WebhookProgress | undefined>) | undefined
  readonly #pipelines: UnknownPipelines
  /** Builds whose failures are recorded, by id. */
  #failures: Promise<Map<string, Failure>> | undefined

  /** `progress` is called before each page; without it no webhook counts as lost. */
  constructor(deps: ReconcileDeps, source: Source, progress?: () => Promise<WebhookProgress | undefined>) {
    this.#deps = deps
    this.#source = source
    this.#progress = progress
    this.#pipelines = new UnknownPipelines(deps, source)
  }

  /** Builds that cannot be stored are recorded in sync.failures and skipped. @throws StoreError. */
  async write(page: readonly unknown[], at: Date, { jobs, via }: PageKind): Promise<PageReport> {
    const { db, filter, log } = this.#deps
    const builds = page.flatMap((raw) => {
      const { data } = buildSummary.safeParse(raw)
      return data ? [{ ...data, raw }] : []
    })
    const wanted = builds.filter(({ url }) => filter.pipeline(slugsOf(url).pipeline ?? ''))
    const requests = await this.#pipelines.listFor(wanted)
    if (!jobs) {
      const ids = wanted.map(({ id }) => id)
      await expectJobs(db, this.#source, ids, at)
    }
    const applied = await applyBuilds(this.#deps, this.#source, wanted, at, await this.#progress?.())
    const refusedIds = new Set(applied.refused.map(({ id }) => id))
    const stored = wanted.filter(({ id }) => !refusedIds.has(id))
    const jobCounts = stored.map(({ id, raw }) => ({ id, jobs: jobs ? countJobs(raw) : undefined }))
    await recordJobs(db, this.#source, jobCounts, at, via)
    // The watermark moves past them, so builds that the mirror lacks must be recorded.
    const refused = [
      ...(builds.length < page.length ? [withoutId] : []),
      ...(jobs ? wanted.flatMap(unreadJobs) : []),
      ...applied.refused,
    ]
    for (const { id, reason } of refused) log.error({ build: id }, `A build could not be stored. ${reason}`)
    await this.#recordFailures(wanted, refused, jobs)
    const summaries = builds.map(({ raw: _, ...summary }) => summary)
    return { builds: summaries, read: wanted.length, requests, results: applied.results, refused }
  }

  /**
   * Records builds that could not be stored, and clears the failures of builds that succeed now. A build without its jobs does not count as
   * a success, because the earlier failure may be in the jobs.
   */
  async #recordFailures(wanted: readonly BuildSummary[], refused: readonly Refused[], jobs: boolean): Promise<void> {
    const { db, clock } = this.#deps
    this.#failures ??= this.#knownFailures()
    const failures = await this.#failures
    const refusals = new Map(refused.map((one) => [one.id, one]))
    for (const build of wanted) {
      const refusal = refusals.get(build.id)
      const failure = failures.get(build.id)
      if (refusal) {
        const error = new StoreError('permanent', refusal.reason, { code: refusal.code })
        await recordFailure(db, buildUnit(this.#source, build), error, new Date(clock()))
      } else if (failure && jobs) {
        failures.delete(build.id)
        await clearFailure(db, { kind: 'build', organizationId: this.#source.id, subject: failure.subject })
      }
    }
  }

  async #knownFailures(): Promise<Map<string, Failure>> {
    const rows = await failuresOf(this.#deps.db, this.#source.id, ['build'])
    return new Map(rows.flatMap((row) => (row.build_id ? [[row.build_id, row] as const] : [])))
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

const withoutId: Refused = {
  id: 'without an id',
  code: 'no_id',
  reason: 'Buildkite returned it without a usable id.',
}

/** A build that has jobs which cannot be stored. */
function unreadJobs({ id, raw }: PageBuild): Refused[] {
  const reason = faultOfJobs({ jobs: isObject(raw) ? (raw.jobs ?? []) : [] })
  return reason === undefined ? [] : [{ id, code: 'jobs_unreadable', reason }]
}

/** Why some of a build's jobs cannot be stored or compared; undefined if all can. */
export function faultOfJobs({ jobs }: { readonly jobs?: unknown }): string | undefined {
  if (!Array.isArray(jobs)) return 'Its `jobs` is not a list.'
  const nameless = jobs.filter((job) => !isObject(job) || !isUuid(job.id)).length
  return nameless > 0 ? `${nameless} of its jobs have no usable id.` : undefined
}

function countJobs(build: unknown): number {
  return isObject(build) && Array.isArray(build.jobs) ? build.jobs.length : 0
}

/**
 * Merges a page at once. If Postgres refuses it or takes too long, merges it in two parts, so that only the bad builds are left out. The
 * parts are alternate builds, so that adjacent bad builds are spread over both.
 */
async function applyBuilds(
  deps: ReconcileDeps,
  source: Source,
  builds: readonly PageBuild[],
  at: Date,
  progress: WebhookProgress | undefined,
  page = { stored: 0, tooSlow: 0 },
): Promise<{ results: Results; refused: Refused[] }> {
  const observed = observeBuilds(
    builds.map(({ raw }) => raw),
    at,
    { storeEnv: deps.storeEnv, organizationId: source.id },
  )
  try {
    const { results } = await keepObserved(deps, observed, progress)
    page.stored += builds.length
    return { results, refused: [] }
  } catch (error) {
    const [only] = builds
    if (!isRefusal(error) || !only) throw error
    if (builds.length === 1) {
      if (isTooMuch(error)) page.tooSlow += 1
      // Postgres is slow in general; no single build is the cause.
      if (page.tooSlow >= MOST_TOO_SLOW && page.tooSlow > page.stored) throw error
      return { results: nothingFound, refused: [{ id: only.id, code: codeOf(error), reason: messageOf(error) }] }
    }
    const part = (rest: number) => builds.filter((_, index) => index % 2 === rest)
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

/** SQLSTATE classes 21 to 23 and 54: the value is at fault (invalid, duplicate or too large), not the database. */
function isRefusal(error: unknown): boolean {
  return isTooMuch(error) || (error instanceof StoreError && /^(2[123]|54)/.test(error.code ?? ''))
}

/** Names builds that could not be stored, in a sentence; `undefined` when there are none. */
export function refusalOf(refused: readonly Refused[]): string | undefined {
  const [first] = refused
  if (!first) return undefined
  const ids = [...new Set(refused.map(({ id }) => id))]
  const named = ids.slice(0, 10).join(', ') + (ids.length > 10 ? ' …' : '')
  return `${ids.length} ${ids.length === 1 ? 'build' : 'builds'} could not be stored: ${named}. ${first.reason}`
}
