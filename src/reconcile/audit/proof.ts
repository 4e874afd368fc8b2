import type { Evidence } from '../../mirror/change-times.ts'
import type { Difference } from '../../mirror/compare.ts'

/** What `verify` and the audit demand of the mirror for one build, in milliseconds since the epoch. */
export interface BuildClaim {
  /** The build must be as Buildkite had it at this time, or newer; undefined before the first cycle, when every difference counts. */
  readonly build: number | undefined
  /** The same for its jobs. */
  readonly jobs: number | undefined
  /** Whether a delivery about the build is pending. */
  readonly hasDelivery: boolean
}

/**
 * Whether a difference proves that the mirror is wrong: Buildkite already had its value at the time of the mirror's claim. Otherwise
 * the difference is in flight, because a webhook or the next cycle may still report it. `seenAt` is the time of the first read that
 * showed Buildkite's current value.
 */
export function isProven(difference: Difference, evidence: Evidence, seenAt: number, claim: BuildClaim): boolean {
  const claimed = difference.job_id === null ? claim.build : claim.jobs
  if (claimed === undefined) return true
  // No webhook and no later change explains a wrong value in a column that never changes.
  if (evidence.isConfirmed && hasFixedColumn(difference)) return true
  return (claim.hasDelivery ? seenAt : changedBy(difference, evidence, seenAt)) <= claimed
}

/** When Buildkite had its value at the latest: the newest date that can explain the difference, or else the first time it was seen. */
function changedBy(difference: Difference, evidence: Evidence, seenAt: number): number {
  const { createdAt, changedAt, buildChangedAt, isOpen, hasFinish } = evidence
  const { kind, job_id, columns } = difference
  if (kind === 'missing') return createdAt ?? buildChangedAt
  if (kind === 'unexpected') return buildChangedAt
  // A finished job no longer changes, except for its retry columns, which change when the new job is created.
  if (job_id !== null && hasFinish) return columns.some(({ column }) => isOfRetry(column)) ? buildChangedAt : changedAt
  return isOpen && isUndated(difference) ? seenAt : buildChangedAt
}

/** Columns that Buildkite sets on creation. A commit may first be `HEAD`; message and branch are known once it is resolved. */
const fixedOfBuild: ReadonlySet<string> = new Set(['number', 'source', 'branch', 'tag', 'message', 'created_at'])
const fixedOfJob: ReadonlySet<string> = new Set(['type', 'step_key', 'command', 'created_at'])

function hasFixedColumn({ job_id, columns }: Difference): boolean {
  const names = columns.map(({ column }) => column)
  if (job_id === null && names.includes('commit')) return false
  // A null may be filled in later.
  return columns.some(
    ({ column, mirror }) => mirror !== null && (job_id === null ? fixedOfBuild : fixedOfJob).has(column),
  )
}

/** Columns of an open build that can change without a date: builds have no updated_at (https://buildkite.com/docs/apis/rest-api/builds). */
const undatedOfBuild =
  /^(state|blocked|blocked_state|cancel_reason|commit|message|author_.*|meta_data|env|pull_request_.*|cluster_.*|(web_)?url|deleted_at|extra\..*)$/

/** Whether every column of the difference can have changed in an open build without a date. Most columns of a job can. */
function isUndated({ job_id, columns }: Difference): boolean {
  return columns.every(({ column }) => (job_id === null ? undatedOfBuild.test(column) : !column.endsWith('_at')))
}

function isOfRetry(column: string): boolean {
  return /^(retried|retry_type|retries_count)/.test(column)
}
