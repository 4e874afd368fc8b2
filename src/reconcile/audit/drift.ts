import { and, eq, inArray, isNull } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { builds, drift } from '../../database/schema.ts'
import type { ColumnDifference, Difference } from '../../mirror/compare.ts'

/** The command or task that found a difference. */
export type Finder = 'audit' | 'verify'

/** A difference that was checked twice, and its result. */
export interface Discrepancy extends Difference {
  /** For an unexpected build: why Buildkite no longer shows it. */
  readonly reason?: string
  readonly healed: boolean
}

/** Longer values are cut: the table shows what differed, the mirror has the right value. */
const VALUE_CHARS = 500
/**
 * Records findings in sync.drift. A finding that an earlier run recorded and that is still open is not recorded again; if it is healed
 * now, its row is updated.
 */
export async function recordDrift(
  db: Db,
  organization_id: string,
  found_by: Finder,
  findings: readonly Discrepancy[],
  now: Date,
): Promise<void> {
  for (let start = 0; start < findings.length; start += 500) {
    await recordSome(db, organization_id, found_by, findings.slice(start, start + 500), now)
  }
}

async function recordSome(
  db: Db,
  organization_id: string,
  found_by: Finder,
  findings: readonly Discrepancy[],
  now: Date,
): Promise<void> {
  const buildIds = [...new Set(findings.map(({ build_id }) => build_id))]
  const open = await db
    .select()
    .from(drift)
    .where(and(inArray(drift.build_id, buildIds), isNull(drift.healed_at)))
  const known = new Map(open.map((row) => [driftKey(row), row.id]))
  const pipelines = await pipelinesOf(db, buildIds)
  const rows = findings
    .filter((finding) => !known.has(driftKey(finding)))
    .map((finding) => ({
      organization_id,
      pipeline_id: pipelines.get(finding.build_id) ?? null,
      build_id: finding.build_id,
      job_id: finding.job_id,
      kind: finding.kind,
      columns: finding.columns.map(({ column }) => column),
      mirror: valuesOf(finding.columns, 'mirror'),
      buildkite: { ...valuesOf(finding.columns, 'buildkite'), ...(finding.reason && { reason: finding.reason }) },
      last_matched_at: finding.last_matched_at,
      found_at: now,
      found_by,
      healed_at: finding.healed ? now : null,
    }))
  if (rows.length > 0) await db.insert(drift).values(rows)
  const healed = findings.filter((finding) => finding.healed).flatMap((finding) => known.get(driftKey(finding)) ?? [])
  if (healed.length > 0) await db.update(drift).set({ healed_at: now }).where(inArray(drift.id, healed))
}

/** The builds with differences that are not healed. */
export async function buildsWithDrift(db: Db, organizationId: string): Promise<ReadonlySet<string>> {
  const rows = await db
    .selectDistinct({ id: drift.build_id })
    .from(drift)
    .where(and(eq(drift.organization_id, organizationId), isNull(drift.healed_at)))
  return new Set(rows.map(({ id }) => id))
}

/**
 * Closes open rows of sync.drift that no longer apply, because a cycle or a webhook corrected them or the difference changed. These are
 * the rows of the `compared` builds that `findings` lack, and the rows of builds that were marked as gone after they were found.
 */
export async function closeDrift(
  db: Db,
  organizationId: string,
  compared: ReadonlySet<string>,
  findings: readonly Difference[],
  now: Date,
): Promise<void> {
  const { id, kind, build_id, job_id, found_at } = drift
  const open = await db
    .select({ id, kind, build_id, job_id, found_at, gone_at: builds.deleted_at })
    .from(drift)
    .leftJoin(builds, eq(builds.id, drift.build_id))
    .where(and(eq(drift.organization_id, organizationId), isNull(drift.healed_at)))
  const found = new Set(findings.map(driftKey))
  const past = open.filter(
    (row) =>
      !found.has(driftKey(row)) && (compared.has(row.build_id) || (row.gone_at !== null && row.gone_at > row.found_at)),
  )
  for (let start = 0; start < past.length; start += 500) {
    const ids = past.slice(start, start + 500).map((row) => row.id)
    await db.update(drift).set({ healed_at: now }).where(inArray(drift.id, ids))
  }
}

async function pipelinesOf(db: Db, ids: readonly string[]): Promise<Map<string, string | null>> {
  const rows = await db
    .select({ id: builds.id, pipeline_id: builds.pipeline_id })
    .from(builds)
    .where(inArray(builds.id, [...ids]))
  return new Map(rows.map(({ id, pipeline_id }) => [id, pipeline_id]))
}

function driftKey({ kind, build_id, job_id }: Pick<Difference, 'kind' | 'build_id' | 'job_id'>): string {
  return `${kind} ${build_id} ${job_id ?? ''}`
}

function valuesOf(columns: readonly ColumnDifference[], side: 'mirror' | 'buildkite'): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column.column, shortened(column[side])]))
}

function shortened(value: unknown): unknown {
  const text = JSON.stringify(value)
  return text !== undefined && text.length > VALUE_CHARS ? `${text.slice(0, VALUE_CHARS)}…` : value
}
