import { sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { deliveries } from '../../database/schema.ts'

/** One authenticated webhook request: `payload` is JSON text without secrets; repeated requests have the same `key`. */
export type NewDelivery = Pick<
  typeof deliveries.$inferSelect,
  'key' | 'event' | 'request_id' | 'received_at' | 'observed_at'
> & { payload: string }

/** Inserts the deliveries whose key is new, in one statement. Returns their ids by key. Throws the driver's error. */
export async function insertDeliveries(
  db: Db,
  fresh: readonly NewDelivery[],
  enqueuedAt: Date | null,
): Promise<Map<string, number>> {
  const unique = new Map(fresh.map((delivery) => [delivery.key, delivery]))
  // Raw SQL: Drizzle's insert names every column for every row, and building that takes longer than Postgres takes to run it.
  const values = [...unique.values()].map(
    ({ key, event, request_id, received_at, observed_at, payload }) =>
      sql`(${key}, ${event}, ${request_id}, ${received_at}, ${observed_at}, ${payload}, ${enqueuedAt})`,
  )
  const { rows } = await db.execute<{ id: string; key: string }>(sql`
    insert into ${deliveries} (key, event, request_id, received_at, observed_at, payload, enqueued_at)
    values ${sql.join(values, sql`, `)}
    on conflict (key) do nothing
    returning id, key`)
  return new Map(rows.map(({ id, key }) => [key, Number(id)]))
}
