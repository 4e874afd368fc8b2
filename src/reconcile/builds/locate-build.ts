import { and, eq, gte, lt } from 'drizzle-orm'
import type { ApiRead } from '../../buildkite/client.ts'
import type { Priority } from '../../buildkite/http/budget.ts'
import { isObject } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { builds, pipelines } from '../../database/schema.ts'
import { DAY } from '../../runtime/time.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { refreshPipelines } from '../pipelines/pipelines.ts'
import type { TimeRange } from '../progress/time-range.ts'

/** A build of the mirror. */
export interface MirroredBuild {
  readonly id: string
  readonly number: number
  readonly url: string | null
  readonly pipeline_id: string | null
  readonly created_at: Date | null
}

/** The builds of one organization in the mirror that were created in a range. */
export function createdIn(source: Source, { from, to }: TimeRange) {
  return and(eq(builds.organization_id, source.id), gte(builds.created_at, from), lt(builds.created_at, to))
}

/** Why Buildkite no longer shows a build, as far as its API reveals it. {@link BuildLocator} collects the evidence. */
export type GoneReason = 'deleted' | 'retention' | 'pipeline_not_listed' | 'hidden'

/** The build as Buildkite shows it now, or the reason why it does not. */
export type LocatedBuild = { readonly read: ApiRead<unknown> } | { readonly gone: GoneReason; readonly at: Date }

/** The shortest retention of any plan: a younger build that is gone was deleted by a user. */
const SHORTEST_RETENTION = 30 * DAY

/** Locates builds of one organization that no list shows, one by one. Reuses what it learned about pipelines and retention. */
export class BuildLocator {
  /** Requests so far. */
  requests = 0
  /** Builds requested individually. */
  reads = 0
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #priority: Priority
  readonly #signal: AbortSignal | undefined
  #pipelinesRefreshed: boolean
  /** The oldest time before which Buildkite still lists builds, and the newest time before which it lists none. */
  #someBefore = Number.POSITIVE_INFINITY
  #noneBefore = Number.NEGATIVE_INFINITY

  /** With `refresh` the pipelines are read again before a build counts as gone. Without it nothing is written. */
  constructor(
    deps: ReconcileDeps,
    source: Source,
    priority: Priority,
    { refresh, signal }: { refresh: boolean; signal?: AbortSignal | undefined },
  ) {
    this.#deps = deps
    this.#source = source
    this.#priority = priority
    this.#signal = signal
    this.#pipelinesRefreshed = !refresh
  }

  /** Requests one build under the current slug of its pipeline. @throws BuildkiteError when the request fails. */
  async fetch(build: MirroredBuild, slug: string): Promise<LocatedBuild> {
    const at = this.#now()
    this.requests += 1
    this.reads += 1
    const { client, slug: organization } = this.#source
    const read = await client.build(organization, slug, build.number, this.#priority, this.#signal)
    // A pipeline that was deleted and created again under its old slug numbers from 1 again: the same URL, another build.
    if (read && isObject(read.value) && read.value.id === build.id) return { read }
    const pipeline = await this.#pipelineOf(build)
    // Under the old slug of a renamed pipeline, its builds return 404.
    if (pipeline.slug !== null && pipeline.slug !== slug) return this.fetch(build, pipeline.slug)
    if (pipeline.gone) return { gone: pipeline.gone, at }
    return { gone: (await this.#outlived(build)) ? 'retention' : 'deleted', at }
  }

  /** Requests a build whose id is unknown, under the current slug of its pipeline. @throws BuildkiteError when the request fails. */
  async fetchByNumber(
    build: Pick<MirroredBuild, 'number' | 'pipeline_id'>,
    slug: string,
  ): Promise<ApiRead<unknown> | undefined> {
    this.requests += 1
    this.reads += 1
    const { client, slug: organization } = this.#source
    const read = await client.build(organization, slug, build.number, this.#priority, this.#signal)
    if (read) return read
    const pipeline = await this.#pipelineOf({ ...build, id: null })
    return pipeline.slug === null || pipeline.slug === slug ? undefined : this.fetchByNumber(build, pipeline.slug)
  }

  /**
   * Explains why a complete list lacks a build. Requests the build only if neither its pipeline nor retention explains it, because these
   * remove builds by the thousand.
   */
  async classify(build: MirroredBuild): Promise<LocatedBuild> {
    const at = this.#now()
    const pipeline = await this.#pipelineOf(build)
    if (pipeline.gone) return { gone: pipeline.gone, at }
    if (await this.#outlived(build)) return { gone: 'retention', at }
    const slug = pipeline.slug ?? slugsOf(build.url).pipeline
    return slug === undefined ? { gone: 'deleted', at } : this.fetch(build, slug)
  }

  /** Buildkite's current time, which `deleted_at` uses. */
  #now(): Date {
    return presentOf(this.#deps, this.#source)
  }

  /** Whether retention may have removed the build: it is old enough, and nothing as old is listed. */
  async #outlived({ created_at }: MirroredBuild): Promise<boolean> {
    if (!created_at || created_at.getTime() > this.#deps.clock() - SHORTEST_RETENTION) return false
    const moment = created_at.getTime() + 1
    if (moment >= this.#someBefore) return false
    if (moment <= this.#noneBefore) return true
    this.requests += 1
    const { client, slug } = this.#source
    const some = await client.hasBuildsBefore(slug, new Date(moment), this.#priority, this.#signal)
    if (some) this.#someBefore = moment
    else this.#noneBefore = moment
    return !some
  }

  async #pipelineOf({
    id,
    pipeline_id,
  }: {
    id: string | null
    pipeline_id: string | null
  }): Promise<{ slug: string | null; gone: GoneReason | undefined }> {
    if (!this.#pipelinesRefreshed) {
      this.#pipelinesRefreshed = true
      this.requests += (await refreshPipelines(this.#deps, this.#source, this.#signal)).requests
    }
    const pipelineId = pipeline_id ?? (await this.#placedIn(id))
    if (pipelineId === null) return { slug: null, gone: undefined }
    const [row] = await this.#deps.db.select().from(pipelines).where(eq(pipelines.id, pipelineId))
    if (!row?.deleted_at) return { slug: row?.slug ?? null, gone: undefined }
    return { slug: row.slug, gone: row.deleted_reason === 'hidden' ? 'hidden' : 'pipeline_not_listed' }
  }

  /** The pipeline of a build may have become known when the pipelines were listed. */
  async #placedIn(id: string | null): Promise<string | null> {
    if (id === null) return null
    const [row] = await this.#deps.db.select({ pipeline_id: builds.pipeline_id }).from(builds).where(eq(builds.id, id))
    return row?.pipeline_id ?? null
  }
}
