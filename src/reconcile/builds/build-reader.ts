import { clearFailure, clearOnceConfirmed, recordFailure, type Unit } from '../../database/failures.ts'
import { markDeleted } from '../../mirror/apply.ts'
import { BuildkiteError, messageOf } from '../../runtime/errors.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { type BuildWriter, buildUnit, type PageReport } from './build-writer.ts'
import type { BuildLocator, MirroredBuild } from './locate-build.ts'

/** The result of reading one build. */
export interface BuildRead {
  /** HTTP status; null if there was none. */
  readonly status: number | null
  readonly page?: PageReport
  /** After a failure: how many consecutive tries have failed. */
  readonly tries?: number
}

/** Reads builds individually. A failure of one build is recorded in sync.failures and does not stop the others. */
export class BuildReader {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #writer: BuildWriter
  readonly #locator: BuildLocator

  constructor(deps: ReconcileDeps, source: Source, writer: BuildWriter, locator: BuildLocator) {
    this.#deps = deps
    this.#source = source
    this.#writer = writer
    this.#locator = locator
  }

  /**
   * Reads a build whose id is known. Marks it as deleted if Buildkite no longer shows it. A failure is recorded as `unit`.
   * @throws BuildkiteError when the token is rejected; StoreError.
   */
  readKnown(build: MirroredBuild, slug: string, unit: Unit = buildUnit(this.#source, build)): Promise<BuildRead> {
    return this.#attempt(unit, async () => {
      const found = await this.#locator.fetch(build, slug)
      if ('read' in found) return this.#keep(unit, found.read.value, found.read.at)
      await markDeleted(this.#deps.db, 'builds', [build.id], found.gone, found.at)
      await this.#clearOnceConfirmed(unit, found.at)
      return { status: 404 }
    })
  }

  /**
   * Reads a build by its pipeline and number, because its id is unknown. With `forget`, deletes its failure if Buildkite does not show
   * the build under any slug of its pipeline.
   * @throws BuildkiteError when the token is rejected; StoreError.
   */
  readNumbered(
    { number, slug, pipelineId }: { number: number; slug: string; pipelineId: string | null },
    unit: Unit,
    { forget }: { forget: boolean },
  ): Promise<BuildRead> {
    return this.#attempt(unit, async () => {
      const read = await this.#locator.fetchByNumber({ number, pipeline_id: pipelineId }, slug)
      if (read) return this.#keep(unit, read.value, read.at)
      if (forget) await this.#clearOnceConfirmed(unit, presentOf(this.#deps, this.#source))
      return { status: 404 }
    })
  }

  async #keep(unit: Unit, value: unknown, at: Date): Promise<BuildRead> {
    const page = await this.#writer.write([value], at, { jobs: true, via: 'build' })
    const [build] = page.builds
    if (!build) {
      const error = new BuildkiteError(
        'unavailable',
        page.refused[0]?.reason ?? 'Buildkite returned something that is not a build.',
      )
      return { status: 200, page, tries: await this.#fail(unit, error) }
    }
    // If the build could not be stored, the writer has recorded it under its current slug.
    const isRecorded = page.refused.length > 0 && buildUnit(this.#source, build).subject === unit.subject
    if (!isRecorded) await clearFailure(this.#deps.db, unit)
    return { status: 200, page }
  }

  async #attempt(unit: Unit, read: () => Promise<BuildRead>): Promise<BuildRead> {
    try {
      return await read()
    } catch (error) {
      // An error for one build, such as 403, does not affect the others; a rejected token does.
      if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
      const where = { organization: this.#source.slug, build: unit.subject }
      this.#deps.log.warn({ ...where, err: messageOf(error) }, 'Could not read a build; it will be retried later.')
      return { status: error.status ?? null, tries: await this.#fail(unit, error) }
    }
  }

  /** After a 404, which may also mean that the pipeline is hidden. */
  #clearOnceConfirmed(unit: Unit, at: Date): Promise<void> {
    return clearOnceConfirmed(this.#deps.db, { ...unit, organizationId: this.#source.id }, at)
  }

  #fail(unit: Unit, error: unknown): Promise<number> {
    return recordFailure(this.#deps.db, unit, error, new Date(this.#deps.clock()))
  }
}
