import { and, asc, eq, isNull, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../../database/connection.ts'
import { backOff, dueAt } from '../../database/failures.ts'
import { deliveries } from '../../database/schema.ts'
import type { Pending } from './read.ts'

// Claims lock pending deliveries that no other transaction has locked, for one transaction.

/** Maximum payload that is held in memory and applied in one transaction. */
const batchBytes = 4 * 1024 * 1024
/** A build's webhooks arrive close together. The more of them are in one batch, the fewer times its rows are written. */
export const batchSize = 1_000

/** A delivery that we have locked. */
export type Claimed = Pending & { received_at: Date; next_try_at: Date | null }

export interface Batch {
  claimed: readonly Claimed[]
  /** Whether more deliveries may be pending. */
  more: boolean
}

const columns = {
  id: deliveries.id,
  event: deliveries.event,
  received_at: deliveries.received_at,
  observed_at: deliveries.observed_at,
  next_try_at: deliveries.next_try_at,
  error: deliveries.error,
}
// A literal: Postgres would not use the partial index with a parameter.
const isPending = sql`${deliveries.status} = 'pending'`

/** Claims the oldest `most` pending deliveries that are not deferred, or as many of them as fit into a batch. */
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
  const { id, event, received_at, observed_at, next_try_at, error } = free
  // Payloads of deliveries that do not fit are not read.
  const fits = sql`sum(${free.bytes}) over (order by ${id}) <= ${batchBytes} or row_number() over (order by ${id}) = 1`
  const payload = sql<string | null>`case when ${fits} then ${free.payload} end`
  const rows = await tx
    .with(free)
    .select({ id, event, received_at, observed_at, next_try_at, error, bytes: free.bytes, payload })
    .from(free)
    .orderBy(asc(id))
  const claimed = fitting(rows)
  return { claimed, more: rows.length === most || claimed.length < rows.length }
}

/** The first rows whose payloads fit into one batch; at least one. */
export function fitting<Row extends { bytes: number }>(rows: readonly Row[]): readonly Row[] {
  let size = 0
  const end = rows.findIndex((row, index) => {
    size += row.bytes
    return index > 0 && size > batchBytes
  })
  return end < 0 ? rows : rows.slice(0, end)
}

/** Claims the pending deliveries among these. */
export function claimAmong(tx: Transaction, ids: readonly number[]): Promise<Claimed[]> {
  return tx
    .select({ ...columns, payload: deliveries.payload })
    .from(deliveries)
    .where(pendingAmong(ids))
    .orderBy(asc(deliveries.id))
    .for('update', { skipLocked: true })
}

/**
 * The id of the deferred delivery that has been due the longest, if any. Postpones its next try at once. So it is not retried
 * in a loop even if this try, this process or Postgres fails.
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

/** The pending deliveries among `ids`. Uses one array parameter: with single parameters Postgres plans each number of ids again. */
export function pendingAmong(ids: readonly number[]) {
  return and(sql`${deliveries.id} = any(${sql.param(ids)}::bigint[])`, eq(deliveries.status, 'pending'))
}
