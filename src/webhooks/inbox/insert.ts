import { type SQL, sql } from 'drizzle-orm'
import { asStoreError, type Db } from '../../database/connection.ts'
import { deliveries } from '../../database/schema.ts'
import { type ErasedPeople, newestErased, readErasedPeople } from '../../mirror/erased-people.ts'

/**
 * One authenticated webhook request: `payload` is JSON text without secrets; repeated requests have the same `key`. A delivery without
 * a payload has an `error`, with which it will fail.
 */
export type NewDelivery = Pick<
  typeof deliveries.$inferSelect,
  'key' | 'event' | 'request_id' | 'received_at' | 'observed_at' | 'payload' | 'error'
>

/** The erased people as this process last read them. */
const knownErased = new WeakMap<Db, ErasedPeople>()

/**
 * Inserts the deliveries whose key is new, without erased people, in one statement. Returns their ids by key. The statement inserts
 * nothing if somebody was erased since this process read the list: it then reads the list and tries again.
 * Throws the driver's error.
 */
export async function insertDeliveries(
  db: Db,
  fresh: readonly NewDelivery[],
  enqueuedAt: Date | null,
): Promise<Map<string, number>> {
  const unique = [...new Map(fresh.map((delivery) => [delivery.key, delivery])).values()]
  for (;;) {
    const people = knownErased.get(db)
    const rows = selectRows(people ? unique.map((one) => withoutErased(one, people)) : unique, enqueuedAt)
    const expected = people?.newest ?? null
    const inserted = await insertIf(db, rows, sql`${newestErased} is not distinct from ${expected}::bigint`)
    if (inserted) return inserted
    const newer = await readErasedPeople(db)
    if (newer) knownErased.set(db, newer)
    else knownErased.delete(db)
  }
}

/** Inserts rows if a condition holds. Undefined if it does not. */
async function insertIf(db: Db, rows: SQL, condition: SQL): Promise<Map<string, number> | undefined> {
  try {
    const { rows: found } = await db.execute<{ holds: boolean; id: string | null; key: string | null }>(sql`
      with state as (select ${condition} as holds), inserted as (${insertInto} ${rows}, state where holds ${returning})
      select state.holds, inserted.id, inserted.key from state left join inserted on true`)
    return found[0]?.holds ? idsOf(found) : undefined
  } catch (error) {
    // A receiver of this version accepts webhooks before the migration that creates the table. Nobody is erased then.
    if (asStoreError(error, 'insert').code !== UNDEFINED_TABLE) throw error
    return idsOf((await db.execute<{ id: string; key: string }>(sql`${insertInto} ${rows} ${returning}`)).rows)
  }
}

const UNDEFINED_TABLE = '42P01'
const insertInto = sql`insert into ${deliveries} (key, event, request_id, received_at, observed_at, payload, error, enqueued_at)`
const returning = sql`on conflict (key) do nothing returning id, key`

function selectRows(rows: readonly NewDelivery[], enqueuedAt: Date | null): SQL {
  // Raw SQL: Drizzle's insert names every column for every row, and building that takes longer than Postgres takes to run it.
  const values = rows.map(
    ({ key, event, request_id, received_at, observed_at, payload, error }) =>
      sql`(${key}, ${event}, ${request_id}, ${received_at}::timestamptz, ${observed_at}::timestamptz, ${payload}, ${error})`,
  )
  return sql`select fresh.*, ${enqueuedAt}::timestamptz from (values ${sql.join(values, sql`, `)}) as fresh`
}

function idsOf(rows: readonly { id: string | null; key: string | null }[]): Map<string, number> {
  return new Map(rows.flatMap(({ id, key }) => (id !== null && key !== null ? [[key, Number(id)]] : [])))
}

/** A delivery whose payload names an erased person, with a pseudonym. */
function withoutErased(delivery: NewDelivery, people: ErasedPeople): NewDelivery {
  if (delivery.payload === null) return delivery
  const payload: unknown = JSON.parse(delivery.payload)
  const erased = people.erase(payload)
  return erased === payload ? delivery : { ...delivery, payload: JSON.stringify(erased) }
}
