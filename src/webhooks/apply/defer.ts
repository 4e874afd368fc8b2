import { and, eq } from 'drizzle-orm'
import { type Db, withStoreError } from '../../database/connection.ts'
import { backOff, recordFailure, type Unit } from '../../database/failures.ts'
import { deliveries } from '../../database/schema.ts'
import { messageOf } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Clock } from '../../runtime/time.ts'

/** Name of a deferred delivery in `sync.failures`. */
export function deferredUnit({ id, event }: { id: number; event: string }): Unit {
  return { kind: 'delivery', organizationId: null, subject: `delivery ${id} (${event})` }
}

/**
 * Defers a pending delivery that could not be applied although Postgres is available. It is retried alone, after a back-off that grows
 * with each try. The deliveries behind it continue. @throws StoreError
 */
export async function deferDelivery(
  { db, log, clock = Date.now }: { db: Db; log: Log; clock?: Clock },
  id: number,
  error: unknown,
): Promise<void> {
  const now = new Date(clock())
  const isPending = and(eq(deliveries.id, id), eq(deliveries.status, 'pending'))
  const deferred = await withStoreError('defer a delivery', () =>
    db.transaction(async (tx) => {
      const [row] = await tx
        .select({ id: deliveries.id, event: deliveries.event, attempts: deliveries.attempts })
        .from(deliveries)
        .where(isPending)
        .for('update')
      if (!row) return undefined
      const tries = await recordFailure(tx, deferredUnit(row), error, now)
      const next_try_at = new Date(now.getTime() + backOff(tries))
      const changes = { next_try_at, attempts: row.attempts + 1, error: messageOf(error).slice(0, 1_000) }
      await tx.update(deliveries).set(changes).where(isPending)
      return { event: row.event, tries, next_try_at }
    }),
  )
  if (deferred) log.warn({ delivery: id, ...deferred, err: error }, 'Delivery deferred: it could not be applied now.')
}
