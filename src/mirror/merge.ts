import { isDeepStrictEqual } from 'node:util'
import { isObject } from '../buildkite/payload-reader.ts'
import { HOUR, SECOND } from '../runtime/time.ts'
import type { MirrorRow, Observation, PartialRow } from './observation.ts'

/** Whether an observation is newer or older than the stored row, or (jobs only) both are joined. */
export type Precedence = 'later' | 'earlier' | 'join'

/** The merge rule of one table, in addition to the common rules. */
export interface MergeRule<Row extends MirrorRow> {
  /** Every payload column. */
  columns: readonly (keyof PartialRow<Row> & keyof Row & string)[]
  /** Every column with null: a new row starts as a copy of it, because V8 is slow with objects that grow. */
  blank: Readonly<Record<string, null>>
  /** Columns that can return to null during an object's life; for these a webhook's explicit null counts. */
  lifecycle: ReadonlySet<string>
  standing(stored: Row, observation: Observation<Row>): Precedence
  /** An unchanged row's verification is written again only if it is this many milliseconds newer. Default: an hour. */
  verificationStep?(row: Row): number
  /** Whether a webhook about an object that REST lacks shows that it is hidden from our user, instead of restoring it. */
  hidable?: boolean
  /** For `join`: returns one of two different known values. */
  choose?(column: string, before: unknown, seen: unknown, stored: Row, observation: Observation<Row>): unknown
}

/** A verification is written again only when it is this much newer, so that reading unchanged rows again costs no writes. */
const VERIFICATION_STEP = HOUR

/** Compares whole seconds (-1, 0 or 1), because a signature's timestamp and HTTP's `Date` are no more precise. */
export function compareSeconds(a: Date, b: Date): number {
  return Math.sign(Math.floor(a.getTime() / SECOND) - Math.floor(b.getTime() / SECOND))
}

function latest(a: Date, b: Date): Date {
  return new Date(Math.max(a.getTime(), b.getTime()))
}

/** When the stored row was last known to be true: its last change or its last confirmation. */
export function knownAt(row: MirrorRow): Date {
  return row.verified_at ? latest(row.verified_at, row.observed_at) : row.observed_at
}

/**
 * Merges one observation into the stored row (`undefined`: none yet) and returns the new row. Returns `stored` itself when nothing needs
 * a write. Pure; `now` is our clock and sets only the mirror's own columns.
 */
export function mergeRow<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  stored: Row | undefined,
  observation: Observation<Row>,
  now: Date,
): Row {
  if (!stored) return newRow(rule, observation, now)
  const standing = rule.standing(stored, observation)
  const changes: Record<string, unknown> = {}
  for (const column of rule.columns) {
    const value = mergeColumn(rule, column, standing, stored, observation)
    if (!same(value, stored[column])) changes[column] = value
  }
  const extra = mergeExtra(standing, stored, observation)
  if (!isDeepStrictEqual(extra, stored.extra)) changes.extra = extra
  const mark = mergeMark(rule, stored, observation)
  if (mark.deleted_reason !== stored.deleted_reason) Object.assign(changes, mark)
  const changed = Object.keys(changes).length > 0
  const merged: Row = changed ? { ...stored, ...changes, changed_at: now } : stored
  if (changed && standing !== 'earlier') merged.observed_at = changedAt(stored, observation)
  return confirm(rule, merged, stored, observation, standing)
}

/**
 * The new `observed_at` of a row that an observation changed. A webhook's change must be provisional even within the second of the last
 * verification, but its timestamp has only whole seconds.
 */
function changedAt(stored: MirrorRow, observation: { at: Date; via: string }): Date {
  const { observed_at, verified_at } = stored
  const changed = latest(observation.at, observed_at)
  if (observation.via === 'webhook' && verified_at && changed <= verified_at) return new Date(verified_at.getTime() + 1)
  return changed
}

function newRow<Row extends MirrorRow>(rule: MergeRule<Row>, observation: Observation<Row>, now: Date): Row {
  const { fields, at, via } = observation
  const row: MirrorRow & Record<string, unknown> = {
    ...rule.blank,
    id: fields.id,
    extra: fields.extra,
    observed_at: at,
    verified_at: via === 'rest' ? at : null,
    first_seen_at: now,
    first_seen_via: via,
    changed_at: now,
    deleted_at: null,
    deleted_reason: null,
  }
  for (const column of rule.columns) {
    const value = fields[column]
    if (value !== undefined) row[column as string] = value
  }
  return row as unknown as Row // the rule's columns are the row's
}

function mergeColumn<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  column: keyof PartialRow<Row> & keyof Row & string,
  standing: Precedence,
  stored: Row,
  observation: Observation<Row>,
): unknown {
  const before: unknown = stored[column]
  const seen: unknown = observation.fields[column]
  if (seen === undefined) return before
  if (before === null) {
    // An older observation may add an unknown value, but not an end of something that a newer one shows as open.
    return standing === 'earlier' && rule.lifecycle.has(column) ? before : seen
  }
  if (standing === 'earlier') return before
  if (seen === null) {
    if (standing === 'join') return before
    return observation.via === 'rest' || rule.lifecycle.has(column) ? null : before
  }
  const chosen = standing === 'join' && rule.choose ? rule.choose(column, before, seen, stored, observation) : seen
  return observation.via === 'rest' ? chosen : preciseTimestamp(before, chosen)
}

/** Old webhooks and EventBridge truncate times to seconds: the same second without milliseconds is the same time, less precise. */
function preciseTimestamp(before: unknown, seen: unknown): unknown {
  if (!(before instanceof Date) || !(seen instanceof Date)) return seen
  return seen.getTime() % SECOND === 0 && compareSeconds(before, seen) === 0 ? before : seen
}

type Mark = Pick<MirrorRow, 'deleted_at' | 'deleted_reason'>

/** The mark of a deleted object: a later observation removes it. */
function mergeMark<Row extends MirrorRow>(rule: MergeRule<Row>, stored: Row, observation: Observation<Row>): Mark {
  const { deleted_at, deleted_reason } = stored
  if (!deleted_at || observation.at <= deleted_at) return { deleted_at, deleted_reason }
  if (rule.hidable && observation.via === 'webhook') return { deleted_at, deleted_reason: 'hidden' }
  return { deleted_at: null, deleted_reason: null }
}

/** A whole object from REST replaces `extra`. Webhooks and embedded objects may leave keys out, so they only add and change keys. */
function mergeExtra<Row extends MirrorRow>(
  standing: Precedence,
  stored: Row,
  { fields: { extra }, at, via, isEmbedded }: Observation<Row>,
): Record<string, unknown> {
  if (via === 'rest' && !isEmbedded) {
    if (standing === 'later') return extra
    if (standing === 'join' && compareSeconds(at, knownAt(stored)) === 0) return extra
  }
  if (standing === 'later') return mergeKeys(stored.extra, extra, via === 'rest' ? seen : seenUnlessNull)
  if (stored.verified_at && compareSeconds(at, stored.verified_at) <= 0) return stored.extra
  return mergeKeys(stored.extra, extra, standing === 'join' ? greater : knownUnlessNull)
}

type Choose = (known: unknown, seen: unknown) => unknown

const seen: Choose = (_, value) => value
const seenUnlessNull: Choose = (known, value) => value ?? known
const knownUnlessNull: Choose = (known, value) => known ?? value
/** An arbitrary order that does not depend on arrival. Null is the least, and an object the greatest. */
const greater: Choose = (known, value) => {
  if (known === null || value === null) return known ?? value
  return canonical(value) > canonical(known) ? value : known
}

/** The keys of both objects. If both have a key, objects are merged recursively, and `choose` decides between other values. */
function mergeKeys(
  known: Record<string, unknown>,
  added: Record<string, unknown>,
  choose: Choose,
): Record<string, unknown> {
  const merged = new Map(Object.entries(known))
  for (const [key, value] of Object.entries(added)) {
    const before = merged.get(key)
    if (before === undefined) merged.set(key, value)
    else if (isObject(before) && isObject(value)) merged.set(key, mergeKeys(before, value, choose))
    else merged.set(key, choose(before, value))
  }
  return Object.fromEntries(merged)
}

/** JSON text that is equal for equal values, whatever the order of their keys; gives values of any type an order. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function confirm<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  merged: Row,
  stored: Row,
  observation: Observation<Row>,
  standing: Precedence,
): Row {
  if (observation.via === 'rest' && standing === 'later') {
    const provisional = !stored.verified_at || stored.observed_at > stored.verified_at
    const step = stored.verified_at ? observation.at.getTime() - stored.verified_at.getTime() : 0
    if (merged !== stored || provisional || step >= (rule.verificationStep?.(merged) ?? VERIFICATION_STEP)) {
      // A read within the second of a webhook confirms it. Fractions of that second must not keep the row provisional.
      return { ...merged, verified_at: latest(observation.at, merged.observed_at) }
    }
  }
  return merged
}

/** Whether two column values are equal. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime()
  return typeof a === 'object' && typeof b === 'object' && isDeepStrictEqual(a, b)
}
