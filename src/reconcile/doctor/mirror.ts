import { and, asc, eq, gt, isNull, lt, max, sql } from 'drizzle-orm'
import { asStoreError, type Db } from '../../database/connection.ts'
import { pendingMigrations } from '../../database/migrate.ts'
import { builds, deliveries, organizations, pipelines, watermarks } from '../../database/schema.ts'
import type { Scope } from '../../scope.ts'
import { DAY, formatDuration, MINUTE } from '../../time.ts'
import { type Finding, failure, warning, well } from './finding.ts'

/** How the mirror itself does, as its database tells. Times are milliseconds since the epoch. */
export interface MirrorFacts {
  readonly oldestPendingAt: number | undefined
  readonly failedDeliveries: number
  readonly lastDeliveryAt: number | undefined
  readonly organizations: readonly OrganizationState[]
}

export interface OrganizationState {
  readonly slug: string
  /** Everything before is verified; undefined before the first cycle. */
  readonly watermark: number | undefined
  /** Pipelines of which webhooks tell, and which REST does not list. */
  readonly hiddenPipelines: readonly string[]
  /** Since when there should have been a webhook, and how many builds were created since, save in the last minutes. */
  readonly quiet: { readonly since: number; readonly builds: number }
}

/** As long as webhooks are late now and then. */
const LATE = 10 * MINUTE
const SILENT = 30 * MINUTE
const PENDING = 5 * MINUTE
const UNVERIFIED = 15 * MINUTE

/** What a mirror is to be judged by. */
export interface Expected {
  readonly webhooks: boolean
  /** From one cycle to the next; undefined where none are made. */
  readonly cyclesEveryMs: number | undefined
}

/** What is found of the mirror (pure). */
export function judgeMirror(facts: MirrorFacts, now: number, { webhooks, cyclesEveryMs }: Expected): Finding[] {
  return [
    judgePending(facts, now),
    judgeFailed(facts),
    ...facts.organizations.flatMap((one) => [
      ...(cyclesEveryMs === undefined ? [] : judgeWatermark(one, now, cyclesEveryMs)),
      ...(webhooks ? [judgeSilence(one, facts.lastDeliveryAt, now)] : []),
      ...judgeHidden(one),
    ]),
  ]
}

function judgePending({ oldestPendingAt }: MirrorFacts, now: number): Finding {
  const waited = oldestPendingAt === undefined ? 0 : now - oldestPendingAt
  if (waited <= PENDING) return well('delivery_lag', '', 'No webhook waits to be applied for long.')
  const detail = `A webhook that was received has been waiting for ${formatDuration(waited)} to be applied.`
  return failure('delivery_lag', '', detail, 'See that a process with the role worker runs, and what its log says.')
}

function judgeFailed({ failedDeliveries: failed }: MirrorFacts): Finding {
  if (failed === 0) return well('deliveries_failed', '', 'Every webhook could be applied.')
  const detail = `${failed} ${failed === 1 ? 'webhook' : 'webhooks'} could not be applied; sync.deliveries says why.`
  return warning('deliveries_failed', '', detail, 'After the remedy: buildkite-mirror replay --failed.')
}

function judgeWatermark({ slug, watermark }: OrganizationState, now: number, everyMs: number): Finding[] {
  if (watermark === undefined) return []
  const age = Math.max(0, now - watermark)
  const detail = `It is verified up to ${formatDuration(age)} ago.`
  if (age <= Math.max(UNVERIFIED, 3 * everyMs)) return [well('watermark_lag', slug, detail)]
  const remedy =
    'See that a process with the role reconciler runs, and what buildkite-mirror status says of its last cycle.'
  return [warning('watermark_lag', slug, detail, remedy)]
}

function judgeSilence({ slug, quiet }: OrganizationState, last: number | undefined, now: number): Finding {
  const lasted = now - quiet.since
  if (quiet.builds === 0 || lasted < SILENT) {
    const detail =
      last === undefined ? 'No webhook has come yet.' : `The last webhook came ${formatDuration(now - last)} ago.`
    return well('webhook_silence', slug, detail)
  }
  const detail = `No webhook has come for ${formatDuration(lasted)}, though ${quiet.builds} builds were created meanwhile.`
  const remedy =
    "See the webhook's recent requests in Buildkite (Settings > Notification Services), and that its URL reaches the public listener."
  return warning('webhook_silence', slug, detail, remedy)
}

function judgeHidden({ slug, hiddenPipelines }: OrganizationState): Finding[] {
  if (hiddenPipelines.length === 0) return []
  const detail = `Webhooks tell of ${hiddenPipelines.join(', ')}, which the token does not see.`
  const remedy = "Give the token's user access to them, or name them in PIPELINES_EXCLUDE."
  return [warning('pipelines_hidden', slug, detail, remedy)]
}

/** What is found of the schema: `migrations` that are missing, in a database that has been `used` before (pure). */
export function judgeMigrations(missing: number, used: boolean): Finding {
  if (missing === 0) return well('migrations_pending', '', 'The schema is up to date.')
  if (!used) return well('migrations_pending', '', 'The database is empty; the service makes its schema at its start.')
  const detail = `The schema lacks ${missing} ${missing === 1 ? 'migration' : 'migrations'} of this program.`
  return warning(
    'migrations_pending',
    '',
    detail,
    'Run buildkite-mirror migrate; the service does the same at its start.',
  )
}

/** How many migrations are missing, and whether any was applied. @throws StoreError */
export async function readMigrations(db: Db): Promise<{ missing: number; used: boolean }> {
  const missing = await pendingMigrations(db)
  try {
    const { rows } = await db.execute<{ used: boolean }>(sql`select to_regclass('sync.deliveries') is not null as used`)
    return { missing, used: rows[0]?.used === true }
  } catch (error) {
    throw asStoreError(error, 'look at the schema')
  }
}

/** Reads what is to be judged of the organizations in scope, on a schema that is up to date. @throws the driver's error. */
export async function readMirror(db: Db, scope: Scope, now: number): Promise<MirrorFacts> {
  const [pending] = await db
    .select({ at: deliveries.received_at })
    .from(deliveries)
    .where(eq(deliveries.status, 'pending'))
    .orderBy(asc(deliveries.id))
    .limit(1)
  const [last] = await db.select({ at: max(deliveries.received_at) }).from(deliveries)
  const lastDeliveryAt = last?.at?.getTime()
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
    if (slug !== null && !scope.organization(slug)) continue
    const from = Math.max(lastDeliveryAt ?? 0, since.getTime(), now - DAY)
    states.push({
      slug: slug ?? id,
      watermark: watermark?.getTime(),
      hiddenPipelines: await hiddenPipelines(db, id),
      quiet: { since: from, builds: await buildsBetween(db, id, from, now - LATE) },
    })
  }
  return {
    oldestPendingAt: pending?.at.getTime(),
    failedDeliveries: await db.$count(deliveries, eq(deliveries.status, 'failed')),
    lastDeliveryAt,
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

function buildsBetween(db: Db, organizationId: string, from: number, to: number): Promise<number> {
  if (from >= to) return Promise.resolve(0)
  const { organization_id, created_at } = builds
  return db.$count(
    builds,
    and(eq(organization_id, organizationId), gt(created_at, new Date(from)), lt(created_at, new Date(to))),
  )
}
