import { advance, startBuild } from './life.ts'
import type { Mix } from './mix.ts'
import type { Pipeline } from './shapes.ts'
import type { Truth } from './truth.ts'

export interface HistoryOptions {
  /** How many builds there are in the end, in all pipelines of all organizations together. */
  builds: number
  /** Jobs of each build, before retries; 5 to 8 where not given. */
  jobs?: number
  /** Milliseconds since the epoch: builds are created from `from` to `until`, and none changes later than `until`. */
  from: number
  until: number
  mix: Mix
  /** Whose builds they are; those of all pipelines that are not archived where not given. */
  pipelines?: readonly Pipeline[]
}

/**
 * Lets a past happen: builds spread evenly over the span, each lived through to its end. No webhook is sent for any of it.
 * A few blocked builds stay blocked.
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
    const at = Math.min(until, Math.floor(from + (i + random.next()) * spacing))
    // A trigger step brings a second build with it, so the last few have none.
    const mix = end - count > 4 ? options.mix : { ...options.mix, trigger: 0 }
    const before = count
    startBuild(truth, choosePipeline(truth, options.pipelines), at, mix, { jobs: options.jobs })
    count = countBuilds(truth)
    live(truth, at, until, mix)
    count = countBuilds(truth)
    if (count === before) break
  }
  truth.alive.clear()
  for (const build of others) truth.alive.add(build)
}

const countBuilds = (truth: Truth) =>
  truth.organizations.reduce((sum, organization) => sum + truth.buildsOf(organization).length, 0)

function choosePipeline(truth: Truth, among?: readonly Pipeline[]): Pipeline {
  const pipeline = truth.random.choose(among ?? truth.pipelines.filter((one) => !one.archived_at))
  if (!pipeline) throw new Error('A history needs a pipeline: the simulation has none that is not archived.')
  return pipeline
}

function live(truth: Truth, start: number, until: number, mix: Mix): void {
  const { random } = truth
  let at = start
  while (truth.alive.size > 0) {
    for (const build of truth.alive) {
      at = Math.min(until, at + random.int(500, 90_000))
      if (build.blocked && random.chance(0.05)) truth.alive.delete(build)
      else advance(truth, build, at, mix)
    }
  }
}
