import { and, asc, count, eq, gt, gte, inArray, isNotNull, isNull, lte, max, type SQL, sql } from 'drizzle-orm'
import { type DeliveryStatus, deliveries } from '../database/schema.ts'
import { type ApplyParts, applyBatch } from './apply.ts'
import { batchSize, fitting } from './claim.ts'
import { asked } from './query.ts'

/** Which kept deliveries to apply again; those that meet every condition given. */
export interface Selection {
  readonly ids?: readonly number[] | undefined
  readonly failed?: boolean | undefined
  readonly since?: Date | undefined
}

/** What came of applying deliveries again. */
export interface ReplayReport {
  readonly applied: number
  readonly ignored: number
  readonly failed: number
  /** Taken up by the running service in the meantime. */
  readonly pending: number
  /** Selected, but their payload was dropped after its retention: only REST knows what they told. */
  readonly without_payload: number
  /** Reasons of those that failed, with how often each came. */
  readonly errors: Readonly<Record<string, number>>
  /** Ids asked for that no delivery has. */
  readonly unknown: readonly number[]
}

/**
 * Applies kept deliveries again, oldest first, the way the worker does. Applying twice changes nothing, for observations carry their
 * own time. Interrupted, it leaves deliveries that the service applies.
 * @throws StoreError
 */
export async function replay(
  parts: ApplyParts,
  selection: Selection,
  onProgress: (done: number, of: number) => void = () => {},
  signal?: AbortSignal,
): Promise<ReplayReport> {
  const { db } = parts
  // Not what comes meanwhile: in a busy service that would have no end.
  const selected = and(selectionOf(selection), lte(deliveries.id, await newestId(parts)))
  const total = await asked('count deliveries', () =>
    db.$count(deliveries, and(selected, isNotNull(deliveries.payload))),
  )
  const without_payload = await asked('count deliveries', () =>
    db.$count(deliveries, and(selected, isNull(deliveries.payload))),
  )
  const tally: Record<DeliveryStatus, number> = { applied: 0, ignored: 0, failed: 0, pending: 0 }
  const errors: Record<string, number> = {}
  let done = 0
  let after = 0
  while (!signal?.aborted) {
    const ids = await takeBatch(parts, and(selected, gt(deliveries.id, after)))
    const last = ids.at(-1)
    if (last === undefined) break
    await applyBatch(parts, ids)
    for (const { status, error, times } of await outcomes(parts, ids)) {
      tally[status] += times
      if (error) errors[error] = (errors[error] ?? 0) + times
    }
    after = last
    done += ids.length
    onProgress(done, total)
  }
  return { ...tally, without_payload, errors, unknown: await unknownAmong(parts, selection.ids ?? []) }
}

async function newestId({ db }: ApplyParts): Promise<number> {
  const [row] = await asked('look up deliveries', async () => db.select({ id: max(deliveries.id) }).from(deliveries))
  return row?.id ?? 0
}

function selectionOf({ ids, failed, since }: Selection): SQL | undefined {
  return and(
    ids && inArray(deliveries.id, [...ids]),
    failed ? eq(deliveries.status, 'failed') : undefined,
    since && gte(deliveries.received_at, since),
  )
}

/** Makes the next deliveries pending again: from here on they are the service's too, whatever becomes of us. */
async function takeBatch({ db, clock = Date.now }: ApplyParts, selected: SQL | undefined): Promise<number[]> {
  const bytes = sql<number>`octet_length(${deliveries.payload})`
  return asked('take deliveries up again', () =>
    db.transaction(async (tx) => {
      const rows = await tx
        .select({ id: deliveries.id, bytes })
        .from(deliveries)
        .where(and(selected, isNotNull(deliveries.payload)))
        .orderBy(asc(deliveries.id))
        .limit(batchSize)
        // Until they are pending, their payloads could be dropped.
        .for('update')
      const ids = fitting(rows).map(({ id }) => id)
      const now = new Date(clock())
      if (ids.length > 0) {
        await tx.update(deliveries).set({ status: 'pending', enqueued_at: now }).where(inArray(deliveries.id, ids))
      }
      return ids
    }),
  )
}

async function outcomes({ db }: ApplyParts, ids: readonly number[]) {
  return asked('look up deliveries', async () =>
    db
      .select({ status: deliveries.status, error: deliveries.error, times: count() })
      .from(deliveries)
      .where(inArray(deliveries.id, [...ids]))
      .groupBy(deliveries.status, deliveries.error),
  )
}

async function unknownAmong({ db }: ApplyParts, ids: readonly number[]): Promise<number[]> {
  if (ids.length === 0) return []
  const rows = await asked('look up deliveries', async () =>
    db
      .select({ id: deliveries.id })
      .from(deliveries)
      .where(inArray(deliveries.id, [...ids])),
  )
  const known = new Set(rows.map(({ id }) => id))
  return ids.filter((id) => !known.has(id))
}
