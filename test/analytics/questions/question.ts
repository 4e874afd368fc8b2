import type { Build, Job, ScriptJob } from '../../../src/simulator/model/shapes.ts'
import type { Truth } from '../../../src/simulator/model/state.ts'

/** A question that somebody's published query answers, and our answer over `analytics`. */
export interface Question {
  /** The name of the query or example at its source. */
  readonly name: string
  readonly question: string
  /** `$now` is the present time, of the simulation. */
  readonly sql: string
  /** The right rows, from the objects of the simulated Buildkite, in any order. */
  readonly rows: (truth: Truth, now: number) => unknown[][]
}

/** A published query that we do not answer, and why. */
export interface Unanswered {
  readonly name: string
  readonly why: string
}

export const HOUR = 3_600_000
export const DAY = 24 * HOUR
export const time = (text: string | null | undefined) => (text ? Date.parse(text) : Number.NaN)
export const dayOf = (text: string | null) => text?.slice(0, 10) ?? null
export const onTrunk = (build: Build) => build.branch === build.pipeline.default_branch
/** A build is over, and does not wait at a gate. */
export const isResult = (build: Build, ...states: string[]) => !build.blocked && states.includes(build.state)
export const isScript = (job: Job): job is ScriptJob => job.type === 'script'
export const scripts = (truth: Truth) =>
  truth.builds.flatMap((build) => build.jobs.filter(isScript).map((job) => ({ build, job })))
export const nameOf = (job: ScriptJob) => job.name || job.step_key || job.command?.slice(0, 80) || 'unnamed'
/** Seconds from one time to another; null without one of them. */
export function seconds(from: string | null, to: string | null): number | null {
  if (!from || !to) return null
  return Math.max(0, time(to) - time(from)) / 1_000
}
/** Failed on its own, and was not allowed to. */
export const isHardFailure = (job: ScriptJob) =>
  job.state === 'failed' && !job.soft_failed && !isLost(job) && job.signal_reason !== 'cancel'
export const isLost = (job: ScriptJob) =>
  (job.signal_reason !== null && job.signal_reason !== 'cancel') || (job.exit_status === -1 && !job.signal_reason)

/** Groups by the key's text, in the order in which keys appear. */
export function groups<T>(all: readonly T[], keyOf: (one: T) => unknown): T[][] {
  const found = new Map<string, T[]>()
  for (const one of all) {
    const key = JSON.stringify(keyOf(one))
    found.set(key, [...(found.get(key) ?? []), one])
  }
  return [...found.values()]
}

export const sum = (values: readonly (number | null)[]) => values.reduce<number>((total, one) => total + (one ?? 0), 0)
export const ratio = (part: number, whole: number) => (whole === 0 ? null : part / whole)
/** The nearest-rank percentile. */
export function percentile(values: readonly (number | null)[], p: number): number | null {
  const sorted = values.filter((one) => one !== null).sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? null
}
