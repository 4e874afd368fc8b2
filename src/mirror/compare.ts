import { inArray, or } from 'drizzle-orm'
import { redactRow } from '../buildkite/redact.ts'
import type { Transaction } from '../database/connection.ts'
import { builds, type DriftKind, jobs } from '../database/schema.ts'
import { missingAttempts } from './attempts.ts'
import { ChangeTimes, type Evidence } from './change-times.ts'
import { eraseObserved } from './erased-people.ts'
import { canonical, type MergeRule, same } from './merge.ts'
import type { MirrorRow, Observation, Observations } from './observation.ts'
import { resolveOrganizationIds, resolvePipelineIds } from './places.ts'
import { buildRule, jobRule } from './rules.ts'

/** One column in which mirror and API differ. */
export interface ColumnDifference {
  readonly column: string
  readonly mirror: unknown
  readonly buildkite: unknown
}

/** A build or a job in which mirror and API differ. */
export interface Difference {
  readonly kind: DriftKind
  readonly build_id: string
  /** Null for the build itself. */
  readonly job_id: string | null
  readonly columns: readonly ColumnDifference[]
  /** When the row was last verified; null when it never was, or is missing. */
  readonly last_matched_at: Date | null
}

/** A difference, with the evidence that decides whether the mirror is wrong. */
export interface Contrast {
  readonly difference: Difference
  readonly evidence: Evidence
}

/** A build or a job that was not compared. */
export interface Skipped {
  readonly build_id: string
  readonly job_id: string | null
}

/** The result of comparing builds. */
export interface Comparison {
  readonly contrasts: readonly Contrast[]
  /** Rows that changed after the read, so the read cannot be compared with them. */
  readonly skipped: readonly Skipped[]
}

/**
 * Compares builds and their jobs from REST with the rows of the mirror, field by field. Writes nothing. `complete` are the builds that
 * include all their jobs; unexpected jobs are reported only for these. A field that is missing in the payload is not a difference.
 * A row that changed after the read is skipped, if the change is at most `aheadMs` newer.
 */
export async function compareWithMirror(
  tx: Transaction,
  observed: Observations,
  complete: ReadonlySet<string>,
  aheadMs = Number.POSITIVE_INFINITY,
): Promise<Comparison> {
  await eraseObserved(tx, observed)
  await resolveOrganizationIds(tx, observed)
  await resolvePipelineIds(tx, observed)
  const buildIds = observed.builds.map(({ fields }) => fields.id)
  const jobIds = observed.jobs.map(({ fields }) => fields.id)
  if (buildIds.length === 0) return { contrasts: [], skipped: [] }
  const buildRows = await tx.select().from(builds).where(inArray(builds.id, buildIds))
  const jobRows = await tx
    .select()
    .from(jobs)
    .where(or(inArray(jobs.build_id, buildIds), inArray(jobs.id, jobIds)))
  const lacking = await missingAttempts(tx, observed.builds)
  const storedBuilds = new Map(buildRows.map((row) => [row.id, row]))
  const storedJobs = new Map(jobRows.map((row) => [row.id, row]))
  const times = new ChangeTimes(observed, buildRows, jobRows)
  const contrasts: Contrast[] = []
  const skipped: Skipped[] = []
  const isNewer = (row: MirrorRow | undefined, at: Date) =>
    row !== undefined && row.observed_at > at && row.observed_at.getTime() - at.getTime() <= aheadMs
  const found = (difference: Difference | undefined, stored: MirrorRow | undefined) => {
    if (difference) contrasts.push({ difference, evidence: times.of(difference, stored) })
  }
  for (const seen of observed.builds) {
    const { id } = seen.fields
    const stored = storedBuilds.get(id)
    const columns: ColumnDifference[] = []
    if (isNewer(stored, seen.at)) skipped.push({ build_id: id, job_id: null })
    else columns.push(...compareRow(buildRule, stored, seen))
    if (lacking.has(id)) columns.push({ column: 'build_attempts', mirror: null, buildkite: 'finished' })
    found(differenceOf(id, null, stored, columns), stored)
  }
  for (const seen of observed.jobs) {
    const stored = storedJobs.get(seen.fields.id)
    const build_id = seen.fields.build_id ?? stored?.build_id ?? ''
    if (isNewer(stored, seen.at)) skipped.push({ build_id, job_id: seen.fields.id })
    else found(differenceOf(build_id, seen.fields.id, stored, compareRow(jobRule, stored, seen)), stored)
  }
  const listed = new Set(jobIds)
  const readAt = new Map(observed.builds.map(({ fields, at }) => [fields.id, at]))
  for (const row of jobRows) {
    const { build_id, id: job_id, verified_at: last_matched_at } = row
    const at = build_id === null ? undefined : readAt.get(build_id)
    if (!at || build_id === null || listed.has(job_id) || row.deleted_at || !complete.has(build_id)) continue
    // An object reported by a webhook after the read may not have existed at the time of the read.
    if (!isNewer(row, at)) found({ kind: 'unexpected', build_id, job_id, columns: [], last_matched_at }, row)
  }
  return { contrasts, skipped }
}

function differenceOf(
  build_id: string,
  job_id: string | null,
  stored: MirrorRow | undefined,
  columns: readonly ColumnDifference[],
): Difference | undefined {
  if (!stored) return { kind: 'missing', build_id, job_id, columns: [], last_matched_at: null }
  if (columns.length === 0) return undefined
  return { kind: 'different', build_id, job_id, columns, last_matched_at: stored.verified_at }
}

/**
 * The columns in which a row differs, and the keys of `extra`. A key that only the mirror has is a difference if the row is verified;
 * otherwise a webhook may have added it.
 */
function compareRow<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  row: Row | undefined,
  { fields }: Observation<Row>,
): ColumnDifference[] {
  if (!row) return []
  // An earlier version may have stored what is a secret now. That is no drift, and must not be recorded as the value that differs.
  const stored = redactRow(row)
  const differences: ColumnDifference[] = []
  for (const column of rule.columns) {
    const buildkite: unknown = fields[column]
    if (buildkite === undefined || same(buildkite, stored[column])) continue
    differences.push({ column, mirror: stored[column], buildkite })
  }
  const isVerified = stored.verified_at !== null && stored.observed_at <= stored.verified_at
  for (const key of new Set([...Object.keys(fields.extra), ...(isVerified ? Object.keys(stored.extra) : [])])) {
    const mirror = valueIn(stored.extra, key)
    const buildkite = valueIn(fields.extra, key)
    if (canonical(mirror) !== canonical(buildkite)) differences.push({ column: `extra.${key}`, mirror, buildkite })
  }
  if (stored.deleted_at) differences.push({ column: 'deleted_at', mirror: stored.deleted_at, buildkite: null })
  return differences
}

/** The value of a key; undefined for one that is missing, which differs from null. */
function valueIn(object: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined
}
