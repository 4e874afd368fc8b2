import { and, asc, desc, eq, getTableColumns, gt, isNull, min, sql } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { dimensions } from '../database/dimensions.ts'
import { builds, cycles, drift, organizations, windows } from '../database/schema.ts'
import { DAY } from '../time.ts'
import { openStates } from './absent.ts'
import { clip, coveredBackFrom, lengthOf } from './spans.ts'
import { readWatermark, type Watermark } from './watermark.ts'

/** How complete the mirror of one organization is. Times are null where nothing is known yet. */
export interface OrganizationCoverage {
  readonly id: string
  readonly slug: string | null
  /** Everything created or finished from `covered_from` up to here is verified. */
  readonly watermark: Date | null
  readonly warm_watermark: Date | null
  /** The oldest `created_at` from which on nothing is missing. */
  readonly covered_from: Date | null
  readonly backfill: BackfillCoverage
  readonly pipelines_read_at: Date | null
  readonly builds: number
  readonly open_builds: number
  /** Builds that a webhook has changed since REST last showed them. */
  readonly provisional_builds: number
  /** Differences that audit or `verify` found: in the last 24 hours, and those that nobody has healed. */
  readonly drift: { last_day: number; unhealed: number }
  /** The longest ago that any window of history was verified; null before the backfill. */
  readonly oldest_verification: Date | null
  /** The last cycle that ran to its end, and the last error if one came after it. */
  readonly last_cycle: typeof cycles.$inferSelect | null
  readonly last_error: { at: Date; message: string } | null
  /** How each small list was last read, by name: clusters, teams, members and so on. */
  readonly lists: readonly ListReading[]
  /** What cycles of the last 24 hours found. */
  readonly last_day: {
    cycles: number
    failed: number
    builds_missing: number
    builds_healed: number
    jobs_missing: number
    jobs_healed: number
  }
}

export type ListReading = Omit<typeof dimensions.$inferSelect, 'organization_id'>

export interface BackfillCoverage {
  readonly from: Date | null
  readonly to: Date | null
  /** Share of the span that is read, 0 to 1. */
  readonly progress: number
  readonly builds: number
  /** List requests so far. */
  readonly requests: number
  readonly done: boolean
}

/** Of each organization with a slug: the share of the history wanted that is read, and the differences that nobody has healed. */
export async function backfillAndDrift(db: Db): Promise<{ slug: string; progress: number; unhealed: number }[]> {
  const known = await db.select({ id: organizations.id, slug: organizations.slug }).from(organizations)
  const result: { slug: string; progress: number; unhealed: number }[] = []
  for (const { id, slug } of known) {
    if (slug === null) continue
    const { backfill } = await backfillCoverage(db, id, await readWatermark(db, id))
    result.push({ slug, progress: backfill.progress, unhealed: await countUnhealed(db, id) })
  }
  return result
}

/** The coverage of every organization in the mirror, by slug. @throws the driver's error when the database is away. */
export async function coverage(db: Db, now: Date = new Date()): Promise<OrganizationCoverage[]> {
  const known = await db
    .select({ id: organizations.id, slug: organizations.slug })
    .from(organizations)
    .orderBy(asc(organizations.slug))
  const result: OrganizationCoverage[] = []
  for (const organization of known) result.push(await coverageOf(db, organization, now))
  return result
}

async function coverageOf(
  db: Db,
  organization: { id: string; slug: string | null },
  now: Date,
): Promise<OrganizationCoverage> {
  const mark = await readWatermark(db, organization.id)
  const { backfill, coveredFrom } = await backfillCoverage(db, organization.id, mark)
  const [last] = await cyclesOf(db, organization.id, sql`${cycles.error} is null`)
  const [failed] = await cyclesOf(db, organization.id, sql`${cycles.error} is not null`)
  const failedSince = failed?.error && (!last || failed.started_at > last.started_at)
  return {
    ...organization,
    watermark: mark?.watermark ?? null,
    warm_watermark: mark?.warm_watermark ?? null,
    covered_from: coveredFrom,
    backfill,
    pipelines_read_at: mark?.pipelines_read_at ?? null,
    ...(await countBuilds(db, organization.id)),
    drift: await countDrift(db, organization.id, now),
    oldest_verification: await oldestVerification(db, organization.id),
    last_cycle: last ?? null,
    last_error: failedSince ? { at: failed.started_at, message: failed.error ?? '' } : null,
    lists: await listReadings(db, organization.id),
    last_day: await lastDay(db, organization.id, now),
  }
}

async function backfillCoverage(db: Db, organizationId: string, mark: Watermark | undefined) {
  const from = mark?.backfill_from ?? null
  const to = mark?.backfill_to ?? null
  const rows = (await db.select().from(windows).where(eq(windows.organization_id, organizationId)))
    // The audit adds windows for what came after the backfill.
    .filter(({ created_from }) => !to || created_from < to)
  const read = rows.flatMap((row) => {
    const reached = row.status === 'done' ? row.created_from : row.walked_to
    return reached ? [{ from: reached, to: row.created_to }] : []
  })
  const totals = {
    builds: rows.reduce((sum, row) => sum + row.builds, 0),
    requests: rows.reduce((sum, row) => sum + row.requests, 0),
  }
  if (!from || !to) return { backfill: { from, to, progress: 0, ...totals, done: false }, coveredFrom: null }
  const bounds = { from, to }
  const within = read.map((span) => clip(span, bounds)).filter((span) => span.from < span.to)
  const whole = to.getTime() - from.getTime()
  const progress = whole > 0 ? lengthOf(within) / whole : 1
  const done = progress >= 1
  return { backfill: { from, to, progress, ...totals, done }, coveredFrom: coveredBackFrom(to, read) }
}

function cyclesOf(db: Db, organizationId: string, which: ReturnType<typeof sql>) {
  return db
    .select()
    .from(cycles)
    .where(and(eq(cycles.organization_id, organizationId), sql`${cycles.kind} in ('hot', 'warm')`, which))
    .orderBy(desc(cycles.started_at))
    .limit(1)
}

async function countBuilds(db: Db, organizationId: string) {
  const ours = eq(builds.organization_id, organizationId)
  // Each in the words of its partial index, so that the count touches only the few builds in it.
  const open = sql`${builds.state} in (${openStates}) and ${builds.deleted_at} is null`
  const provisional = sql`(${builds.verified_at} is null or ${builds.observed_at} > ${builds.verified_at}) and ${builds.deleted_at} is null`
  return {
    builds: await db.$count(builds, ours),
    open_builds: await db.$count(builds, and(ours, open)),
    provisional_builds: await db.$count(builds, and(ours, provisional)),
  }
}

async function countDrift(db: Db, organizationId: string, now: Date) {
  const ours = eq(drift.organization_id, organizationId)
  return {
    last_day: await db.$count(drift, and(ours, gt(drift.found_at, new Date(now.getTime() - DAY)))),
    unhealed: await countUnhealed(db, organizationId),
  }
}

async function countUnhealed(db: Db, organizationId: string): Promise<number> {
  return db.$count(drift, and(eq(drift.organization_id, organizationId), isNull(drift.healed_at)))
}

async function oldestVerification(db: Db, organizationId: string): Promise<Date | null> {
  const [row] = await db
    .select({ at: min(windows.verified_at) })
    .from(windows)
    .where(eq(windows.organization_id, organizationId))
  return row?.at ?? null
}

function listReadings(db: Db, organizationId: string): Promise<ListReading[]> {
  const { organization_id, ...columns } = getTableColumns(dimensions)
  return db.select(columns).from(dimensions).where(eq(organization_id, organizationId)).orderBy(asc(dimensions.name))
}

async function lastDay(db: Db, organizationId: string, now: Date) {
  const total = (column: keyof typeof cycles.$inferSelect) => sql<number>`coalesce(sum(${cycles[column]}), 0)::int`
  const [row] = await db
    .select({
      cycles: sql<number>`count(*)::int`,
      failed: sql<number>`count(${cycles.error})::int`,
      builds_missing: total('builds_missing'),
      builds_healed: total('builds_healed'),
      jobs_missing: total('jobs_missing'),
      jobs_healed: total('jobs_healed'),
    })
    .from(cycles)
    .where(
      and(
        eq(cycles.organization_id, organizationId),
        sql`${cycles.kind} in ('hot', 'warm')`,
        gt(cycles.started_at, new Date(now.getTime() - DAY)),
      ),
    )
  return row ?? { cycles: 0, failed: 0, builds_missing: 0, builds_healed: 0, jobs_missing: 0, jobs_healed: 0 }
}
