import { type Build, openBuildStates, type Pipeline } from './shapes.ts'

const keys = [
  'scheduled_builds_count',
  'running_builds_count',
  'scheduled_jobs_count',
  'running_jobs_count',
  'waiting_jobs_count',
] as const
type Counts = Record<(typeof keys)[number], number>

/** Maintains each pipeline's counts of open builds and their jobs. */
export class OpenBuilds {
  /** The part of each open build in its pipeline's counts. */
  readonly #counts = new Map<Build, Counts>()

  /** Updates the counts of the build's pipeline after the build has changed. */
  recount(build: Build): void {
    this.#replace(build, openBuildStates.has(build.state) ? countsOf(build) : undefined)
  }

  remove(build: Build): void {
    this.#replace(build, undefined)
  }

  #replace(build: Build, after: Counts | undefined): void {
    const before = this.#counts.get(build)
    if (after) this.#counts.set(build, after)
    else this.#counts.delete(build)
    const pipeline: Pipeline = build.pipeline
    for (const key of keys) pipeline[key] += (after?.[key] ?? 0) - (before?.[key] ?? 0)
  }
}

function countsOf(build: Build): Counts {
  const waits = build.state === 'scheduled' || build.state === 'creating'
  const counts: Counts = {
    scheduled_builds_count: waits ? 1 : 0,
    running_builds_count: waits ? 0 : 1,
    scheduled_jobs_count: 0,
    running_jobs_count: 0,
    waiting_jobs_count: 0,
  }
  for (const job of build.jobs) {
    if (job.type !== 'script') continue
    if (job.state === 'scheduled') counts.scheduled_jobs_count++
    else if (job.state === 'running' || job.state === 'canceling') counts.running_jobs_count++
    else if (job.state === 'waiting') counts.waiting_jobs_count++
  }
  return counts
}
