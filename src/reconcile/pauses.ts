import { and, eq } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { pauses } from '../database/schema.ts'
import { pause, SECOND } from '../time.ts'

/** How often running work looks whether a person has stopped it. */
const LOOK_EVERY = SECOND

/** Stops the backfill of an organization, in whatever process it runs, until {@link resumeBackfill}. Repeating it changes nothing. */
export async function pauseBackfill(db: Db, organizationId: string, now: Date): Promise<void> {
  const row = { organization_id: organizationId, task: 'backfill', paused_at: now } as const
  await db.insert(pauses).values(row).onConflictDoNothing()
}

/** Lets the backfill of an organization go on. */
export async function resumeBackfill(db: Db, organizationId: string): Promise<void> {
  await db.delete(pauses).where(ofBackfill(organizationId))
}

/** Since when the backfill of an organization is stopped; null when it is not. */
export async function backfillPausedAt(db: Db, organizationId: string): Promise<Date | null> {
  const [row] = await db.select({ at: pauses.paused_at }).from(pauses).where(ofBackfill(organizationId))
  return row?.at ?? null
}

/**
 * Runs `work` with a signal that also aborts within a second or two of somebody's pausing the backfill; `undefined`, without having
 * run it, when it is paused already.
 */
export async function unlessPaused<T>(
  db: Db,
  organizationId: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  if (await backfillPausedAt(db, organizationId)) return undefined
  const paused = new AbortController()
  const done = new AbortController()
  const watching = (async () => {
    for (;;) {
      await pause(LOOK_EVERY, AbortSignal.any([done.signal, signal]))
      if (done.signal.aborted || signal.aborted) return
      // A database that is away says nothing about a pause; the work itself will notice that it is away.
      const at = await backfillPausedAt(db, organizationId).catch(() => null)
      if (at) return paused.abort(new Error('The backfill was paused.'))
    }
  })()
  try {
    return await work(AbortSignal.any([signal, paused.signal]))
  } finally {
    done.abort()
    await watching
  }
}

function ofBackfill(organizationId: string) {
  return and(eq(pauses.organization_id, organizationId), eq(pauses.task, 'backfill'))
}
