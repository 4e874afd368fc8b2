import { and, type Column, eq, inArray, isNull, lt, notInArray, type SQL, sql } from 'drizzle-orm'
import { BuildkiteError, messageOf, StoreError } from '../runtime/errors.ts'
import { DAY, HOUR, MINUTE } from '../runtime/time.ts'
import type { Db, Transaction } from './connection.ts'
import { type FailureKind, failures, pipelines } from './schema.ts'

/** Identifies a unit of work. */
export interface Unit {
  readonly kind: FailureKind
  /** Null if it belongs to no organization. */
  readonly organizationId: string | null
  /** A readable name: `web #123`, `2026-03-02`, `delivery 17`. Unique within kind and organization. */
  readonly subject: string
  /** For a build: how to request it. */
  readonly pipelineSlug?: string | undefined
  readonly buildNumber?: number | undefined
  /** Default: the pipeline of the organization that has the slug now. */
  readonly pipelineId?: string | undefined
  readonly buildId?: string | undefined
  /** For `builds_list`: the unlistable range of created_at. */
  readonly range?: { readonly from: Date; readonly to: Date } | undefined
}

export type Failure = typeof failures.$inferSelect

const LONGEST_BACK_OFF = 6 * HOUR

/** Milliseconds until work that failed `tries` times in a row is retried: 1, 2, 4 … minutes, at most 6 hours. */
export function backOff(tries: number): number {
  return Math.min(LONGEST_BACK_OFF, MINUTE * 2 ** Math.min(Math.max(0, tries - 1), 20))
}

/** Whether work may be retried. A time beyond the longest back-off was set by a clock that was ahead, so it is ignored. */
export function isDue(nextTryAt: Date | null | undefined, now: number): boolean {
  const left = (nextTryAt?.getTime() ?? now) - now
  return left <= 0 || left > LONGEST_BACK_OFF
}

/** The same in SQL, for a column that holds the time of the next try. */
export function dueAt(column: Column | SQL, now: Date) {
  return sql`(${column} <= ${now.toISOString()}::timestamptz
    or ${column} > ${new Date(now.getTime() + LONGEST_BACK_OFF).toISOString()}::timestamptz)`
}

/** A stable code for an error: an API error's code, an HTTP status, an SQLSTATE, or its name. */
export function codeOf(error: unknown): string {
  if (error instanceof BuildkiteError) return error.status === undefined ? error.code : `http_${error.status}`
  if (error instanceof StoreError) return error.code ?? error.kind
  return error instanceof Error ? error.name : 'unknown'
}

/**
 * Records that a unit of work failed. It is due again after a back-off that grows with each consecutive failure.
 * Returns the number of consecutive failures.
 */
export async function recordFailure(db: Db | Transaction, unit: Unit, error: unknown, now: Date): Promise<number> {
  const {
    kind,
    organizationId,
    subject,
    pipelineSlug = null,
    buildNumber = null,
    buildId = null,
    pipelineId = null,
    range,
  } = unit
  // Raw SQL: Drizzle's insert accepts only columns as conflict target, and the unique index has an expression.
  const { rows } = await db.execute<{ tries: number }>(sql`
    insert into ${failures} as known (kind, organization_id, subject, pipeline_slug, pipeline_id, build_number, build_id, created_from, created_to,
      code, error, first_failed_at, last_failed_at, next_try_at)
    values (${kind}, ${organizationId}, ${subjectOf(subject)}, ${pipelineSlug},
      coalesce(${pipelineId}::uuid, (select id from ${pipelines} as pipeline where pipeline.organization_id = ${organizationId}
        and pipeline.slug = ${pipelineSlug} and pipeline.deleted_at is null limit 1)), ${buildNumber}, ${buildId}, ${range?.from ?? null}, ${range?.to ?? null},
      ${codeOf(error)}, ${messageOf(error).slice(0, 1_000)}, ${now}, ${now}, ${new Date(now.getTime() + backOff(1))})
    on conflict (kind, coalesce(organization_id, '00000000-0000-0000-0000-000000000000'), subject) do update set
      code = excluded.code, error = excluded.error, last_failed_at = excluded.last_failed_at, tries = known.tries + 1,
      build_id = coalesce(excluded.build_id, known.build_id), pipeline_id = coalesce(known.pipeline_id, excluded.pipeline_id),
      next_try_at = excluded.last_failed_at
        + least(${LONGEST_BACK_OFF}::double precision, ${MINUTE} * 2 ^ least(known.tries, 20)) * interval '1 ms'
    returning known.tries as tries`)
  return rows[0]?.tries ?? 1
}

/** Deletes a failure, because the work succeeded or is no longer needed. */
export async function clearFailure(
  db: Db | Transaction,
  { kind, organizationId, subject }: Pick<Unit, 'kind' | 'organizationId' | 'subject'>,
): Promise<void> {
  const same = organizationId === null ? isNull(failures.organization_id) : eq(failures.organization_id, organizationId)
  await db.delete(failures).where(and(eq(failures.kind, kind), same, eq(failures.subject, subjectOf(subject))))
}

/**
 * Deletes failures that were not retried within a day after they were due. These are replicas that lost their lease, and obsolete
 * work, such as windows of a deleted pipeline. Builds and unlistable ranges stay: analytics.data_coverage counts them as
 * exceptions. Returns how many were deleted.
 */
export async function forgetAbandoned(db: Db, now: Date): Promise<number> {
  const due = lt(failures.next_try_at, new Date(now.getTime() - DAY))
  const { rowCount } = await db.delete(failures).where(and(due, notInArray(failures.kind, ['build', 'builds_list'])))
  return rowCount ?? 0
}

/** An organization's failures of these kinds, oldest first. */
export function failuresOf(
  db: Db | Transaction,
  organizationId: string,
  kinds: readonly FailureKind[],
): Promise<Failure[]> {
  return db
    .select()
    .from(failures)
    .where(and(eq(failures.organization_id, organizationId), inArray(failures.kind, [...kinds])))
    .orderBy(failures.id)
}

/** A name short enough for the unique index. */
function subjectOf(subject: string): string {
  return subject.slice(0, 500)
}
