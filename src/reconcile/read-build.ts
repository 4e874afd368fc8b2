import { clearFailure, recordFailure, type Unit } from '../database/failures.ts'
import { BuildkiteError, messageOf } from '../errors.ts'
import { markDeleted } from '../mirror/apply.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import { type BuildKeeper, buildUnit, type PageReport } from './pages.ts'
import type { LostBuild, Search } from './whereabouts.ts'

/** What came of reading one build by itself. */
export interface BuildRead {
  /** HTTP status; null where there was none. */
  readonly status: number | null
  readonly page?: PageReport
  /** After a failure: how many tries have failed in a row. */
  readonly tries?: number
}

/** Reads builds by themselves. What fails for a build's own reason is recorded in sync.failures and holds up no other build. */
export class BuildReader {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #keeper: BuildKeeper
  readonly #search: Search

  constructor(deps: ReconcileDeps, source: Source, keeper: BuildKeeper, search: Search) {
    this.#deps = deps
    this.#source = source
    this.#keeper = keeper
    this.#search = search
  }

  /**
   * Reads a build that is known by its id. One that Buildkite no longer shows is marked as deleted. `unit` is how its failure is
   * recorded, if it is.
   * @throws BuildkiteError when the token is refused; StoreError.
   */
  readKnown(build: LostBuild, slug: string, unit: Unit = buildUnit(this.#source, build)): Promise<BuildRead> {
    return this.#attempt(unit, async () => {
      const found = await this.#search.find(build, slug)
      if ('read' in found) return this.#keep(unit, found.read.value, found.read.at)
      await markDeleted(this.#deps.db, 'builds', [build.id], found.gone, found.at)
      await clearFailure(this.#deps.db, unit)
      return { status: 404 }
    })
  }

  /**
   * Reads a build of which only pipeline and number are known. With `forget` a build that Buildkite does not show, under any slug of its
   * pipeline, is not recorded as failed any more.
   * @throws BuildkiteError when the token is refused; StoreError.
   */
  readNumbered(
    { number, slug, pipelineId }: { number: number; slug: string; pipelineId: string | null },
    unit: Unit,
    { forget }: { forget: boolean },
  ): Promise<BuildRead> {
    return this.#attempt(unit, async () => {
      const read = await this.#search.findByNumber({ number, pipeline_id: pipelineId }, slug)
      if (read) return this.#keep(unit, read.value, read.at)
      if (forget) await clearFailure(this.#deps.db, unit)
      return { status: 404 }
    })
  }

  async #keep(unit: Unit, value: unknown, at: Date): Promise<BuildRead> {
    const page = await this.#keeper.keep([value], at, { jobs: true, via: 'build' })
    const [facts] = page.facts
    if (!facts) {
      const error = new BuildkiteError('unavailable', page.refused[0]?.reason ?? 'Buildkite showed something else.')
      return { status: 200, page, tries: await this.#fail(unit, error) }
    }
    // The keeper records a build that it could not store, under the slug that it has now.
    const isRecorded = page.refused.length > 0 && buildUnit(this.#source, facts).subject === unit.subject
    if (!isRecorded) await clearFailure(this.#deps.db, unit)
    return { status: 200, page }
  }

  async #attempt(unit: Unit, read: () => Promise<BuildRead>): Promise<BuildRead> {
    try {
      return await read()
    } catch (error) {
      // A refusal of one build, such as 403, says nothing of the others; a refused token does.
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      const where = { organization: this.#source.slug, build: unit.subject }
      this.#deps.log.warn({ ...where, err: messageOf(error) }, 'Could not read a build; it will be tried again later.')
      return { status: error.status ?? null, tries: await this.#fail(unit, error) }
    }
  }

  #fail(unit: Unit, error: unknown): Promise<number> {
    return recordFailure(this.#deps.db, unit, error, new Date(this.#deps.clock()))
  }
}
