import { isDeepStrictEqual } from 'node:util'
import { MINUTE, SECOND } from '../runtime/time.ts'
import { compareSeconds, knownAt, type MergeRule, same } from './merge.ts'
import type { BuildRow, JobRow, MirrorRow } from './observation.ts'
import { buildRule, effectiveState, hasFinished, jobRank, jobRule } from './rules.ts'
import type { Merged } from './table.ts'

/**
 * The result of a REST read for one row.
 * - `confirmed`: the row was correct.
 * - `completed`: REST added or corrected something that Buildkite sends no webhook for.
 * - `in_flight`: the row was absent or out of date, and a webhook may explain it: one on its way, one that is not applied yet, or one of
 *   the same second as the row's state.
 * - `missing`: the row was absent, and no webhook explains that: it was lost or is very late.
 * - `healed`: the same for a row that was out of date or wrong.
 */
export type ReadResult = 'confirmed' | 'completed' | 'in_flight' | 'missing' | 'healed'
export type ReadResults = Readonly<Record<ReadResult, number>>

export const noResults: ReadResults = { confirmed: 0, completed: 0, in_flight: 0, missing: 0, healed: 0 }

export function addResults(a: ReadResults, b: ReadResults): ReadResults {
  return {
    confirmed: a.confirmed + b.confirmed,
    completed: a.completed + b.completed,
    in_flight: a.in_flight + b.in_flight,
    missing: a.missing + b.missing,
    healed: a.healed + b.healed,
  }
}

/** Which webhooks may still explain a difference. Read it before the rows, so that deliveries applied in between count as pending. */
export interface WebhookProgress {
  /** When the first webhook was sent to us, on Buildkite's clock. Earlier changes cannot be lost. */
  readonly since: Date
  /** Minutes since the epoch in which Buildkite sent the deliveries that are not applied yet. */
  readonly pendingMinutes: ReadonlySet<number>
  /** Deliveries sent from this time on may be pending too; undefined when `pendingMinutes` contains all. */
  readonly pendingFrom: Date | undefined
  /** The queue holds deliveries that Postgres did not accept. Which ones is unknown. */
  readonly diverted: boolean
}

/** A webhook may take this long from the change to our inbox. */
export const WEBHOOK_GRACE = 10 * SECOND

/**
 * The result of a read at `at` for a build. `newestJob` is the newest date among its jobs in the same response, undefined if that had
 * no jobs. Without `progress` no webhook is expected, so nothing counts as lost (pure).
 */
export function buildResult(
  { before, after }: Merged<BuildRow>,
  at: Date,
  newestJob: Date | undefined,
  progress: WebhookProgress | undefined,
): ReadResult {
  if (before && isUnchanged(buildRule, before, after)) return 'confirmed'
  if (!progress) return 'completed'
  const changes = reportedBuildChanges(before, after)
  const newest = latestOf([...buildDates.map((column) => after[column]), newestJob])
  if (before && hasWrongValue(buildRule, unreportedBuildColumns, before, after)) changes.push(newest)
  // Only its jobs show when a build ran again. And webhooks are dated to the second: within the second of the row's state the merge may
  // have ignored a webhook that did arrive.
  const isUnclear = newestJob === undefined || (before && compareSeconds(newest, knownAt(before)) === 0)
  return resultOf(before, changes, isUnclear ? at : newest, at, progress)
}

/** The result of a read at `at` for a job; otherwise like {@link buildResult} (pure). */
export function jobResult(
  { before, after }: Merged<JobRow>,
  at: Date,
  progress: WebhookProgress | undefined,
): ReadResult {
  if (before && isUnchanged(jobRule, before, after)) return 'confirmed'
  if (!progress) return 'completed'
  const changes = reportedJobChanges(before, after)
  const newest = newestDateOf(after)
  if (before && hasWrongValue(jobRule, unreportedJobColumns, before, after)) changes.push(newest)
  return resultOf(before, changes, newest, at, progress)
}

/** The newest date in a job's payload. */
export function newestDateOf(job: { [date in (typeof jobDates)[number]]?: Date | null | undefined }): Date {
  return latestOf(jobDates.map((column) => job[column]))
}

const buildDates = ['created_at', 'scheduled_at', 'started_at', 'failing_at', 'finished_at'] as const
const jobDates = ['created_at', 'runnable_at', 'started_at', 'finished_at', 'expired_at', 'unblocked_at'] as const

function latestOf(dates: readonly (Date | null | undefined)[]): Date {
  return new Date(dates.reduce((latest, date) => Math.max(latest, date?.getTime() ?? 0), 0))
}

/** When Buildkite sent a webhook about a row; undefined if no column of the row contains that time. */
type ReportedChange = Date | undefined

function resultOf(
  before: MirrorRow | undefined,
  changes: readonly ReportedChange[],
  undated: Date,
  at: Date,
  progress: WebhookProgress,
): ReadResult {
  // A webhook carries the whole object, so a newer one repairs the loss of an older one: only the oldest unexplained change counts.
  const due = changes.map((change) => change ?? undated).filter((date) => compareSeconds(date, progress.since) >= 0)
  if (due.length === 0) return 'completed'
  if (due.every((date) => isExplained(date, at, progress))) return 'in_flight'
  return before ? 'healed' : 'missing'
}

function isExplained(date: Date, at: Date, { pendingMinutes, pendingFrom, diverted }: WebhookProgress): boolean {
  if (diverted || date.getTime() >= at.getTime() - WEBHOOK_GRACE) return true
  if (pendingFrom && date >= pendingFrom) return true
  const minute = Math.floor(date.getTime() / MINUTE)
  return pendingMinutes.has(minute) || pendingMinutes.has(minute + 1)
}

/** Which changes between two states of a build Buildkite reports by webhook: see docs/reference/buildkite.md. */
function reportedBuildChanges(before: BuildRow | undefined, after: BuildRow): ReportedChange[] {
  const changes: ReportedChange[] = []
  if (!before) {
    if (after.state !== 'creating') changes.push(latestOf([after.created_at, after.scheduled_at]))
  } else if (before.state === 'creating' && after.state !== 'creating') {
    changes.push(isNew(before.scheduled_at, after.scheduled_at) ? (after.scheduled_at ?? undefined) : undefined)
  }
  if (after.started_at && isNew(before?.started_at, after.started_at)) changes.push(after.started_at)
  if (after.state === 'failing' && before?.state !== 'failing') {
    changes.push(after.failing_at && isNew(before?.failing_at, after.failing_at) ? after.failing_at : undefined)
  }
  const wasFinished = before !== undefined && hasFinished(before)
  if (hasFinished(after)) {
    const isFinish =
      !wasFinished || isNew(before.finished_at, after.finished_at) || effectiveState(before) !== effectiveState(after)
    // A build with only skipped steps ends without a webhook.
    if (isFinish && after.state !== 'not_run') changes.push(after.finished_at ?? undefined)
  } else if (wasFinished && after.state !== 'canceling') changes.push(undefined)
  return changes
}

const SCHEDULED = jobRank('scheduled')
const RUNNING = jobRank('running')
const ENDED = jobRank('finished')
/** States in which a job ends without a webhook. */
const silentEnds: ReadonlySet<string | null> = new Set(['skipped', 'broken', 'blocked_failed', 'unblocked_failed'])

/**
 * Which changes between two states of a job Buildkite reports by webhook: a command job was scheduled or started, a job
 * finished, or a block step was unblocked. A job that was never scheduled ends without a webhook.
 */
function reportedJobChanges(before: JobRow | undefined, after: JobRow): ReportedChange[] {
  if (after.type === 'waiter') return []
  const reached = (rank: number, column: 'runnable_at' | 'started_at' | 'finished_at') =>
    before !== undefined && isAtLeast(before, rank) && !isNew(before[column], after[column])
  if (after.type === 'manual') {
    const isUnblocked = after.state === 'unblocked' || after.unblocked_at !== null
    const wasUnblocked = before?.state === 'unblocked' && !isNew(before.unblocked_at, after.unblocked_at)
    return isUnblocked && !wasUnblocked ? [after.unblocked_at ?? undefined] : []
  }
  const changes: ReportedChange[] = []
  if (after.type !== 'trigger') {
    if (after.runnable_at && !reached(SCHEDULED, 'runnable_at')) changes.push(after.runnable_at)
    if (after.started_at && !reached(RUNNING, 'started_at')) changes.push(after.started_at)
  }
  const wasInLine = after.runnable_at ?? after.started_at ?? after.expired_at
  const hasEnded = isAtLeast(after, ENDED) && !silentEnds.has(after.state)
  const sameEnd = before?.state === after.state && reached(ENDED, 'finished_at')
  if (hasEnded && wasInLine && !sameEnd) {
    changes.push(after.finished_at ?? after.expired_at ?? undefined)
  }
  return changes
}

function isAtLeast({ state }: JobRow, rank: number): boolean {
  return jobRank(state) >= rank
}

/** Whether two dates differ; old webhooks truncate dates to seconds. */
function isNew(before: Date | null | undefined, after: Date | null): boolean {
  if (!before || !after) return Boolean(before) !== Boolean(after)
  return compareSeconds(before, after) !== 0
}

/** Ids that the mirror looks up itself. */
const placement: ReadonlySet<string> = new Set(['organization_id', 'pipeline_id'])

function isUnchanged<Row extends MirrorRow>(rule: MergeRule<Row>, before: Row, after: Row): boolean {
  // mergeRow sets it whenever anything except verified_at changes. Most rows of a page return here.
  if (before.changed_at === after.changed_at) return true
  return (
    rule.columns.every((column) => placement.has(column) || same(before[column], after[column])) &&
    isDeepStrictEqual(before.extra, after.extra)
  )
}

/**
 * Columns whose values change without a webhook: edits, renames, states in between: see docs/reference/buildkite.md. Changes of state that a
 * webhook reports are found above. `retried…` and `triggered_build…` follow from what another row's webhooks report.
 */
const unreportedBuildColumns: ReadonlySet<string> = new Set([
  'state',
  'blocked',
  'blocked_state',
  'cancel_reason',
  'url',
  'web_url',
  'commit',
  'author_username',
  'author_name',
  'author_email',
  'creator_name',
  'creator_email',
  'creator_avatar_url',
  'meta_data',
  'env',
  'pull_request_labels',
  'rebuilt_from_url',
  'triggered_from_build_pipeline_slug',
  'cluster_id',
  'cluster_url',
] satisfies (keyof BuildRow)[])

const unreportedJobColumns: ReadonlySet<string> = new Set([
  'state',
  'build_url',
  'web_url',
  'log_url',
  'raw_log_url',
  'artifacts_url',
  'unblock_url',
  'unblockable',
  'priority_number',
  'agent_query_rules',
  'step_signature',
  'concurrency_wait_time_ms',
  'retried',
  'retried_in_job_id',
  'retried_by_id',
  'retried_by_name',
  'retried_by_email',
  'retry_type',
  'retries_count',
  'retry_source_retried_by_name',
  'retry_source_retried_by_email',
  'triggered_build_id',
  'triggered_build_number',
  'triggered_build_url',
  'triggered_build_web_url',
  'cluster_id',
  'cluster_url',
  'cluster_queue_id',
  'cluster_queue_url',
] satisfies (keyof JobRow)[])

/** Whether a value was replaced that Buildkite changes only with a webhook. Dates are handled as changes above. */
function hasWrongValue<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  unreported: ReadonlySet<string>,
  before: Row,
  after: Row,
): boolean {
  return rule.columns.some((column) => {
    const value: unknown = before[column]
    if (value === null || value instanceof Date || placement.has(column) || unreported.has(column)) return false
    return !same(value, after[column])
  })
}
