import type { Evidence } from '../mirror/change-times.ts'
import type { Difference } from '../mirror/compare.ts'

/** What the mirror claims of one build, in milliseconds since the epoch. */
export interface BuildClaim {
  /** The time as of which the build is right; undefined when the mirror claims nothing: then every difference counts. */
  readonly build: number | undefined
  /** The same of its jobs. */
  readonly jobs: number | undefined
  /** Whether a delivery about the build waits to be applied. */
  readonly hasDelivery: boolean
}

/**
 * Whether a difference proves that the mirror is wrong: Buildkite had its value by the time as of which the mirror claims to be right.
 * Otherwise the difference is in flight: a webhook or the next cycle can still bring it. `seenAt` is the time of the first read that
 * showed what Buildkite has now.
 */
export function isProven(difference: Difference, evidence: Evidence, seenAt: number, claim: BuildClaim): boolean {
  const claimed = difference.job_id === null ? claim.build : claim.jobs
  if (claimed === undefined) return true
  // No webhook and no later change explains a wrong value in a column that never changes.
  if (evidence.isConfirmed && hasFixedColumn(difference)) return true
  return (claim.hasDelivery ? seenAt : changedBy(difference, evidence, seenAt)) <= claimed
}

/** By when Buildkite had what the mirror lacks: the newest date that can explain the difference, else the first time it was seen. */
function changedBy(difference: Difference, evidence: Evidence, seenAt: number): number {
  const { createdAt, changedAt, buildChangedAt, isOpen, hasFinish } = evidence
  const { kind, job_id, columns } = difference
  if (kind === 'missing') return createdAt ?? buildChangedAt
  if (kind === 'surplus') return buildChangedAt
  // A job that has finished changes no more, but for the marks of its retry: those come with a new job.
  if (job_id !== null && hasFinish) return columns.some(({ column }) => isOfRetry(column)) ? buildChangedAt : changedAt
  return isOpen && isUndated(difference) ? seenAt : buildChangedAt
}

/** Columns that Buildkite sets when it creates the object. A commit can be `HEAD` at first; with it the message and the branch become known. */
const fixedOfBuild: ReadonlySet<string> = new Set(['number', 'source', 'branch', 'tag', 'message', 'created_at'])
const fixedOfJob: ReadonlySet<string> = new Set(['type', 'step_key', 'command', 'created_at'])

function hasFixedColumn({ job_id, columns }: Difference): boolean {
  const names = columns.map(({ column }) => column)
  if (job_id === null && names.includes('commit')) return false
  // What was unknown may be filled in late.
  return columns.some(
    ({ column, mirror }) => mirror !== null && (job_id === null ? fixedOfBuild : fixedOfJob).has(column),
  )
}

/** Columns of an open build that can change without a date: Buildkite's builds have no time of their last change (https://buildkite.com/docs/apis/rest-api/builds). */
const undatedOfBuild =
  /^(state|blocked|blocked_state|cancel_reason|commit|message|author_.*|meta_data|env|pull_request_.*|test_engine|cluster_.*|(web_)?url|deleted_at)$/

/** Whether each column of the difference can have changed in an open build without a date that says so. Most columns of a job can. */
function isUndated({ job_id, columns }: Difference): boolean {
  return columns.every(({ column }) => (job_id === null ? undatedOfBuild.test(column) : !column.endsWith('_at')))
}

function isOfRetry(column: string): boolean {
  return /^(retried|retry_type|retries_count)/.test(column)
}
