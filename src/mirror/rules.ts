import { getTableColumns, type Table } from 'drizzle-orm'
import { agents, builds, jobs, organizations, pipelines } from '../database/schema.ts'
import { HOUR, SECOND } from '../runtime/time.ts'
import { canonical, compareSeconds, knownAt, type MergeRule, type Precedence } from './merge.ts'
import type {
  AgentRow,
  BuildRow,
  JobRow,
  MirrorColumns,
  MirrorRow,
  Observation,
  OrganizationRow,
  PipelineRow,
} from './observation.ts'

/** The mirror's own columns, which no payload fills. */
const mirrorColumns: Record<keyof MirrorColumns, true> = {
  observed_at: true,
  verified_at: true,
  first_seen_at: true,
  first_seen_via: true,
  changed_at: true,
  deleted_at: true,
  deleted_reason: true,
  extra: true,
}

type PayloadColumn<Row> = Exclude<keyof Row, keyof MirrorColumns | 'id'> & string

function payloadOf<Row extends MirrorRow>(table: Table): Pick<MergeRule<Row>, 'columns' | 'blank'> {
  const isPayloadColumn = (name: string): name is PayloadColumn<Row> => name !== 'id' && !(name in mirrorColumns)
  const names = Object.keys(getTableColumns(table))
  return { columns: names.filter(isPayloadColumn), blank: Object.fromEntries(names.map((name) => [name, null])) }
}

const buildStateRank: ReadonlyMap<string, number> = new Map(
  Object.entries({
    creating: 0,
    scheduled: 1,
    running: 2,
    failing: 3,
    canceling: 4,
    blocked: 5,
    passed: 6,
    failed: 6,
    canceled: 6,
    skipped: 6,
    not_run: 6,
  }),
)

/**
 * The actual state of a build: a blocked build keeps its last state, such as `passed`, and has `blocked: true`. A canceled build stays
 * canceled, even if `blocked` is still true.
 */
export function effectiveState(build: { state?: string | null | undefined; blocked?: boolean | null | undefined }) {
  return build.blocked && build.state !== 'canceled' ? 'blocked' : (build.state ?? undefined)
}

/** Whether a build with these fields has ended or paused, so that its `finished_at` is meaningful. */
export function hasFinished(build: Parameters<typeof effectiveState>[0]): boolean {
  const state = effectiveState(build)
  return state !== undefined && (buildStateRank.get(state) ?? 0) >= 5
}

/** Builds: the later observation wins, because a finished build can run again. Within one second, the more advanced one wins. */
export const buildRule: MergeRule<BuildRow> = {
  ...payloadOf<BuildRow>(builds),
  lifecycle: new Set([
    'state',
    'blocked',
    'blocked_state',
    'cancel_reason',
    'scheduled_at',
    'started_at',
    'finished_at',
  ]),
  // An open build may finish and run again between two identical reads. Only a recent verification rejects the late webhook of that finish.
  verificationStep: (row) => (hasFinished(row) ? HOUR : SECOND),
  standing(stored, observation) {
    const order = compareSeconds(observation.at, knownAt(stored))
    if (order !== 0) return order > 0 ? 'later' : 'earlier'
    return furtherBuild(stored, observation) ? 'later' : 'earlier'
  },
}

function furtherBuild(stored: BuildRow, { fields, via }: Observation<BuildRow>): boolean {
  // A start after the other's finish is the next attempt, however advanced the other is.
  if (fields.started_at && stored.finished_at && fields.started_at > stored.finished_at) return true
  if (stored.started_at && fields.finished_at && stored.started_at > fields.finished_at) return false
  const rank = (build: Parameters<typeof effectiveState>[0]) => buildStateRank.get(effectiveState(build) ?? '') ?? -1
  const difference = rank(fields) - rank(stored)
  if (difference !== 0) return difference > 0
  const finished = (fields.finished_at?.getTime() ?? 0) - (stored.finished_at?.getTime() ?? 0)
  if (finished !== 0) return finished > 0
  return via === 'rest' || stored.verified_at === null || stored.observed_at > stored.verified_at
}

/** The rank of a job's state in its life. */
const jobStateRank: ReadonlyMap<string, number> = new Map(
  Object.entries({
    pending: 0,
    waiting: 1,
    blocked: 1,
    // Their dependencies have failed. If these are retried, the same jobs can continue.
    waiting_failed: 1.5,
    blocked_failed: 1.5,
    limiting: 2,
    platform_limiting: 2,
    limited: 3,
    platform_limited: 3,
    scheduled: 4,
    reserved: 5,
    assigned: 6,
    accepted: 7,
    running: 8,
    canceling: 9,
    timing_out: 9,
    finished: 10,
    unblocked: 11,
    unblocked_failed: 12,
    passed: 11,
    failed: 11,
    canceled: 11,
    timed_out: 11,
    expired: 11,
    skipped: 11,
    broken: 11,
  }),
)

/** Rank of a job's state; unknown states rank between waiting and finished. */
export function jobRank(state: string | null | undefined): number {
  return state ? (jobStateRank.get(state) ?? 7.5) : -1
}

/** Jobs only move forward, because a retry is a new job. Webhooks are joined in any order; only a later REST read overrules them. */
export const jobRule: MergeRule<JobRow> = {
  ...payloadOf<JobRow>(jobs),
  lifecycle: new Set([
    'state',
    'started_at',
    'finished_at',
    'expired_at',
    'exit_status',
    'soft_failed',
    'signal',
    'signal_reason',
    'broken_reason',
    'retried',
    'retried_in_job_id',
    'retried_by_id',
    'retried_by_name',
    'retried_by_email',
    'unblocked_at',
    'unblocked_by_id',
    'unblocked_by_name',
    'unblocked_by_email',
    'triggered_build_id',
    'triggered_build_number',
    'triggered_build_url',
    'triggered_build_web_url',
  ]),
  standing(stored, observation) {
    if (stored.verified_at && compareSeconds(observation.at, stored.verified_at) < 0) return 'earlier'
    if (observation.via === 'rest' && compareSeconds(observation.at, knownAt(stored)) > 0) return 'later'
    return 'join'
  },
  choose(column, before, seen, stored, { at, via }) {
    // For values that do not grow, such as an address, REST wins within its own second.
    if (!grows(column, seen)) {
      if (via === 'rest' && compareSeconds(at, knownAt(stored)) === 0) return seen
      if (via === 'webhook' && stored.verified_at && compareSeconds(at, stored.verified_at) === 0) return before
    }
    return isMoreAdvanced(column, seen, before) ? seen : before
  },
}

function grows(column: string, value: unknown): boolean {
  return column === 'state' || typeof value === 'number' || typeof value === 'boolean' || value instanceof Date
}

/**
 * Whether one known value of a job's column is more advanced than another. This is a total order of the values alone, so that joining
 * webhooks is commutative, associative and idempotent. States are ordered by rank. Times and numbers grow, flags become true
 * (`unblockable` becomes false). The order of text is arbitrary, but does not depend on arrival.
 */
function isMoreAdvanced(column: string, a: unknown, b: unknown): boolean {
  if (column === 'state') {
    const ranks = jobRank(String(a)) - jobRank(String(b))
    return ranks === 0 ? String(a) > String(b) : ranks > 0
  }
  if (column === 'unblockable') return a === false
  if (a instanceof Date && b instanceof Date) return a > b
  if (typeof a === 'number' && typeof b === 'number') return a > b
  return canonical(a) > canonical(b)
}

const latestWins = (stored: MirrorRow, observation: { at: Date }): Precedence =>
  compareSeconds(observation.at, knownAt(stored)) < 0 ? 'earlier' : 'later'

export const organizationRule: MergeRule<OrganizationRow> = {
  ...payloadOf<OrganizationRow>(organizations),
  lifecycle: new Set(),
  hidable: true,
  standing: latestWins,
}

export const pipelineRule: MergeRule<PipelineRow> = {
  ...payloadOf<PipelineRow>(pipelines),
  lifecycle: new Set(['archived_at']),
  hidable: true,
  standing: latestWins,
}

export const agentRule: MergeRule<AgentRow> = {
  ...payloadOf<AgentRow>(agents),
  lifecycle: new Set([
    'connection_state',
    'connected_at',
    'disconnected_at',
    'lost_at',
    'stopped_at',
    'job_id',
    'paused_at',
    'paused_by_id',
    'paused_by_name',
    'paused_by_email',
    'paused_note',
    'paused_timeout_in_minutes',
  ]),
  standing: latestWins,
}
