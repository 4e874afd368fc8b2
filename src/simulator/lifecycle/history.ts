import type { Pipeline } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import type { Mix } from '../probabilities.ts'
import { advance, rebuild, startBuild } from './build-lifecycle.ts'

export interface HistoryOptions {
  /** The total number of builds to create, over all pipelines of all organizations. */
  builds: number
  /** Jobs of each build, before retries; default 5 to 8. */
  jobs?: number
  /** Milliseconds since the epoch: builds are created from `from` to `until`, and none changes after `until`. */
  from: number
  until: number
  mix: Mix
  /** The pipelines to create builds in. Default: all that are not archived. */
  pipelines?: readonly Pipeline[]
}

/**
 * Creates a history: builds spread evenly over the range, each run to its end. Sends no webhooks. A few blocked builds stay blocked.
 */
export function writeHistory(truth: Truth, options: HistoryOptions): void {
  const { random } = truth
  const { builds, from, until } = options
  const spacing = (until - from) / Math.max(1, builds)
  const others = new Set(truth.alive)
  truth.alive.clear()
  let count = truth.builds.length
  const end = count + builds
  for (let i = 0; count < end; i++) {
    const at = wholeSeconds(truth, Math.min(until, Math.floor(from + (i + random.next()) * spacing)))
    if (truth.variety && !options.pipelines && i === builds >> 1) archiveOne(truth, at)
    // A trigger step creates a second build, maybe in another pipeline. So the last few builds, and those of given pipelines, have none.
    const mix = end - count > 4 && !options.pipelines ? options.mix : { ...options.mix, trigger: 0 }
    const before = count
    const pipeline = choosePipeline(truth, options.pipelines)
    const again = truth.variety && i % 10 === 9 ? lastFinished(truth, pipeline) : undefined
    if (again) rebuild(truth, again, at, mix, options.jobs)
    else startBuild(truth, pipeline, at, mix, { jobs: options.jobs })
    count = countBuilds(truth)
    live(truth, at, until, mix)
    count = countBuilds(truth)
    if (count === before) break
  }
  truth.alive.clear()
  for (const build of others) truth.alive.add(build)
}

/** The timestamps of old objects have no milliseconds. */
const wholeSeconds = (truth: Truth, at: number) => (truth.variety ? at - (at % 1_000) : at)

const lastFinished = (truth: Truth, pipeline: Pipeline) =>
  truth
    .buildsOf(truth.organizationOf(pipeline))
    .findLast((build) => build.pipeline === pipeline && build.finished_at !== null && !build.blocked)

/** Archives a pipeline that has builds. */
function archiveOne(truth: Truth, at: number): void {
  const usable = truth.pipelines.filter((one) => !one.archived_at)
  const last = usable.at(-1)
  if (last && usable.length > 2) truth.archivePipeline(last, at)
}

const countBuilds = (truth: Truth) =>
  truth.organizations.reduce((sum, organization) => sum + truth.buildsOf(organization).length, 0)

function choosePipeline(truth: Truth, among?: readonly Pipeline[]): Pipeline {
  const pipeline = truth.random.choose(among ?? truth.pipelines.filter((one) => !one.archived_at))
  if (!pipeline) throw new Error('A history needs a pipeline, but all pipelines of the simulation are archived.')
  return pipeline
}

function live(truth: Truth, start: number, until: number, mix: Mix): void {
  const { random } = truth
  let at = start
  while (truth.alive.size > 0) {
    for (const build of truth.alive) {
      at = wholeSeconds(truth, Math.min(until, at + random.int(500, 90_000)))
      if (build.blocked && random.chance(0.05)) truth.alive.delete(build)
      else advance(truth, build, at, mix)
    }
  }
}
