import { and, desc, eq, gte, isNotNull, sql } from 'drizzle-orm'
import { z } from 'zod'
import type { Db } from '../../database/connection.ts'
import { type DeliveryStatus, deliveries } from '../../database/schema.ts'
import { HOUR, MINUTE } from '../../runtime/time.ts'

/** How webhooks arrive and how soon they are applied. */
export interface Flow {
  /** Deliveries received in each of the last 60 minutes, oldest first; the last one is the current minute. */
  readonly minutes: readonly number[]
  /** The current status of these deliveries. */
  readonly outcomes: Readonly<Partial<Record<DeliveryStatus, number>>>
  /** Seconds from receipt to being applied, over the latest 1,000 deliveries of the last hour that were applied at the first try; null when there was none. */
  readonly lag_seconds: { readonly median: number; readonly p95: number } | null
}

const SAMPLE = 1_000
const lags = z.array(z.object({ median: z.number().nullable(), p95: z.number().nullable() }))

/**
 * Reads the last hour of the inbox by its index on the time of receipt. The page asks often, on the pool that also stores webhooks.
 * So this uses one connection, and a short statement timeout. @throws the driver's error.
 */
export async function webhookFlow(db: Db, now: number): Promise<Flow> {
  const thisMinute = Math.floor(now / MINUTE)
  const since = new Date((thisMinute - 59) * MINUTE)
  const minute = sql<number>`floor(extract(epoch from ${deliveries.received_at}) / 60)::int`
  const latest = db
    .select({
      lag: sql<number>`extract(epoch from ${deliveries.applied_at} - ${deliveries.received_at})::float8`.as('lag'),
    })
    .from(deliveries)
    .where(
      and(
        gte(deliveries.received_at, new Date(now - HOUR)),
        eq(deliveries.status, 'applied'),
        // One that was tried again may have been replayed days later.
        eq(deliveries.attempts, 1),
        isNotNull(deliveries.applied_at),
      ),
    )
    .orderBy(desc(deliveries.received_at))
    .limit(SAMPLE)
    .as('latest')
  const share = (part: number) => sql<number>`percentile_cont(${part}::float8) within group (order by ${latest.lag})`
  const [received, found] = await db.transaction(
    async (tx) => {
      await tx.execute(sql`set local statement_timeout = '1s'`)
      const perMinute = await tx
        .select({ minute, status: deliveries.status, n: sql<number>`count(*)::int` })
        .from(deliveries)
        .where(gte(deliveries.received_at, since))
        .groupBy(sql`1`, deliveries.status)
      return [perMinute, await tx.select({ median: share(0.5), p95: share(0.95) }).from(latest)]
    },
    { accessMode: 'read only' },
  )
  const byMinute = new Map<number, number>()
  const outcomes: Partial<Record<DeliveryStatus, number>> = {}
  for (const { minute: at, status, n } of received) {
    byMinute.set(at, (byMinute.get(at) ?? 0) + n)
    outcomes[status] = (outcomes[status] ?? 0) + n
  }
  const [lag] = lags.parse(found)
  return {
    outcomes,
    minutes: Array.from({ length: 60 }, (_, index) => byMinute.get(thisMinute - 59 + index) ?? 0),
    lag_seconds:
      lag && lag.median !== null && lag.p95 !== null
        ? { median: Math.max(0, lag.median), p95: Math.max(0, lag.p95) }
        : null,
  }
}

/** Deliveries a minute, over the last five complete minutes. */
export function ratePerMinute({ minutes }: Flow): number {
  const lately = minutes.slice(-6, -1)
  return lately.reduce((sum, n) => sum + n, 0) / Math.max(1, lately.length)
}
