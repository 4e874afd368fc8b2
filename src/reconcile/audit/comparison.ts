import { inOneTransaction } from '../../mirror/apply.ts'
import { type Comparison, type Contrast, compareWithMirror, type Difference } from '../../mirror/compare.ts'
import { canonical } from '../../mirror/merge.ts'
import { observeBuilds } from '../../mirror/observe.ts'
import { faultOfJobs } from '../builds/build-writer.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { buildsWithDeliveries, jobClaims, readOnceTo } from '../progress/claim.ts'
import { readWatermark } from '../progress/watermark.ts'
import { type BuildClaim, isProven } from './proof.ts'

export type Raw = Record<string, unknown>

/** Compares builds as Buildkite shows them with the mirror, and decides which differences prove the mirror wrong. */
export class MirrorComparison {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  #readTo: number | undefined

  constructor(deps: ReconcileDeps, source: Source) {
    this.#deps = deps
    this.#source = source
  }

  /** Reads up to when the mirror must equal Buildkite. Must run before any build is read. */
  async begin(): Promise<void> {
    this.#readTo = readOnceTo(await readWatermark(this.#deps.db, this.#source.id))?.getTime()
  }

  compare(raw: readonly Raw[], at: Date, aheadMs?: number): Promise<Comparison> {
    const { storeEnv } = this.#deps
    const observed = observeBuilds(raw, at, { storeEnv, organizationId: this.#source.id })
    const complete = new Set(raw.filter((build) => faultOfJobs(build) === undefined).map(idOf))
    return inOneTransaction(this.#deps.db, 'compare builds with the mirror', (tx) =>
      compareWithMirror(tx, observed, complete, aheadMs),
    )
  }

  /** Which differences prove the mirror wrong, and which are still open. `seenAt` holds the times from earlier reads. */
  async evaluate(contrasts: readonly Contrast[], at: Date, seenAt: ReadonlyMap<string, number>) {
    const proven: Difference[] = []
    const open: Difference[] = []
    const claimOf = await this.#claims(contrasts.map(({ difference }) => difference.build_id))
    for (const { difference, evidence } of contrasts) {
      const seen = seenAt.get(contentOf(difference)) ?? at.getTime()
      const list = isProven(difference, evidence, seen, claimOf(difference.build_id)) ? proven : open
      list.push(difference)
    }
    return { proven, open }
  }

  async #claims(ids: readonly string[]): Promise<(id: string) => BuildClaim> {
    const { db } = this.#deps
    const build = this.#readTo
    const buildIds = [...new Set(ids)]
    const [jobs, deliveries] = await Promise.all([jobClaims(db, buildIds), buildsWithDeliveries(db, buildIds)])
    return (id) => {
      const read = jobs.get(id)?.getTime() ?? Number.POSITIVE_INFINITY
      return { build, jobs: build && Math.min(build, read), hasDelivery: deliveries.has(id) }
    }
  }
}

export function idOf({ id }: Raw): string {
  return String(id).toLowerCase()
}

/** Key of the build or job that a difference is about. */
export function objectOf({ build_id, job_id }: { build_id: string; job_id: string | null }): string {
  return job_id === null ? `build ${build_id}` : `job ${job_id}`
}

export function rowKey(difference: Difference): string {
  return `${difference.kind} ${objectOf(difference)}`
}

/** Key of a difference including Buildkite's values, to detect whether a later read shows the same. */
export function contentOf(difference: Difference): string {
  return `${rowKey(difference)} ${canonical(difference.columns.map(({ column, buildkite }) => [column, buildkite]))}`
}
