import { and, eq } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { pauses } from '../../database/schema.ts'
import { pause, SECOND } from '../../runtime/time.ts'

/** How often running work checks whether a person has paused it. */
const CHECK_EVERY = SECOND

/** Pauses the backfill of an organization in every process, until {@link resumeBackfill}. Idempotent. */
export async function pauseBackfill(db: Db, organizationId: string, now: Date): Promise<void> {
  const row = { organization_id: organizationId, task: 'backfill', paused_at: now } as const
  await db.insert(pauses).values(row).onConflictDoNothing()
}

/** Resumes the backfill of an organization. */
export async function resumeBackfill(db: Db, organizationId: string): Promise<void> {
  await db.delete(pauses).where(ofBackfill(organizationId))
}

/** Since when the backfill of an organization is paused; null when it is not. */
export async function backfillPausedAt(db: Db, organizationId: string): Promise<Date | null> {
  const [row] = await db.select({ at: pauses.paused_at }).from(pauses).where(ofBackfill(organizationId))
  return row?.at ?? null
}

/** Why a backfill was interrupted. */
export type Interruption = 'paused' | 'wanted'

/**
 * Runs `work` with a signal that also aborts within two seconds of a pause of the backfill. It aborts too when `wanted` says that manual
 * work waits for the worker. Returns the reason of an interruption. If the backfill is already paused, `work` does not run.
 */
export async function interruptibly(
  db: Db,
  organizationId: string,
  signal: AbortSignal,
  wanted: () => Promise<boolean>,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<Interruption | undefined> {
  if (await backfillPausedAt(db, organizationId)) return 'paused'
  const cut = new AbortController()
  const done = new AbortController()
  let interruption: Interruption | undefined
  // Ignores an unavailable store, because the work itself will report it.
  const check = async (): Promise<Interruption | undefined> => {
    if (await backfillPausedAt(db, organizationId).catch(() => null)) return 'paused'
    return (await wanted().catch(() => false)) ? 'wanted' : undefined
  }
  const watching = (async () => {
    while (!done.signal.aborted && !signal.aborted && !interruption) {
      await pause(CHECK_EVERY, AbortSignal.any([done.signal, signal]))
      if (done.signal.aborted || signal.aborted) return
      interruption = await check()
    }
    cut.abort(new Error('The backfill was interrupted.'))
  })()
  try {
    await work(AbortSignal.any([signal, cut.signal]))
  } finally {
    done.abort()
    await watching
  }
  return interruption
}

function ofBackfill(organizationId: string) {
  return and(eq(pauses.organization_id, organizationId), eq(pauses.task, 'backfill'))
}
