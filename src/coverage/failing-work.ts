import { and, asc, eq, gt, inArray, isNull, min, or, type SQL, sql } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import type { Failure } from '../database/failures.ts'
import { type FailureKind, failures, organizations } from '../database/schema.ts'
import type { MirrorFilter } from '../runtime/scope.ts'
import { MINUTE } from '../runtime/time.ts'

type ShownColumn =
  | 'kind'
  | 'subject'
  | 'code'
  | 'error'
  | 'tries'
  | 'first_failed_at'
  | 'last_failed_at'
  | 'next_try_at'

/** A unit of work that failed. It is retried with back-off while everything else continues. */
export interface FailingUnit extends Pick<Failure, ShownColumn> {
  /** Slug of its organization; null if it belongs to none. */
  readonly organization: string | null
  /** Whether it has failed for a quarter of an hour, or three times. */
  readonly is_lasting: boolean
}

export interface FailingWork {
  readonly all: number
  readonly lasting: number
  /** The {@link SHOWN} that have failed longest. */
  readonly shown: readonly FailingUnit[]
}

/** Display name of each kind. */
export const kindNames: Readonly<Record<FailureKind, string>> = {
  build: 'Build',
  builds_list: 'Builds that cannot be listed',
  pipelines_list: 'List of pipelines',
  window: 'Part of the history',
  delivery: 'Webhook delivery',
  pipeline_change: 'Builds of a renamed or deleted pipeline',
  orphans: 'Row whose pipeline or build is unknown',
  rollup_day: 'Daily totals',
  replica: 'Replica that lost its lease',
}

const SHOWN = 50
const LASTING = 15 * MINUTE
const MANY_TRIES = 3

/** Failing work of mirrored organizations, the oldest failure first. @throws the driver's error. */
export async function failingWork(db: Db, filter: MirrorFilter, now: Date): Promise<FailingWork> {
  const slugs = await mirroredSlugs(db, filter)
  const since = new Date(now.getTime() - LASTING).toISOString()
  // A replica is not retried, because another one took over its work.
  const lasting = sql<boolean>`${failures.kind} <> 'replica' and (${failures.first_failed_at} <= ${since} or ${failures.tries} >= ${MANY_TRIES})`
  const [counts] = await db
    .select({ all: sql<number>`count(*)::int`, lasting: sql<number>`(count(*) filter (where ${lasting}))::int` })
    .from(failures)
    .where(concerns(slugs))
  const { kind, organization_id, subject, code, error, tries, first_failed_at, last_failed_at, next_try_at } = failures
  const times = { first_failed_at, last_failed_at, next_try_at }
  const rows = await db
    .select({ kind, organization_id, subject, code, error, tries, ...times, is_lasting: lasting })
    .from(failures)
    .where(concerns(slugs))
    .orderBy(asc(first_failed_at), asc(failures.id))
    .limit(SHOWN)
  const shown = rows.map(({ organization_id: id, ...row }) => ({
    ...row,
    organization: id === null ? null : (slugs.get(id) ?? id),
  }))
  return { all: counts?.all ?? 0, lasting: counts?.lasting ?? 0, shown }
}

/** How many units of each kind fail in mirrored organizations, and since when. @throws the driver's error. */
export async function failingByKind(
  db: Db,
  filter: MirrorFilter,
): Promise<{ kind: FailureKind; count: number; since: Date | null }[]> {
  return db
    .select({ kind: failures.kind, count: sql<number>`count(*)::int`, since: min(failures.first_failed_at) })
    .from(failures)
    .where(concerns(await mirroredSlugs(db, filter)))
    .groupBy(failures.kind)
    .orderBy(asc(failures.kind))
}

/** The processes that lost a lease since then. @throws the driver's error. */
export async function lostReplicas(db: Db, since: Date): Promise<string[]> {
  const lately = and(eq(failures.kind, 'replica'), gt(failures.last_failed_at, since))
  const rows = await db.select({ subject: failures.subject }).from(failures).where(lately).orderBy(asc(failures.id))
  return rows.map(({ subject }) => subject)
}

function concerns(slugs: ReadonlyMap<string, string>): SQL | undefined {
  const organization = or(isNull(failures.organization_id), inArray(failures.organization_id, [...slugs.keys()]))
  return and(organization, isNull(failures.cleared_at))
}

/** Ids of the organizations that are still mirrored. Work of others is not retried. */
async function mirroredSlugs(db: Db, filter: MirrorFilter): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .select({ id: organizations.id, slug: organizations.slug })
    .from(organizations)
    .where(isNull(organizations.deleted_at))
  return new Map(
    rows.flatMap(({ id, slug }) => (slug === null || filter.organization(slug) ? [[id, slug ?? id] as const] : [])),
  )
}
