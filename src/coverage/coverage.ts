import { and, asc, count, eq, getTableColumns, gt, isNull, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../database/connection.ts'
import { type Failure, failuresOf } from '../database/failures.ts'
import { reference_syncs } from '../database/reference-tables.ts'
import { builds, type cycles, drift, type FailureKind, organizations } from '../database/schema.ts'
import { backfillPausedAt } from '../reconcile/backfill/pause.ts'
import { openStates } from '../reconcile/builds/open-states.ts'
import { webhooksSince } from '../reconcile/builds/webhook-progress.ts'
import { type Claim, claimedHistory } from '../reconcile/progress/claim.ts'
import { readWatermark } from '../reconcile/progress/watermark.ts'
import type { Window } from '../reconcile/progress/windows.ts'
import type { MirrorFilter } from '../runtime/scope.ts'
import { DAY } from '../runtime/time.ts'
import { type BackfillCoverage, backfillCoverage, listedPipelines, windowsOf } from './backfill.ts'
import { type LastDay, lastCycle, lastDay, recentCycles } from './cycles.ts'
import { type TimelinePart, timelineOf } from './timeline.ts'

export type { BackfillCoverage } from './backfill.ts'
export { lostWebhooks } from './cycles.ts'

/** How complete the mirror of one organization is. Times are null while they are unknown. */
export interface OrganizationCoverage {
  readonly id: string
  readonly slug: string | null
  /** Whether it is still mirrored: BUILDKITE_ORGANIZATIONS includes it, and no check of the tokens has found it missing. */
  readonly mirrored: boolean
  /** The cycles have read everything created or finished before this time; see `claim` for what is complete. */
  readonly watermark: Date | null
  readonly warm_watermark: Date | null
  /** The oldest `created_at` from which every listed pipeline is complete. */
  readonly covered_from: Date | null
  readonly claim: Claim
  /** Failing work of this organization that is retried; oldest first, at most 50. */
  readonly failures: readonly Failure[]
  readonly backfill: BackfillCoverage
  readonly builds: number
  /** Whether `builds` is Postgres's estimate, because counting a large mirror takes too long. */
  readonly builds_estimated: boolean
  readonly open_builds: number
  /** Builds that a webhook has changed since REST last showed them. */
  readonly provisional_builds: number
  /** Differences that the audit or `verify` found: in the last 24 hours, and those not healed yet. */
  readonly drift: { last_day: number; unhealed: number }
  /** The oldest verification of any window of history; null before the backfill. */
  readonly oldest_verification: Date | null
  /** The last cycle that succeeded, and the last error if one came after it. */
  readonly last_cycle: typeof cycles.$inferSelect | null
  readonly last_error: { at: Date; message: string } | null
  /** The last cycles and audits, newest first. */
  readonly recent_cycles: readonly (typeof cycles.$inferSelect)[]
  /** The state of each part of its timeline, oldest first. */
  readonly strip: readonly TimelinePart[]
  /** How each list of reference data was last read, by name: clusters, teams, members and so on. */
  readonly lists: readonly ListReading[]
  /** Whether webhooks report its builds. If not, none can be lost. */
  readonly receives_webhooks: boolean
  /** Results of the cycles of the last 24 hours; see ReadResult. */
  readonly last_day: LastDay
}

export type ListReading = Omit<typeof reference_syncs.$inferSelect, 'organization_id'>

const FAILURES_SHOWN = 50
const failureKinds: readonly FailureKind[] = [
  'build',
  'builds_list',
  'pipelines_list',
  'window',
  'orphans',
  'pipeline_change',
]

/** Up to this many builds are counted; above, Postgres's estimate is used. */
const COUNTED = 20_000

/** The values of the metrics of an organization. */
interface Gauged {
  readonly slug: string
  /** Share of the wanted history that is read; undefined without a backfill, for example without a token. */
  readonly progress: number | undefined
  readonly claim: Claim
  /** Differences that are not healed. */
  readonly unhealed: number
}

/** Backfill, claim and drift of each organization that has a slug and is still mirrored. */
export async function backfillAndDrift(db: Db, filter: MirrorFilter, now: Date = new Date()): Promise<Gauged[]> {
  const result: Gauged[] = []
  for (const { id, slug, mirrored } of await knownOrganizations(db, filter)) {
    if (slug === null || !mirrored) continue
    const [mark, all, listed] = await Promise.all([readWatermark(db, id), windowsOf(db, id), listedPipelines(db, id)])
    const backfill = backfillCoverage(mark, all, listed, { paused_at: null, off: false }, now)
    const claim = await claimedHistory(db, id)
    const progress = backfill.from ? backfill.progress : undefined
    result.push({ slug, progress, claim, unhealed: await countUnhealed(db, id) })
  }
  return result
}

/** What the settings include in the mirror. */
export interface Wanted {
  /** Default: everything that a token sees. */
  readonly filter?: MirrorFilter
  /** Days of history; 0 reads none. */
  readonly backfillDays?: number
}

/** The coverage of every organization in the mirror, by slug. @throws the driver's error when the database is unavailable. */
export async function coverage(
  db: Db,
  now: Date = new Date(),
  { filter, backfillDays }: Wanted = {},
): Promise<OrganizationCoverage[]> {
  const result: OrganizationCoverage[] = []
  for (const one of await knownOrganizations(db, filter))
    result.push(await coverageOf(db, one, backfillDays === 0, now))
  return result
}

type Known = Pick<OrganizationCoverage, 'id' | 'slug' | 'mirrored'>

async function knownOrganizations(db: Db, filter?: MirrorFilter): Promise<Known[]> {
  const rows = await db
    .select({ id: organizations.id, slug: organizations.slug, deleted_at: organizations.deleted_at })
    .from(organizations)
    .orderBy(asc(organizations.slug))
  const isWanted = (slug: string | null) => slug === null || !filter || filter.organization(slug)
  return rows.map(({ id, slug, deleted_at }) => ({ id, slug, mirrored: deleted_at === null && isWanted(slug) }))
}

async function coverageOf(db: Db, organization: Known, off: boolean, now: Date): Promise<OrganizationCoverage> {
  const { id } = organization
  const [mark, all, listed, paused_at] = await Promise.all([
    readWatermark(db, id),
    windowsOf(db, id),
    listedPipelines(db, id),
    backfillPausedAt(db, id),
  ])
  const { covered_from, ranges, ...claim } = await claimedHistory(db, id)
  const backfill = backfillCoverage(mark, all, listed, { paused_at, off }, now)
  const known = all.filter(({ pipeline_id }) => pipeline_id === null)
  const [recent, counts, differing, lists, day, reported] = await Promise.all([
    recentCycles(db, id),
    countBuilds(db, id),
    countDrift(db, id, now),
    listReadings(db, id),
    lastDay(db, id, now),
    webhooksSince(db, id, now.getTime()),
  ])
  const { last, error } = await lastCycle(db, id)
  return {
    ...organization,
    watermark: mark?.watermark ?? null,
    warm_watermark: mark?.warm_watermark ?? null,
    covered_from,
    claim,
    failures: (await failuresOf(db, id, failureKinds)).slice(0, FAILURES_SHOWN),
    backfill,
    ...counts,
    drift: differing,
    oldest_verification: oldestVerification(known),
    last_cycle: last,
    last_error: error,
    recent_cycles: recent,
    strip: timelineOf(mark, known, { as_of: claim.as_of, ranges }, now),
    lists,
    receives_webhooks: reported !== undefined,
    last_day: day,
  }
}

async function countBuilds(db: Db, organizationId: string) {
  const ours = eq(builds.organization_id, organizationId)
  // Each condition matches its partial index, so that the count reads only the few builds in it.
  const open = sql`${builds.state} in (${openStates}) and ${builds.deleted_at} is null`
  const provisional = sql`(${builds.verified_at} is null or ${builds.observed_at} > ${builds.verified_at}) and ${builds.deleted_at} is null`
  return {
    ...(await countOrEstimate(db, organizationId)),
    open_builds: await db.$count(builds, and(ours, open)),
    provisional_builds: await db.$count(builds, and(ours, provisional)),
  }
}

const plans = z.array(z.object({ 'QUERY PLAN': z.array(z.object({ Plan: z.object({ 'Plan Rows': z.number() }) })) }))

/** Counts a small number of builds. For more it uses the planner's estimate, which costs nothing. */
async function countOrEstimate(db: Db, organizationId: string) {
  const ours = eq(builds.organization_id, organizationId)
  const few = db
    .select({ id: builds.id })
    .from(builds)
    .where(ours)
    .limit(COUNTED + 1)
    .as('few')
  const [row] = await db.select({ n: count() }).from(few)
  const counted = row?.n ?? 0
  if (counted <= COUNTED) return { builds: counted, builds_estimated: false }
  const explained = await db.execute(sql`explain (format json) select from ${builds} where ${ours}`)
  const estimate = plans.parse(explained.rows)[0]?.['QUERY PLAN'][0]?.Plan['Plan Rows'] ?? 0
  return { builds: Math.max(estimate, counted), builds_estimated: true }
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

function oldestVerification(known: readonly Window[]): Date | null {
  const times = known.flatMap(({ verified_at }) => (verified_at ? [verified_at.getTime()] : []))
  return times.length > 0 ? new Date(times.reduce((oldest, time) => Math.min(oldest, time))) : null
}

function listReadings(db: Db, organizationId: string): Promise<ListReading[]> {
  const { organization_id, ...columns } = getTableColumns(reference_syncs)
  return db
    .select(columns)
    .from(reference_syncs)
    .where(eq(organization_id, organizationId))
    .orderBy(asc(reference_syncs.name))
}
