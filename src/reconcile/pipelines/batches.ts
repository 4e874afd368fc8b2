import { isOutage, type Transaction } from '../../database/connection.ts'
import { clearFailure, failuresOf, isDue, recordFailure, type Unit } from '../../database/failures.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import { pause, SECOND } from '../../runtime/time.ts'
import type { ReconcileDeps, Source } from '../context.ts'

/** Maximum builds per transaction; a batch that fails is retried with an eighth of them. */
const BATCH = 500
const BATCH_TIMEOUT = 10 * SECOND
/** Between batches, so that deliveries get connections and locks. */
const BETWEEN_BATCHES = 20

/** One run of updates of an organization's builds. */
export interface Run {
  readonly deps: ReconcileDeps
  readonly source: Source
  readonly signal: AbortSignal | undefined
  readonly startedAt: Date
  /** Batch sizes after a failure, by subject. */
  readonly sizes: Map<string, number>
  readonly isOver: () => boolean
}

/**
 * Runs one batch in a transaction. Returns undefined if it failed or may not be retried yet. The batches that follow a failure stay as
 * small as the one that succeeded: a larger one would fail again. A single build fails for another reason than the size.
 */
export async function runBatch<Result>(
  run: Run,
  subject: string,
  work: (tx: Transaction, size: number) => Promise<Result>,
): Promise<Result | undefined> {
  const { db, clock } = run.deps
  run.signal?.throwIfAborted()
  const unit = unitOf(run.source, subject)
  const failed = (await failuresOf(db, run.source.id, ['pipeline_change'])).find((row) => row.subject === subject)
  if (failed && !isDue(failed.next_try_at, clock())) return undefined
  const size = run.sizes.get(subject) ?? Math.max(1, Math.floor(BATCH / 8 ** (failed?.tries ?? 0)))
  let result: Result
  try {
    result = await inOneTransaction(db, `update ${subject}`, (tx) => work(tx, size), BATCH_TIMEOUT)
  } catch (error) {
    if (isOutage(error)) throw error
    run.sizes.set(subject, Math.max(1, Math.floor(size / 8)))
    await recordBatchFailure(run, unit, error)
    return undefined
  }
  if (size === 1) run.sizes.delete(subject)
  else if (size < BATCH) run.sizes.set(subject, size)
  if (failed) await clearFailure(db, unit)
  await pause(BETWEEN_BATCHES, run.signal)
  return result
}

export async function recordBatchFailure({ deps, source }: Run, unit: Unit, error: unknown): Promise<void> {
  deps.log.warn(
    { err: error, organization: source.slug, subject: unit.subject },
    'Could not update builds; will retry.',
  )
  await recordFailure(deps.db, unit, error, new Date(deps.clock()))
}

/** How a failing update is recorded in sync.failures. */
export function unitOf({ id }: Source, subject: string): Unit {
  return { kind: 'pipeline_change', organizationId: id, subject }
}
