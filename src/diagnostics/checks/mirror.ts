import { and, asc, desc, eq, gt, inArray, isNull, lt, or, sql } from 'drizzle-orm'
import { type FailingWork, failingWork, kindNames, lostReplicas } from '../../coverage/failing-work.ts'
import { type Db, withStoreError } from '../../database/connection.ts'
import { failuresOf } from '../../database/failures.ts'
import { pendingMigrations } from '../../database/migrations/migrate.ts'
import { builds, deliveries, jobs, organizations, pipelines, watermarks } from '../../database/schema.ts'
import { claimedHistory, claimLateAfter } from '../../reconcile/progress/claim.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { DAY, formatDuration, HOUR, MINUTE } from '../../runtime/time.ts'
import { type CheckResult, failure, ok, warning } from '../finding.ts'

/** The state of the mirror, from its database. Times are milliseconds since the epoch. */
export interface MirrorState {
  readonly oldestPendingAt: number | undefined
  readonly failedDeliveries: number
  readonly failing: FailingWork
  /** The processes that lost a lease within the last hour. */
  readonly lostReplicas: readonly string[]
  readonly organizations: readonly OrganizationState[]
}

export interface OrganizationState {
  readonly slug: string
  /** Cycles have read everything before this time; undefined before the first cycle. */
  readonly watermark: number | undefined
  /** Builds are complete up to this time; undefined while nothing is claimed. */
  readonly claimedAt: number | undefined
  readonly pipelines: number
  /** When it was first seen. */
  readonly since: number
  /** Why the list of pipelines could not be read. */
  readonly pipelinesError: string | undefined
  /** Pipelines that webhooks mention but REST does not list. */
  readonly hiddenPipelines: readonly string[]
  /** The creation times of its newest builds, newest first. Ends before the first build that a webhook reported, or after `NEWEST`. */
  readonly unreported: readonly number[]
}

/** A webhook may come this late without being lost. */
const LATE = 10 * MINUTE
const SILENT = 30 * MINUTE
/** Fewer builds prove nothing: a cycle may have read one a second before its webhook came. */
const FEWEST_UNREPORTED = 2
/** How many builds to check, now and from half an hour ago; enough on the busiest day. */
const NEWEST = 30
const PENDING = 5 * MINUTE
const UNVERIFIED = 15 * MINUTE

/** Which parts of the mirror are configured. */
export interface Expected {
  readonly webhooks: boolean
  /** The interval of cycles; undefined where there are none. */
  readonly cyclesEveryMs: number | undefined
}

/** Checks the mirror (pure). */
export function checkMirror(mirror: MirrorState, now: number, { webhooks, cyclesEveryMs }: Expected): CheckResult[] {
  return [
    checkPending(mirror, now),
    checkFailed(mirror),
    checkFailing(mirror.failing),
    checkLeases(mirror),
    ...mirror.organizations.flatMap((one) => [
      ...(cyclesEveryMs === undefined
        ? []
        : [...checkWatermark(one, now, cyclesEveryMs), ...checkClaim(one, now, cyclesEveryMs)]),
      ...(webhooks && !isBehind(mirror, now) ? [checkSilence(one, now)] : []),
      ...checkHidden(one),
    ]),
  ]
}

/** Whether received webhooks still wait. Then builds may look unreported although their webhooks have come. */
function isBehind({ oldestPendingAt }: MirrorState, now: number): boolean {
  return oldestPendingAt !== undefined && now - oldestPendingAt > PENDING
}

function checkPending(mirror: MirrorState, now: number): CheckResult {
  if (!isBehind(mirror, now)) return ok('delivery_lag', '', 'No received webhook waits for more than 5 minutes.')
  const waited = formatDuration(now - (mirror.oldestPendingAt ?? now))
  const detail = `A received webhook has been waiting for ${waited} to be applied.`
  return failure('delivery_lag', '', detail, 'Make sure a process with the role worker runs, and check its log.')
}

function checkFailed({ failedDeliveries: failed }: MirrorState): CheckResult {
  if (failed === 0) return ok('deliveries_failed', '', 'No webhook failed to be applied.')
  const detail = `${failed} ${failed === 1 ? 'webhook' : 'webhooks'} could not be applied; sync.deliveries says why.`
  return warning('deliveries_failed', '', detail, 'Fix the cause, then run buildkite-mirror replay --failed.')
}

/** How many units a message names. */
const NAMED = 5

function checkFailing({ lasting, shown }: FailingWork): CheckResult {
  if (lasting === 0) return ok('work_failing', '', 'No work keeps failing.')
  const named = shown.filter(({ is_lasting }) => is_lasting).slice(0, NAMED)
  const names = named.map(({ kind, organization, subject, tries, first_failed_at, error }) => {
    const of = organization === null ? '' : ` of ${organization}`
    const since = first_failed_at.toISOString().slice(0, 19)
    return `${kindNames[kind]} ${subject}${of} (${tries} ${tries === 1 ? 'try' : 'tries'} since ${since}Z: ${error})`
  })
  if (lasting > named.length) names.push(`and ${lasting - named.length} more`)
  const detail = `${lasting} ${lasting === 1 ? 'unit of work keeps' : 'units of work keep'} failing: ${names.join('; ')}.`
  const remedy =
    'Fix the cause named in the error. The service retries each unit with back-off; everything else continues. sync.failures lists all of them.'
  return warning('work_failing', '', detail, remedy)
}

function checkLeases({ lostReplicas: lost }: MirrorState): CheckResult {
  if (lost.length === 0) return ok('lease_lost', '', 'No process has lost a lease within the last hour.')
  const more = lost.length > NAMED ? ` and ${lost.length - NAMED} more` : ''
  const detail = `${lost.slice(0, NAMED).join(', ')}${more} stopped renewing a lease within the last hour. Another process took over the work.`
  const remedy = 'Check whether the process was suspended or killed, overloaded, or disconnected from Postgres.'
  return warning('lease_lost', '', detail, remedy)
}

/** Returns nothing if the claim is old only because the watermark is old: `watermark_lag` reports that. */
function checkClaim(one: OrganizationState, now: number, everyMs: number): CheckResult[] {
  const { slug, watermark, claimedAt, pipelinesError } = one
  if (one.pipelines === 0 || watermark === undefined || now - watermark > Math.max(UNVERIFIED, 3 * everyMs)) return []
  const age = Math.max(0, now - (claimedAt ?? one.since))
  const upTo = `up to ${formatDuration(age)} ago`
  if (age <= claimLateAfter(everyMs)) {
    return claimedAt === undefined ? [] : [ok('claim_lag', slug, `Builds are complete ${upTo}.`)]
  }
  const claimed = claimedAt === undefined ? 'No builds are complete yet' : `Builds are complete only ${upTo}`
  const why = pipelinesError ? `fails (${pipelinesError})` : 'has not been read since'
  const detail = `${claimed}, although cycles run: the list of pipelines ${why}.`
  const remedy =
    'Fix the cause of the error, and make sure a process with the role reconciler runs: it reads the list every 5 minutes.'
  return [warning('claim_lag', slug, detail, remedy)]
}

function checkWatermark({ slug, watermark }: OrganizationState, now: number, everyMs: number): CheckResult[] {
  if (watermark === undefined) return []
  const age = Math.max(0, now - watermark)
  const detail = `Cycles have read everything up to ${formatDuration(age)} ago.`
  if (age <= Math.max(UNVERIFIED, 3 * everyMs)) return [ok('watermark_lag', slug, detail)]
  const remedy =
    'Make sure a process with the role reconciler runs, and check its last cycle with buildkite-mirror status.'
  return [warning('watermark_lag', slug, detail, remedy)]
}

function checkSilence({ slug, unreported }: OrganizationState, now: number): CheckResult {
  const due = unreported.filter((createdAt) => createdAt < now - LATE)
  const lasted = now - (due.at(-1) ?? now)
  if (due.length < FEWEST_UNREPORTED || lasted < SILENT) {
    return ok(
      'webhook_silence',
      slug,
      'Webhooks reported its newest builds of the last day, or it had too few to tell.',
    )
  }
  const many = unreported.length < NEWEST ? String(due.length) : `${NEWEST} or more`
  const detail = `No webhook arrived for its last ${many} builds, the first of them created ${formatDuration(lasted)} ago.`
  const remedy =
    "Check the webhook's recent requests in Buildkite (Settings > Notification Services), and that its URL reaches the public listener."
  return warning('webhook_silence', slug, detail, remedy)
}

function checkHidden({ slug, hiddenPipelines }: OrganizationState): CheckResult[] {
  if (hiddenPipelines.length === 0) return []
  const detail = `Webhooks mention ${hiddenPipelines.join(', ')}, which the token does not see.`
  const remedy = "Give the token's user access to them, or name them in PIPELINES_EXCLUDE."
  return [warning('pipelines_hidden', slug, detail, remedy)]
}

/** Checks the schema: `missing` migrations, in a database that was `used` before (pure). */
export function checkMigrations(missing: number, used: boolean): CheckResult {
  if (missing === 0) return ok('migrations_pending', '', 'The schema is up to date.')
  if (!used)
    return ok('migrations_pending', '', 'The database is empty; the service creates its schema when it starts.')
  const detail = `The schema lacks ${missing} ${missing === 1 ? 'migration' : 'migrations'} of this program.`
  return warning(
    'migrations_pending',
    '',
    detail,
    'Run buildkite-mirror migrate; the service does the same when it starts.',
  )
}

/** How many migrations are missing, and whether any was applied. @throws StoreError */
export async function readMigrations(db: Db): Promise<{ missing: number; used: boolean }> {
  const missing = await pendingMigrations(db)
  const { rows } = await withStoreError('check the schema', () =>
    db.execute<{ used: boolean }>(sql`select to_regclass('sync.deliveries') is not null as used`),
  )
  return { missing, used: rows[0]?.used === true }
}

/** Reads the state of the organizations in scope; the schema must be up to date. @throws the driver's error. */
export async function readMirror(db: Db, filter: MirrorFilter, now: number): Promise<MirrorState> {
  const [pending] = await db
    .select({ at: deliveries.received_at })
    .from(deliveries)
    .where(eq(deliveries.status, 'pending'))
    .orderBy(asc(deliveries.id))
    .limit(1)
  const known = await db
    .select({
      id: organizations.id,
      slug: organizations.slug,
      since: organizations.first_seen_at,
      watermark: watermarks.watermark,
    })
    .from(organizations)
    .leftJoin(watermarks, eq(watermarks.organization_id, organizations.id))
    .where(isNull(organizations.deleted_at))
    .orderBy(asc(organizations.slug))
  const states: OrganizationState[] = []
  for (const { id, slug, since, watermark } of known) {
    if (slug !== null && !filter.organization(slug)) continue
    const claim = await claimedHistory(db, id)
    const [list] = await failuresOf(db, id, ['pipelines_list'])
    states.push({
      slug: slug ?? id,
      watermark: watermark?.getTime(),
      claimedAt: claim.as_of?.getTime(),
      pipelines: claim.pipelines,
      since: since.getTime(),
      pipelinesError: list?.error,
      hiddenPipelines: await hiddenPipelines(db, id),
      unreported: await unreportedBuilds(db, id, Math.max(since.getTime(), now - DAY), now),
    })
  }
  return {
    oldestPendingAt: pending?.at.getTime(),
    failedDeliveries: await db.$count(deliveries, eq(deliveries.status, 'failed')),
    failing: await failingWork(db, filter, new Date(now)),
    lostReplicas: await lostReplicas(db, new Date(now - HOUR)),
    organizations: states,
  }
}

async function hiddenPipelines(db: Db, organizationId: string): Promise<string[]> {
  const rows = await db
    .select({ slug: pipelines.slug })
    .from(pipelines)
    .where(and(eq(pipelines.organization_id, organizationId), eq(pipelines.deleted_reason, 'hidden')))
    .orderBy(asc(pipelines.slug))
    .limit(10)
  return rows.flatMap(({ slug }) => slug ?? [])
}

/** A webhook has reported a build if the build or one of its jobs was first seen, or last changed, by a webhook. */
async function unreportedBuilds(db: Db, organizationId: string, from: number, now: number): Promise<number[]> {
  const newest = await newestBuilds(db, organizationId, from, now)
  // On a busy day the newest builds are all minutes old, and do not show how long the silence has lasted.
  const before = Math.min(now - SILENT, newest.at(-1)?.created_at?.getTime() ?? 0)
  const earlier = newest.length < NEWEST ? [] : await newestBuilds(db, organizationId, from, before)
  const unreported = upTo([...newest, ...earlier], ({ via_webhook }) => via_webhook)
  if (unreported.length < FEWEST_UNREPORTED) return []
  const ofWebhook = or(eq(jobs.first_seen_via, 'webhook'), gt(jobs.observed_at, jobs.verified_at))
  const ids = unreported.map(({ id }) => id)
  const reportedJobs = await db
    .selectDistinct({ id: jobs.build_id })
    .from(jobs)
    .where(and(inArray(jobs.build_id, ids), ofWebhook))
  const byJob = new Set(reportedJobs.map(({ id }) => id))
  return upTo(unreported, ({ id }) => byJob.has(id)).flatMap(({ created_at }) => created_at?.getTime() ?? [])
}

/** The newest builds created in a range of time, and whether a webhook was the first or the last to report each. */
function newestBuilds(db: Db, organizationId: string, from: number, to: number) {
  return db
    .select({
      id: builds.id,
      created_at: builds.created_at,
      via_webhook: sql<boolean>`${builds.first_seen_via} = 'webhook' or coalesce(${builds.observed_at} > ${builds.verified_at}, true)`,
    })
    .from(builds)
    .where(
      and(
        eq(builds.organization_id, organizationId),
        gt(builds.created_at, new Date(from)),
        lt(builds.created_at, new Date(to)),
        // Buildkite sends no event for these.
        sql`${builds.state} is distinct from 'not_run'`,
      ),
    )
    .orderBy(desc(builds.created_at))
    .limit(NEWEST)
}

/** The values before the first for which `isEnd` is true. */
function upTo<T>(all: readonly T[], isEnd: (one: T) => boolean): readonly T[] {
  const end = all.findIndex(isEnd)
  return end < 0 ? all : all.slice(0, end)
}
