import { and, asc, count, desc, eq, getTableColumns, gt, inArray, isNull, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../database/connection.ts'
import { reference_syncs } from '../database/dimensions.ts'
import { type Failure, failuresOf } from '../database/failures.ts'
import {
  builds,
  cycles,
  drift,
  type FailureKind,
  organizations,
  pipeline_coverage,
  windows,
} from '../database/schema.ts'
import type { Scope } from '../scope.ts'
import { DAY, SECOND } from '../time.ts'
import { type Claim, claimedHistory } from './claim.ts'
import { openStates } from './open-states.ts'
import { backfillPausedAt } from './pauses.ts'
import { unread, upTo } from './pipeline-backfill.ts'
import { clip, lengthOf, type Span } from './spans.ts'
import { type StripPart, stripOf } from './strip.ts'
import { timeLeft } from './time-left.ts'
import { readWatermark, type Watermark } from './watermark.ts'
import { webhooksSince } from './webhook-progress.ts'
import type { Window } from './windows.ts'

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
  readonly strip: readonly StripPart[]
  /** How each list of reference data was last read, by name: clusters, teams, members and so on. */
  readonly lists: readonly ListReading[]
  /** Whether its builds are reported by webhooks. If not, none can be lost. */
  readonly receives_webhooks: boolean
  /** Results of the cycles of the last 24 hours; see ReadResult. */
  readonly last_day: LastDay
}

export interface LastDay extends FoundRows {
  readonly cycles: number
  readonly failed: number
  readonly builds_in_flight: number
  readonly builds_completed: number
  readonly builds_confirmed: number
  readonly jobs_in_flight: number
  readonly jobs_completed: number
  readonly jobs_confirmed: number
  /** Start of the last cycle that found a lost webhook; null if none did. */
  readonly last_lost_at: Date | null
}

/** Builds and jobs whose webhooks were lost, as in a row of sync.cycles. */
export interface FoundRows {
  readonly builds_missing: number
  readonly builds_healed: number
  readonly jobs_missing: number
  readonly jobs_healed: number
}

/** How many builds and jobs lost their webhooks. */
export function lostWebhooks({ builds_missing, builds_healed, jobs_missing, jobs_healed }: FoundRows) {
  const builds = builds_missing + builds_healed
  const jobs = jobs_missing + jobs_healed
  return { builds, jobs, total: builds + jobs }
}

export type ListReading = Omit<typeof reference_syncs.$inferSelect, 'organization_id'>

export interface BackfillCoverage {
  readonly from: Date | null
  readonly to: Date | null
  /** Share of the wanted history that is read, 0 to 1. Once the organization's list is read, the share over all listed pipelines. */
  readonly progress: number
  readonly builds: number
  /** List requests so far. */
  readonly requests: number
  /** Whether all of it is read; see `claim` for what is complete. */
  readonly done: boolean
  /** Since when it is paused; null when it may run. */
  readonly paused_at: Date | null
  /** BACKFILL_DAYS is 0: the service reads no pending history until it is above 0 again. */
  readonly off: boolean
  /** The estimated time for the rest at the present pace; null when done, paused or idle. */
  readonly seconds_left: number | null
}

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
const RECENT_CYCLES = 8

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
export async function backfillAndDrift(db: Db, scope: Scope, now: Date = new Date()): Promise<Gauged[]> {
  const result: Gauged[] = []
  for (const { id, slug, mirrored } of await knownOrganizations(db, scope)) {
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
  readonly scope?: Scope
  /** Days of history; 0 reads none. */
  readonly backfillDays?: number
}

/** The coverage of every organization in the mirror, by slug. @throws the driver's error when the database is unavailable. */
export async function coverage(
  db: Db,
  now: Date = new Date(),
  { scope, backfillDays }: Wanted = {},
): Promise<OrganizationCoverage[]> {
  const result: OrganizationCoverage[] = []
  for (const one of await knownOrganizations(db, scope)) result.push(await coverageOf(db, one, backfillDays === 0, now))
  return result
}

type Known = Pick<OrganizationCoverage, 'id' | 'slug' | 'mirrored'>

async function knownOrganizations(db: Db, scope?: Scope): Promise<Known[]> {
  const rows = await db
    .select({ id: organizations.id, slug: organizations.slug, deleted_at: organizations.deleted_at })
    .from(organizations)
    .orderBy(asc(organizations.slug))
  const isWanted = (slug: string | null) => slug === null || !scope || scope.organization(slug)
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
    strip: stripOf(mark, known, { as_of: claim.as_of, ranges }, now),
    lists,
    receives_webhooks: reported !== undefined,
    last_day: day,
  }
}

/** The windows of the organization's list and of the pipelines' own lists. */
function windowsOf(db: Db, organizationId: string): Promise<Window[]> {
  return db.select().from(windows).where(eq(windows.organization_id, organizationId))
}

function listedPipelines(db: Db, organizationId: string): Promise<ListedPipeline[]> {
  const { pipeline_id: id, listed_since, organization_id, unlisted_at } = pipeline_coverage
  return db
    .select({ id, listed_since })
    .from(pipeline_coverage)
    .where(and(eq(organization_id, organizationId), isNull(unlisted_at)))
}

type ListedPipeline = Pick<typeof pipeline_coverage.$inferSelect, 'listed_since'> & { id: string }

/** Share of the wanted history that was read for the listed pipelines; less than 1 for pipelines that appeared later (pure). */
function shareRead(wanted: Span, all: readonly Window[], listed: readonly ListedPipeline[]): number {
  const whole = all.filter(({ pipeline_id }) => pipeline_id === null)
  const own = new Map<string, Window[]>()
  for (const window of all) {
    if (window.pipeline_id) own.set(window.pipeline_id, [...(own.get(window.pipeline_id) ?? []), window])
  }
  // Most pipelines appeared together and have no own windows.
  const known = new Map<number, number>()
  let total = 0
  for (const { id, listed_since } of listed) {
    const windows = own.get(id)
    const missingOf = (more: readonly Window[]) =>
      lengthOf(unread(upTo(listed_since, wanted), listed_since, [...whole, ...more]))
    const missing = windows ? missingOf(windows) : (known.get(listed_since.getTime()) ?? missingOf([]))
    if (!windows) known.set(listed_since.getTime(), missing)
    const until = Math.max(wanted.to.getTime(), listed_since.getTime())
    total += missing === 0 ? 1 : 1 - missing / (until - wanted.from.getTime())
  }
  return listed.length > 0 ? total / listed.length : 1
}

function backfillCoverage(
  mark: Watermark | undefined,
  all: readonly Window[],
  listed: readonly ListedPipeline[],
  rest: Pick<BackfillCoverage, 'paused_at' | 'off'>,
  now: Date,
): BackfillCoverage {
  const from = mark?.backfill_from ?? null
  const to = mark?.backfill_to ?? null
  // The audit adds windows for what came after the backfill.
  const rows = all.filter(({ created_from, pipeline_id }) => pipeline_id === null && (!to || created_from < to))
  const read = rows.flatMap((row) => {
    const reached = row.status === 'done' ? row.created_from : row.scanned_to
    return reached ? [{ from: reached, to: row.created_to }] : []
  })
  const totals = {
    builds: rows.reduce((sum, row) => sum + row.builds, 0),
    requests: rows.reduce((sum, row) => sum + row.requests, 0),
    ...rest,
  }
  if (!from || !to) {
    return { from, to, progress: 0, ...totals, done: false, seconds_left: null }
  }
  const bounds = { from, to }
  const within = read.map((span) => clip(span, bounds)).filter((span) => span.from < span.to)
  const whole = to.getTime() - from.getTime()
  const first = whole > 0 ? lengthOf(within) / whole : 1
  const progress = first < 1 ? first : shareRead(bounds, all, listed)
  const done = progress >= 1
  const left = rest.paused_at ? null : timeLeft(rows, bounds, now)
  const seconds_left = left === null ? null : Math.ceil(left / SECOND)
  return { from, to, progress, ...totals, done, seconds_left }
}

/** The last cycle that succeeded, and the failure after it, if there is one. */
async function lastCycle(db: Db, organizationId: string) {
  const of = and(eq(cycles.organization_id, organizationId), inArray(cycles.kind, ['hot', 'warm']))
  const newest = (which: ReturnType<typeof sql>, since?: Date) =>
    db
      .select()
      .from(cycles)
      .where(and(of, which, since && gt(cycles.started_at, since)))
      .orderBy(desc(cycles.started_at))
      .limit(1)
  const [last] = await newest(sql`${cycles.error} is null`)
  // Only later cycles: searching weeks of successful cycles for a failure is slow.
  const [failed] = await newest(sql`${cycles.error} is not null`, last?.started_at)
  const error = failed ? { at: failed.started_at, message: failed.error ?? '' } : null
  return { last: last ?? null, error }
}

function recentCycles(db: Db, organizationId: string) {
  return db
    .select()
    .from(cycles)
    .where(and(eq(cycles.organization_id, organizationId), inArray(cycles.kind, ['hot', 'warm', 'audit'])))
    .orderBy(desc(cycles.started_at))
    .limit(RECENT_CYCLES)
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

async function lastDay(db: Db, organizationId: string, now: Date): Promise<LastDay> {
  const total = (column: keyof typeof cycles.$inferSelect) => sql<number>`coalesce(sum(${cycles[column]}), 0)::float8`
  const lost = sql`${cycles.builds_missing} + ${cycles.builds_healed} + ${cycles.jobs_missing} + ${cycles.jobs_healed}`
  const [row] = await db
    .select({
      cycles: sql<number>`count(*)::int`,
      failed: sql<number>`count(${cycles.error})::int`,
      builds_missing: total('builds_missing'),
      builds_healed: total('builds_healed'),
      builds_in_flight: total('builds_in_flight'),
      builds_completed: total('builds_completed'),
      builds_confirmed: total('builds_confirmed'),
      jobs_missing: total('jobs_missing'),
      jobs_healed: total('jobs_healed'),
      jobs_in_flight: total('jobs_in_flight'),
      jobs_completed: total('jobs_completed'),
      jobs_confirmed: total('jobs_confirmed'),
      last_lost_at: sql<Date | null>`max(${cycles.started_at}) filter (where ${lost} > 0)`.mapWith(cycles.started_at),
    })
    .from(cycles)
    .where(
      and(
        eq(cycles.organization_id, organizationId),
        sql`${cycles.kind} in ('hot', 'warm')`,
        gt(cycles.started_at, new Date(now.getTime() - DAY)),
      ),
    )
  if (!row) throw new RangeError('An aggregate without group by always returns a row.')
  return row
}
