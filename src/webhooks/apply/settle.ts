import { sql } from 'drizzle-orm'
import { mirroredEvents } from '../../buildkite/services.ts'
import { type Db, type Transaction, withStoreError } from '../../database/connection.ts'
import { clearFailure } from '../../database/failures.ts'
import { type DeliveryStatus, deliveries } from '../../database/schema.ts'
import { type MergeReport, mergeObservations, recordRows, rowsOfReport } from '../../mirror/apply.ts'
import { combine, type Observations } from '../../mirror/observation.ts'
import type { Log } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { type Clock, SECOND } from '../../runtime/time.ts'
import { span, type Tracing } from '../../runtime/tracing.ts'
import { type Claimed, claimAmong, pendingAmong } from './claim.ts'
import { deferredUnit } from './defer.ts'
import { readDelivery } from './read.ts'

export interface ApplyParts {
  db: Db
  filter: MirrorFilter
  storeEnv: boolean
  log: Log
  clock?: Clock
  record?: RecordMetric
  tracing?: Tracing | undefined
  /** For tests. */
  timeouts?: Timeouts
}

/** Time limit of each statement, in milliseconds. */
export interface Timeouts {
  /** For a batch. A thousand deliveries take less than a second; a slower batch is split. */
  readonly batch: number
  /** For a single delivery. Also how long the parts of one batch may use the `batch` and `single` limits. */
  readonly single: number
  /** For batches and single deliveries after that, because the deliveries behind the batch wait. */
  readonly hurried: number
}

/** The results of the deliveries of one transaction. */
interface DeliveryResult {
  readonly settled: readonly { status: DeliveryStatus; event: string; receivedAt: Date }[]
  readonly report: MergeReport
}

const labelledEvents: ReadonlySet<string> = new Set([...mirroredEvents, 'ping'])

/** Names come from outside, and each different label costs memory here and in Prometheus. */
function eventLabel(event: string): string {
  return labelledEvents.has(event) ? event : 'other'
}

export function recordOutcome({ record, clock = Date.now }: ApplyParts, { settled, report }: DeliveryResult): void {
  if (!record) return
  for (const { status, event, receivedAt } of settled) {
    record('deliveries_processed_total', 1, { status, event: eventLabel(event) })
    // Another replica may have received it, with a clock ahead of ours.
    if (status === 'applied') record('delivery_apply_seconds', Math.max(0, clock() - receivedAt.getTime()) / SECOND)
  }
  recordRows(record, 'webhook', report)
}

/** Merges deliveries that we have locked, and settles them. */
export async function applyClaimed(
  parts: ApplyParts,
  tx: Transaction,
  claimed: readonly Claimed[],
): Promise<DeliveryResult> {
  const now = new Date((parts.clock ?? Date.now)())
  const applied: number[] = []
  const ignored: number[] = []
  const observed: Observations[] = []
  const settled: DeliveryResult['settled'][number][] = []
  const record = (row: Claimed, status: DeliveryStatus) =>
    settled.push({ status, event: row.event, receivedAt: row.received_at })
  for (const row of claimed) {
    const reading = readDelivery(row, parts)
    if ('observed' in reading) {
      applied.push(row.id)
      observed.push(reading.observed)
      record(row, 'applied')
    } else if ('ignored' in reading) {
      ignored.push(row.id)
      record(row, 'ignored')
    } else {
      record(row, 'failed')
      await settle(tx, [row.id], 'failed', now, reading.error)
      parts.log.warn(
        { delivery: row.id, error: reading.error },
        'A delivery cannot be applied and is recorded as failed.',
      )
    }
  }
  const report = await span(parts.tracing, 'merge', { via: 'webhook' }, async (traced) => {
    const merged = await mergeObservations(tx, combine(observed), now)
    traced.set(rowsOfReport(merged))
    return merged
  })
  await settle(tx, applied, 'applied', now)
  await settle(tx, ignored, 'ignored', now)
  for (const row of claimed) if (row.next_try_at) await clearFailure(tx, deferredUnit(row))
  return { settled, report }
}

/** Settles a delivery as `failed`. */
export async function fail(parts: ApplyParts, id: number, error: string): Promise<void> {
  const now = new Date((parts.clock ?? Date.now)())
  const [row] = await withStoreError('record a failed delivery', () =>
    parts.db.transaction(async (tx) => {
      const claimed = await claimAmong(tx, [id])
      await settle(tx, [id], 'failed', now, error)
      for (const row of claimed) if (row.next_try_at) await clearFailure(tx, deferredUnit(row))
      return claimed
    }),
  )
  if (!row) return
  parts.log.warn({ delivery: id, error }, 'A delivery cannot be applied and is recorded as failed.')
  parts.record?.('deliveries_processed_total', 1, { status: 'failed', event: eventLabel(row.event) })
}

async function settle(
  db: Db | Transaction,
  ids: readonly number[],
  status: DeliveryStatus,
  now: Date,
  error?: string,
): Promise<void> {
  if (ids.length === 0) return
  await db
    .update(deliveries)
    .set({
      status,
      error: error?.slice(0, 1_000) ?? null,
      // A delivery that was applied before and fails in a replay keeps its applied_at.
      ...(status === 'applied' && { applied_at: now }),
      failed_at: status === 'failed' ? now : null,
      next_try_at: null,
      attempts: sql`${deliveries.attempts} + 1`,
    })
    .where(pendingAmong(ids))
}
