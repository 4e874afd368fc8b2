import { and, eq, isNull, lte } from 'drizzle-orm'
import type { BuildsPage } from '../../buildkite/client.ts'
import { isObject } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { builds, pipelines } from '../../database/schema.ts'
import type { BuildkiteError } from '../../runtime/errors.ts'
import { type BuildLocator, createdIn, type LocatedBuild, type MirroredBuild } from '../builds/locate-build.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import type { TimeRange } from '../progress/time-range.ts'
import { idOf } from './comparison.ts'
import type { Reads } from './reads.ts'

interface HeldBuild extends MirroredBuild {
  readonly verified_at: Date | null
}

/** A build that is in the mirror and in no list, with Buildkite's answer for it, or the error. */
export interface UnexpectedBuild {
  readonly build: HeldBuild
  readonly located: LocatedBuild | { readonly failed: BuildkiteError }
}

/** The unlisted builds in the part of the span that one page covers. */
export interface UnexpectedOfPage {
  readonly builds: readonly UnexpectedBuild[]
  /** How many more there are that this run does not request. */
  readonly left: number
}

/** How many unlisted builds one run requests individually; the others are left to the next run. */
const READS = 200

/** Finds, page by page of one walk, the builds of the mirror that Buildkite no longer shows. */
export class UnexpectedBuilds {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #locator: BuildLocator
  readonly #reads: Reads
  readonly #pipeline: string | undefined
  /** Listed builds older than the part that is completely read so far; they belong to the part of a later page. */
  #below: string[] = []

  constructor(deps: ReconcileDeps, source: Source, locator: BuildLocator, reads: Reads, pipeline: string | undefined) {
    this.#deps = deps
    this.#source = source
    this.#locator = locator
    this.#reads = reads
    this.#pipeline = pipeline
  }

  /** Builds created in `span`, which this page completes, that are not marked as gone and that no page listed. */
  async of(page: BuildsPage, span: TimeRange): Promise<UnexpectedOfPage> {
    const listed = page.value.filter(isObject)
    const seen = new Set([...this.#below, ...listed.map(idOf)])
    const isBelow = (build: Record<string, unknown>) => !(Date.parse(String(build.created_at)) >= span.from.getTime())
    this.#below = [...(span.from < span.to ? [] : this.#below), ...listed.filter(isBelow).map(idOf)]
    const unlisted = (await this.#held(span, page.at)).filter(({ id }) => !seen.has(id))
    const found: UnexpectedBuild[] = []
    for (const build of unlisted) {
      if (this.#locator.reads >= READS) break
      found.push({ build, located: await this.#reads.attempt(() => this.#locator.classify(build)) })
    }
    return { builds: found, left: unlisted.length - found.length }
  }

  async #held(span: TimeRange, readAt: Date): Promise<HeldBuild[]> {
    const { id, number, url, pipeline_id, created_at, verified_at } = builds
    const rows = await this.#deps.db
      .select({ id, number, url, pipeline_id, created_at, verified_at, slug: pipelines.slug })
      .from(builds)
      .leftJoin(pipelines, eq(pipelines.id, builds.pipeline_id))
      .where(and(createdIn(this.#source, span), isNull(builds.deleted_at), lte(builds.observed_at, readAt)))
    return rows.flatMap(({ slug: known, number: one, ...row }) => {
      const slug = known ?? slugsOf(row.url).pipeline
      if (one === null || !this.#deps.filter.pipeline(slug ?? '')) return []
      return this.#pipeline === undefined || this.#pipeline === slug ? [{ ...row, number: one }] : []
    })
  }
}
