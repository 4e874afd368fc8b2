import { and, asc, eq, isNull, max } from 'drizzle-orm'
import type { OrganizationCoverage } from '../../coverage/coverage.ts'
import { asStoreError, type Database, type Db } from '../../database/connection.ts'
import { pendingMigrations } from '../../database/migrations/migrate.ts'
import { deliveries, organizations, watermarks } from '../../database/schema.ts'
import type { Queues, QueueWarning, RunningWorker } from '../../queue/queues.ts'
import type { Issue } from '../../reconcile/issue.ts'
import type { Config, Role } from '../../runtime/config.ts'
import { ConfigError } from '../../runtime/errors.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { type Clock, DeadlineError, SECOND, withDeadline } from '../../runtime/time.ts'
import type { DayPart } from './webhook-day.ts'

/** What health, status and metrics read. They never change it. */
export interface Watched {
  readonly config: Pick<
    Config,
    'roles' | 'webhookSecrets' | 'webhookAuth' | 'apiTokens' | 'apiBudgetShare' | 'reconcileIntervalMs'
  >
  /** Which organizations to mirror. */
  readonly filter: MirrorFilter
  readonly database: Database
  readonly databaseKind: 'external' | 'embedded'
  readonly queues: Queues
  readonly workers: readonly RunningWorker[]
  /** The current problems of the reconciler, such as a refused token. */
  problems(): readonly Issue[]
  /** How far each organization is covered. */
  coverage(): Promise<readonly OrganizationCoverage[]>
  /** The webhooks of the last 24 hours, a quarter of an hour each. */
  webhookDay(): Promise<readonly DayPart[]>
  /** Whether the process is closing. */
  closing(): boolean
  readonly clock: Clock
}

/** The answer to one question, or why there is none. */
export type Probe<T> = { ok: true; value: T } | { ok: false; why: string }

/** What {@link readiness} of health.ts decides on. */
export interface Probes {
  readonly roles: ReadonlySet<Role>
  readonly closing: boolean
  /** The number of migrations that the database still needs. */
  readonly database: Probe<number>
  /** Warnings about the queue's store. */
  readonly queue: Probe<readonly QueueWarning[]>
  /** The age of the oldest delivery not yet applied; undefined when none waits or the database does not answer. */
  readonly oldestPendingMs: number | undefined
  /** How long the slowest worker of this process has made no progress; undefined when it runs no worker. */
  readonly idleMs: number | undefined
  readonly problems: readonly Issue[]
}

const TIMEOUT = SECOND

/** Asks the stores. It takes little more than a second, even when they do not answer. */
export async function runProbes(watched: Watched): Promise<Probes> {
  const { database, queues, clock } = watched
  const [migrations, queue, oldest] = await Promise.all([
    ask('The database', () => pendingMigrations(database.db)),
    ask('The queue', () => queues.check()),
    ask('The inbox', () => oldestPending(database.db)),
  ])
  const progress = watched.workers.map((worker) => worker.lastProgressAt)
  return {
    roles: watched.config.roles,
    closing: watched.closing(),
    database: migrations,
    queue,
    oldestPendingMs: oldest.ok && oldest.value ? Math.max(0, clock() - oldest.value.getTime()) : undefined,
    idleMs: progress.length > 0 ? clock() - Math.min(...progress) : undefined,
    problems: watched.problems(),
  }
}

/** Asks with a timeout (default 1 s); never rejects. `subject` begins the error's sentence, for example "The queue". */
export async function ask<T>(subject: string, question: () => Promise<T>, timeoutMs = TIMEOUT): Promise<Probe<T>> {
  try {
    return { ok: true, value: await withDeadline(question(), timeoutMs, subject) }
  } catch (error) {
    // Other errors may be Drizzle's, and their messages hold SQL and parameters.
    if (error instanceof DeadlineError) return { ok: false, why: `${error.message}.` }
    const plain = error instanceof ConfigError
    return { ok: false, why: plain ? error.message : asStoreError(error, `ask ${subject.toLowerCase()}`).message }
  }
}

/** When the oldest pending delivery was received. Ignores deferred ones: they wait for their next try and delay no other. */
export async function oldestPending(db: Db): Promise<Date | undefined> {
  const rows = await db
    .select({ received_at: deliveries.received_at })
    .from(deliveries)
    .where(and(eq(deliveries.status, 'pending'), isNull(deliveries.next_try_at)))
    .orderBy(asc(deliveries.id))
    .limit(1)
  return rows[0]?.received_at
}

/** When the last delivery was received; undefined before the first. Uses an index. */
export async function lastReceived(db: Db): Promise<Date | undefined> {
  const [last] = await db.select({ at: max(deliveries.received_at) }).from(deliveries)
  return last?.at ?? undefined
}

/** The counts and times of the inbox that the page and the metrics show. */
export interface InboxFigures {
  pending: number
  failed: number
  oldest_pending_seconds: number
  last_received_at: Date | null
}

/** Counts the inbox at the time `now` (ms). It reads only indexes, so its cost does not grow with the deliveries of the day. */
export async function inboxFigures(db: Db, now: number): Promise<InboxFigures> {
  const [waiting, oldest, last] = await Promise.all([pendingAndFailed(db), oldestPending(db), lastReceived(db)])
  return {
    ...waiting,
    oldest_pending_seconds: oldest ? Math.max(0, now - oldest.getTime()) / SECOND : 0,
    last_received_at: last ?? null,
  }
}

/** How many deliveries wait, and how many could not be applied. Both counts use partial indexes. */
export async function pendingAndFailed(db: Db): Promise<{ pending: number; failed: number }> {
  const [pending, failed] = await Promise.all([
    db.$count(deliveries, eq(deliveries.status, 'pending')),
    db.$count(deliveries, eq(deliveries.status, 'failed')),
  ])
  return { pending, failed }
}

/** The watermark of each organization that has one and is still mirrored, by slug. */
export async function watermarksBySlug(db: Db, filter: MirrorFilter): Promise<{ slug: string; watermark: Date }[]> {
  const rows = await db
    .select({ slug: organizations.slug, watermark: watermarks.watermark })
    .from(watermarks)
    .innerJoin(organizations, and(eq(organizations.id, watermarks.organization_id), isNull(organizations.deleted_at)))
  return rows.flatMap(({ slug, watermark }) =>
    slug && watermark && filter.organization(slug) ? [{ slug, watermark }] : [],
  )
}
