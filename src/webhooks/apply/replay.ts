import { and, asc, count, eq, gt, gte, inArray, isNotNull, isNull, lte, max, type SQL, sql } from 'drizzle-orm'
import { type Db, withStoreError } from '../../database/connection.ts'
import { type DeliveryStatus, deliveries } from '../../database/schema.ts'
import { batchSize, fitting } from './claim.ts'
import { type ApplyParts, applyBatch } from './process-deliveries.ts'

/** Which stored deliveries to apply again. They must meet every condition that is given. */
export interface Selection {
  readonly ids?: readonly number[] | undefined
  readonly failed?: boolean | undefined
  readonly since?: Date | undefined
}

/** The result of applying deliveries again. */
export interface ReplayReport {
  readonly applied: number
  readonly ignored: number
  readonly failed: number
  /** The running service has claimed them in the meantime. */
  readonly pending: number
  /** Selected, but their payload was deleted after its retention. Their data can only come from the REST API. */
  readonly without_payload: number
  /** The errors of those that failed, with their number. */
  readonly errors: Readonly<Record<string, number>>
  /** Requested ids that no delivery has. */
  readonly unknown: readonly number[]
}

/**
 * Applies stored deliveries again, oldest first, as the worker does. Applying one twice changes nothing, because observations carry
 * their own time. If it is interrupted, the service applies the remaining deliveries of the batch.
 * @throws StoreError
 */
export async function replay(
  parts: ApplyParts,
  selection: Selection,
  onProgress: (done: number, of: number) => void = () => {},
  signal?: AbortSignal,
): Promise<ReplayReport> {
  const { db } = parts
  // Excludes deliveries that arrive meanwhile: in a busy service the replay would never end.
  const selected = and(selectionOf(selection), lte(deliveries.id, await newestId(parts)))
  const total = await withStoreError('count deliveries', () =>
    db.$count(deliveries, and(selected, isNotNull(deliveries.payload))),
  )
  const without_payload = await withStoreError('count deliveries', () =>
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
  return { ...tally, without_payload, errors, unknown: await unknownAmong(db, selection.ids ?? []) }
}

/**
 * Makes stored deliveries pending again, for the workers. For processes whose database role reads no payload.
 * @returns the requested ids that no delivery has.
 */
export async function requeue(db: Db, selection: Selection): Promise<readonly number[]> {
  await withStoreError('make deliveries pending again', async () =>
    // Without a time, the sweeper enqueues them at once.
    db.update(deliveries).set({ status: 'pending', enqueued_at: null }).where(selectionOf(selection)),
  )
  return unknownAmong(db, selection.ids ?? [])
}

async function newestId({ db }: ApplyParts): Promise<number> {
  const [row] = await withStoreError('look up deliveries', async () =>
    db.select({ id: max(deliveries.id) }).from(deliveries),
  )
  return row?.id ?? 0
}

function selectionOf({ ids, failed, since }: Selection): SQL | undefined {
  return and(
    ids && inArray(deliveries.id, [...ids]),
    failed ? eq(deliveries.status, 'failed') : undefined,
    since && gte(deliveries.received_at, since),
  )
}

/** Makes the next deliveries pending again. From then on the service applies them too, even if this process ends. */
async function takeBatch({ db, clock = Date.now }: ApplyParts, selected: SQL | undefined): Promise<number[]> {
  const bytes = sql<number>`octet_length(${deliveries.payload})`
  return withStoreError('make deliveries pending again', () =>
    db.transaction(async (tx) => {
      const rows = await tx
        .select({ id: deliveries.id, bytes })
        .from(deliveries)
        .where(and(selected, isNotNull(deliveries.payload)))
        .orderBy(asc(deliveries.id))
        .limit(batchSize)
        // Until they are pending, the sweeper could delete their payloads.
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
  return withStoreError('look up deliveries', async () =>
    db
      .select({ status: deliveries.status, error: deliveries.error, times: count() })
      .from(deliveries)
      .where(inArray(deliveries.id, [...ids]))
      .groupBy(deliveries.status, deliveries.error),
  )
}

async function unknownAmong(db: Db, ids: readonly number[]): Promise<number[]> {
  if (ids.length === 0) return []
  const rows = await withStoreError('look up deliveries', async () =>
    db
      .select({ id: deliveries.id })
      .from(deliveries)
      .where(inArray(deliveries.id, [...ids])),
  )
  const known = new Set(rows.map(({ id }) => id))
  return ids.filter((id) => !known.has(id))
}
