import { sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../database/connection.ts'
import { builds, deliveries } from '../../database/schema.ts'
import type { WebhookProgress } from '../../mirror/read-result.ts'
import { DAY, MINUTE } from '../../runtime/time.ts'
import type { ReconcileDeps, Source } from '../context.ts'

/** An organization counts as having no webhooks if none of its newest builds was first reported by a webhook. */
const NEWEST_BUILDS = 5_000
const EVIDENCE_AGE = 30 * DAY
/** How many pending deliveries are read; everything sent after them counts as pending too. */
const PENDING = 20_000

/**
 * Returns a function that reads which webhooks of an organization may still explain a difference. It returns undefined for an
 * organization without webhooks. @throws the driver's error.
 */
export function webhookProgress(deps: ReconcileDeps, source: Source): () => Promise<WebhookProgress | undefined> {
  let since: Promise<Date | undefined> | undefined
  return async () => {
    since ??= webhooksSince(deps.db, source.id, deps.clock())
    const known = await since
    if (!known) return undefined
    const [pending, diverted] = await Promise.all([pendingMinutes(deps.db), holdsDiverted(deps)])
    return { since: known, ...pending, diverted }
  }
}

/** When the first webhook was sent to us; undefined if the organization sent none recently. @throws the driver's error. */
export async function webhooksSince(db: Db, organizationId: string, now: number): Promise<Date | undefined> {
  const first = await db
    .select({ at: deliveries.observed_at })
    .from(deliveries)
    .orderBy(deliveries.received_at)
    .limit(1)
  if (!first[0]) return undefined
  const { rows } = await db.execute<{ reported: boolean }>(sql`
    select exists (
      select from (
        select first_seen_via from ${builds}
        where organization_id = ${organizationId} and created_at > ${new Date(now - EVIDENCE_AGE).toISOString()}::timestamptz
        order by created_at desc limit ${NEWEST_BUILDS}
      ) as newest where first_seen_via = 'webhook'
    ) as reported`)
  return rows[0]?.reported ? first[0].at : undefined
}

const minuteRows = z.array(z.object({ minute: z.coerce.number(), deliveries: z.coerce.number() }))

async function pendingMinutes(db: Db): Promise<Pick<WebhookProgress, 'pendingMinutes' | 'pendingFrom'>> {
  // The status is a literal, so that the planner uses the partial index.
  const { rows } = await db.execute(sql`
    select floor(extract(epoch from observed_at) / 60) as minute, count(*) as deliveries
    from (select observed_at from ${deliveries} where status = 'pending' order by id limit ${PENDING}) as pending
    group by 1 order by 1`)
  const minutes = minuteRows.parse(rows)
  const total = minutes.reduce((sum, row) => sum + row.deliveries, 0)
  const last = minutes.at(-1)
  return {
    pendingMinutes: new Set(minutes.map(({ minute }) => minute)),
    pendingFrom: total >= PENDING && last ? new Date(last.minute * MINUTE) : undefined,
  }
}

/** If the queue does not answer, it may hold some. */
async function holdsDiverted({ holdsDiverted }: ReconcileDeps): Promise<boolean> {
  if (!holdsDiverted) return false
  return holdsDiverted().catch(() => true)
}
