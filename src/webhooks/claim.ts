import { and, asc, eq, isNull, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../database/connection.ts'
import { backOff, dueAt } from '../database/failures.ts'
import { deliveries } from '../database/schema.ts'
import type { Pending } from './read.ts'

// Claims lock pending deliveries that nobody else has in hand, for one transaction.

/** How much payload is held in memory and applied in one transaction. */
const batchBytes = 4 * 1024 * 1024
/** A build's webhooks lie close together: the more of them one batch holds, the fewer times its rows are written. */
export const batchSize = 1_000

/** A delivery locked by us. */
export type Claimed = Pending & { received_at: Date; next_try_at: Date | null }

export interface Batch {
  claimed: readonly Claimed[]
  /** Whether others may be waiting still. */
  more: boolean
}

const columns = {
  id: deliveries.id,
  event: deliveries.event,
  received_at: deliveries.received_at,
  observed_at: deliveries.observed_at,
  next_try_at: deliveries.next_try_at,
}
// Written out: with a parameter in its place the partial index would not be used.
const isPending = sql`${deliveries.status} = 'pending'`

/** Claims the oldest `most` pending deliveries that are not deferred, or as many of them as fit into memory. */
export async function claimBatch(tx: Transaction, most: number): Promise<Batch> {
  const bytes = sql<number>`coalesce(octet_length(${deliveries.payload}), 0)`.as('bytes')
  const free = tx.$with('free').as(
    tx
      .select({ ...columns, bytes, payload: deliveries.payload })
      .from(deliveries)
      .where(and(isPending, isNull(deliveries.next_try_at)))
      .orderBy(asc(deliveries.id))
      .limit(most)
      .for('update', { skipLocked: true }),
  )
  const { id, event, received_at, observed_at, next_try_at } = free
  // The others' payloads are not even read.
  const fits = sql`sum(${free.bytes}) over (order by ${id}) <= ${batchBytes} or row_number() over (order by ${id}) = 1`
  const payload = sql<string | null>`case when ${fits} then ${free.payload} end`
  const rows = await tx
    .with(free)
    .select({ id, event, received_at, observed_at, next_try_at, bytes: free.bytes, payload })
    .from(free)
    .orderBy(asc(id))
  const claimed = fitting(rows)
  return { claimed, more: rows.length === most || claimed.length < rows.length }
}

/** The first of the rows whose payloads fit into one batch together; one at least. */
export function fitting<Row extends { bytes: number }>(rows: readonly Row[]): readonly Row[] {
  let size = 0
  const end = rows.findIndex((row, index) => {
    size += row.bytes
    return index > 0 && size > batchBytes
  })
  return end < 0 ? rows : rows.slice(0, end)
}

/** Claims those of the deliveries that are pending. */
export function claimAmong(tx: Transaction, ids: readonly number[]): Promise<Claimed[]> {
  return tx
    .select({ ...columns, payload: deliveries.payload })
    .from(deliveries)
    .where(pendingAmong(ids))
    .orderBy(asc(deliveries.id))
    .for('update', { skipLocked: true })
}

/**
 * The id of the deferred delivery that is due the longest, if there is one. Its next try is put off at once: whatever becomes of this
 * one, of this process or of Postgres, the delivery is not tried all the time.
 */
export async function takeDue(db: Db, now: Date): Promise<number | undefined> {
  const due = db
    .select({ id: deliveries.id })
    .from(deliveries)
    .where(and(isPending, dueAt(deliveries.next_try_at, now)))
    .orderBy(asc(deliveries.next_try_at))
    .limit(1)
    .for('update', { skipLocked: true })
  const [row] = await db
    .update(deliveries)
    .set({ next_try_at: new Date(now.getTime() + backOff(1)) })
    .where(sql`${deliveries.id} = any (array${due})`)
    .returning({ id: deliveries.id })
  return row?.id
}

/** Those of `ids` that are pending. As one parameter: a statement of a thousand would be planned again for each number of them. */
export function pendingAmong(ids: readonly number[]) {
  return and(sql`${deliveries.id} = any(${sql.param(ids)}::bigint[])`, eq(deliveries.status, 'pending'))
}
