import { eq } from 'drizzle-orm'
import { slugsOf } from '../../buildkite/urls.ts'
import { pipelines, watermarks } from '../../database/schema.ts'
import { MINUTE } from '../../runtime/time.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { pipelinesBackOff, tryRefreshPipelines } from '../pipelines/pipelines.ts'

/** A slug that is not in the list of pipelines (hidden from our user) causes a new read of the list at most this often. */
const PIPELINES_AGE = 5 * MINUTE

interface Build {
  readonly url?: string | null | undefined
  readonly created_at?: Date | null | undefined
}

/**
 * Lists the pipelines when a build is in one that the mirror does not know, at most once. Lists of builds leave out the pipeline itself
 * (`exclude_pipeline`), so only the build's URL names it.
 */
export class UnknownPipelines {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  #slugs: Promise<Set<string>> | undefined
  #listed: Promise<number> | undefined

  constructor(deps: ReconcileDeps, source: Source) {
    this.#deps = deps
    this.#source = source
  }

  /** Returns the number of requests. If the list fails, the builds are stored without a pipeline until the next one. */
  async listFor(builds: readonly Build[]): Promise<number> {
    if (!this.#listed && !(await this.#isListNeeded(builds))) return 0
    // Another page may have requested the list already; this one waits for the same answer.
    if (this.#listed) return this.#listed.then(() => 0)
    this.#listed = tryRefreshPipelines(this.#deps, this.#source).then(({ requests }) => requests)
    return this.#listed
  }

  async #isListNeeded(builds: readonly Build[]): Promise<boolean> {
    this.#slugs ??= this.#knownSlugs()
    const slugs = await this.#slugs
    const unknown = builds.filter(({ url }) => {
      const slug = slugsOf(url).pipeline
      return slug !== undefined && !slugs.has(slug)
    })
    if (unknown.length === 0 || (await pipelinesBackOff(this.#deps, this.#source))) return false
    const [row] = await this.#deps.db
      .select({ readAt: watermarks.pipelines_read_at })
      .from(watermarks)
      .where(eq(watermarks.organization_id, this.#source.id))
    const readAt = row?.readAt
    if (!readAt || this.#deps.clock() - readAt.getTime() > PIPELINES_AGE) return true
    return unknown.some(({ created_at }) => created_at && created_at > readAt)
  }

  async #knownSlugs(): Promise<Set<string>> {
    const organizationId = eq(pipelines.organization_id, this.#source.id)
    const rows = await this.#deps.db.select({ slug: pipelines.slug }).from(pipelines).where(organizationId)
    return new Set(rows.flatMap(({ slug }) => slug ?? []))
  }
}
