import { inArray, or } from 'drizzle-orm'
import type { Transaction } from '../database/connection.ts'
import { builds, type DriftKind, jobs } from '../database/schema.ts'
import { missingAttempts } from './attempts.ts'
import { canonical, type MergeRule, same } from './merge.ts'
import type { MirrorRow, Observation, Observations } from './observation.ts'
import { placeInOrganizations, placeInPipelines } from './places.ts'
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
  /** Null when it is the build itself. */
  readonly job_id: string | null
  readonly columns: readonly ColumnDifference[]
  /** When the row was last verified; null when it never was, or is missing. */
  readonly right_until: Date | null
}

/**
 * Compares what REST told of builds and their jobs with the rows of the mirror, field by field; writes nothing. `complete` are the
 * builds whose jobs were all told: only of these can the mirror hold a job too many. Rows that a webhook has changed since the read
 * are passed over. A field that the payload lacked is no difference.
 */
export async function compareWithMirror(
  tx: Transaction,
  observed: Observations,
  complete: ReadonlySet<string>,
): Promise<Difference[]> {
  await placeInOrganizations(tx, observed)
  await placeInPipelines(tx, observed)
  const buildIds = observed.builds.map(({ draft }) => draft.id)
  const jobIds = observed.jobs.map(({ draft }) => draft.id)
  if (buildIds.length === 0) return []
  const buildRows = await tx.select().from(builds).where(inArray(builds.id, buildIds))
  const jobRows = await tx
    .select()
    .from(jobs)
    .where(or(inArray(jobs.build_id, buildIds), inArray(jobs.id, jobIds)))
  const lacking = await missingAttempts(tx, observed.builds)
  const storedBuilds = new Map(buildRows.map((row) => [row.id, row]))
  const storedJobs = new Map(jobRows.map((row) => [row.id, row]))
  const differences: Difference[] = []
  for (const seen of observed.builds) {
    const stored = storedBuilds.get(seen.draft.id)
    const columns = compareRow(buildRule, stored, seen)
    if (lacking.has(seen.draft.id)) columns.push({ column: 'build_attempts', mirror: null, buildkite: 'finished' })
    differences.push(...differenceOf(seen.draft.id, null, stored, columns))
  }
  for (const seen of observed.jobs) {
    const stored = storedJobs.get(seen.draft.id)
    const build = seen.draft.build_id ?? stored?.build_id ?? ''
    differences.push(...differenceOf(build, seen.draft.id, stored, compareRow(jobRule, stored, seen)))
  }
  const told = new Set(jobIds)
  const readAt = new Map(observed.builds.map(({ draft, at }) => [draft.id, at]))
  for (const row of jobRows) {
    const at = row.build_id === null ? undefined : readAt.get(row.build_id)
    if (!at || row.build_id === null || told.has(row.id) || row.deleted_at) continue
    if (!complete.has(row.build_id) || row.observed_at > at) continue
    const { build_id, id: job_id, verified_at: right_until } = row
    differences.push({ kind: 'surplus', build_id, job_id, columns: [], right_until })
  }
  return differences
}

function differenceOf(
  build_id: string,
  job_id: string | null,
  stored: MirrorRow | undefined,
  columns: readonly ColumnDifference[],
): Difference[] {
  if (!stored) return [{ kind: 'missing', build_id, job_id, columns: [], right_until: null }]
  if (columns.length === 0) return []
  return [{ kind: 'different', build_id, job_id, columns, right_until: stored.verified_at }]
}

function compareRow<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  stored: Row | undefined,
  { draft, at }: Observation<Row>,
): ColumnDifference[] {
  if (!stored || stored.observed_at > at) return []
  const differences: ColumnDifference[] = []
  for (const column of rule.columns) {
    const buildkite: unknown = draft[column]
    if (buildkite === undefined || same(buildkite, stored[column])) continue
    differences.push({ column, mirror: stored[column], buildkite })
  }
  for (const [key, value] of Object.entries(draft.extra)) {
    const mirror = stored.extra[key] ?? null
    if (canonical(value) !== canonical(mirror)) differences.push({ column: `extra.${key}`, mirror, buildkite: value })
  }
  if (stored.deleted_at) differences.push({ column: 'deleted_at', mirror: stored.deleted_at, buildkite: null })
  return differences
}
