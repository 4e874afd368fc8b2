import { eq } from 'drizzle-orm'
import { z } from 'zod'
import { slugsOf } from '../buildkite/urls.ts'
import { pipelines, watermarks } from '../database/schema.ts'
import { StoreError } from '../errors.ts'
import { observeBuilds } from '../mirror/observe.ts'
import { addResults, noResults, type ReadResults, type WebhookProgress } from '../mirror/read-result.ts'
import { isObject, isUuid } from '../mirror/reader.ts'
import { MINUTE } from '../time.ts'
import { keepObserved, type ReconcileDeps, type Source } from './deps.ts'
import { refreshPipelines } from './pipelines.ts'

/** What reconciling itself must know of a build; the rest is the mirror's business. */
const buildFacts = z.object({
  id: z.guid().toLowerCase(),
  state: z.string().nullish().catch(null),
  url: z.string().nullish().catch(null),
  created_at: z.coerce.date().nullish().catch(null),
})
export type BuildFacts = z.infer<typeof buildFacts>

/** What came of one page (or one build) of REST. */
export interface PageReport {
  /** Every build on the page, also those out of scope. */
  readonly facts: readonly BuildFacts[]
  /** Builds in scope. */
  readonly read: number
  /** Requests that refreshing the pipelines took besides. */
  readonly requests: number
  /** What was found about the rows of these builds and of their jobs. */
  readonly results: Results
  /** Builds that could not be read or that Postgres would not take, whole or in part. The others are kept all the same: one bad build must not hold up an organization. */
  readonly refused: readonly Refused[]
}

export interface Results {
  readonly builds: ReadResults
  readonly jobs: ReadResults
}

export interface Refused {
  readonly id: string
  readonly reason: string
}

/** A slug that the pipelines list does not know (a pipeline hidden from our user) is asked for no more often than this. */
const PIPELINES_AGE = 5 * MINUTE

/** Merges pages of builds of one organization into the mirror. */
export interface BuildKeeper {
  /** @throws StoreError, and BuildkiteError when pipelines had to be refreshed first. */
  keep(builds: readonly unknown[], at: Date): Promise<PageReport>
}

/**
 * A keeper for one cycle or window. With `exclude_pipeline` a build tells its pipeline by its URL alone; when that names a pipeline
 * new to the mirror, the pipelines are read first, at most once a keeper. `progress` is asked before each page; without it no webhook
 * counts as lost.
 */
export function buildKeeper(
  deps: ReconcileDeps,
  source: Source,
  progress?: () => Promise<WebhookProgress | undefined>,
): BuildKeeper {
  let known: Set<string> | undefined
  let refreshed: Promise<{ requests: number }> | undefined

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
    // Another page may be asking just now: then this one waits for the same answer.
    if (refreshed) return refreshed.then(() => 0)
    refreshed = refreshPipelines(deps, source)
    return (await refreshed).requests
  }

  return {
    async keep(builds, at) {
      const all = builds.flatMap((raw) => {
        const parsed = buildFacts.safeParse(raw)
        return parsed.success ? [{ raw, facts: parsed.data }] : []
      })
      const nameless: Refused[] = all.length < builds.length ? [{ id: 'without an id', reason: noId }] : []
      const wanted = all.filter(({ facts }) => deps.scope.pipeline(slugsOf(facts.url).pipeline ?? ''))
      const requests = await refreshFor(wanted.map(({ facts }) => facts))
      const { results, refused: refusedByStore } = await applyBuilds(deps, source, wanted, at, await progress?.())
      // Told, for the watermark passes them: what a list held and the mirror lacks must not be lost in silence.
      const refused = [...nameless, ...wanted.flatMap(unreadJobs), ...refusedByStore]
      for (const { id, reason } of refused) deps.log.error({ build: id }, `A build could not be stored. ${reason}`)
      return { facts: all.map(({ facts }) => facts), read: wanted.length, requests, results, refused }
    },
  }
}

interface SeenBuild {
  readonly raw: unknown
  readonly facts: BuildFacts
}

const noId = 'Buildkite showed it without an id that can be used.'

/** A build some of whose jobs cannot be kept. */
function unreadJobs({ raw, facts: { id } }: SeenBuild): Refused[] {
  const jobs = isObject(raw) ? (raw.jobs ?? []) : []
  if (!Array.isArray(jobs)) return [{ id, reason: 'Its jobs are no list.' }]
  const nameless = jobs.filter((job) => !isObject(job) || !isUuid(job.id)).length
  return nameless > 0 ? [{ id, reason: `${nameless} of its jobs have no id that can be used.` }] : []
}

/** Merges a page at once; when Postgres refuses some value in it, build by build, so that only the bad one is left out. */
async function applyBuilds(
  deps: ReconcileDeps,
  source: Source,
  seen: readonly SeenBuild[],
  at: Date,
  progress: WebhookProgress | undefined,
): Promise<{ results: Results; refused: Refused[] }> {
  const observed = observeBuilds(
    seen.map(({ raw }) => raw),
    at,
    { storeEnv: deps.storeEnv, organizationId: source.id },
  )
  try {
    const { results } = await keepObserved(deps, observed, progress)
    return { results, refused: [] }
  } catch (error) {
    if (!isRefusal(error)) throw error
    const [only, ...others] = seen
    if (!only) throw error
    if (others.length === 0) return { results: nothingFound, refused: [{ id: only.facts.id, reason: error.message }] }
    let results = nothingFound
    const refused: Refused[] = []
    for (const one of seen) {
      const result = await applyBuilds(deps, source, [one], at, progress)
      results = addPageResults(results, result.results)
      refused.push(...result.refused)
    }
    return { results, refused }
  }
}

export const nothingFound: Results = { builds: noResults, jobs: noResults }

export function addPageResults(a: Results, b: Results): Results {
  return { builds: addResults(a.builds, b.builds), jobs: addResults(a.jobs, b.jobs) }
}

/** SQLSTATE classes 21 to 23 and 54: the value is at fault (wrong, doubled or too large), not the database. */
function isRefusal(error: unknown): error is StoreError {
  return error instanceof StoreError && error.kind === 'permanent' && /^(2[123]|54)/.test(error.code ?? '')
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
