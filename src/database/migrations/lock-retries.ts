import pg from 'pg'
import { type Log, throttledWarn } from '../../runtime/log.ts'
import { MINUTE, pause, SECOND } from '../../runtime/time.ts'

/**
 * How long a migration waits for a lock; webhooks that need the same table wait behind it. Slightly longer than Postgres's
 * deadlock_timeout of a second, after which a blocking autovacuum is cancelled.
 */
export const LOCK_TIMEOUT_MS = 1_100
/** How long it waits for all the locks of one `lock table`, which holds acquired locks while it waits for the next. */
const LOCK_TABLES_TIMEOUT_MS = 1_500

/** A lock timeout, or a deadlock: running processes lock the same tables in a different order. */
function isLockConflict(error: unknown): boolean {
  return error instanceof LockTimeout || (error instanceof pg.DatabaseError && /^(55P03|40P01)$/.test(error.code ?? ''))
}

const LONGEST_PAUSE_MS = 5 * SECOND

/** Runs `work`, which opens a transaction, until other locks no longer block it. Holds no locks between tries. */
export async function withLockRetries<T>(client: pg.Client, log: Log | undefined, work: () => Promise<T>): Promise<T> {
  const mayWarn = throttledWarn(MINUTE, Date.now)
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      await client.query('rollback').catch(() => {})
      if (!isLockConflict(error)) throw error
    }
    if (tries >= 5 && mayWarn())
      log?.warn(await oldestTransaction(client), 'A migration waits for another transaction.')
    await pause(Math.min(LONGEST_PAUSE_MS, (SECOND / 2) * 2 ** tries) * (0.75 + Math.random() / 2))
  }
}

/** The oldest open transaction of another session, which is most likely the blocking one. */
async function oldestTransaction(client: pg.Client): Promise<Record<string, unknown>> {
  const { rows } = await client.query<Record<string, unknown>>(`
    select pid, application_name, usename as user, state, extract(epoch from now() - xact_start)::int as seconds
    from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    order by xact_start limit 1`)
  return rows[0] ?? {}
}

/** Runs a `lock table` statement. It waits for all of its locks together, not for each of them. */
export async function lockTables(client: pg.Client, statement: string): Promise<void> {
  await client.query(`set local statement_timeout = ${LOCK_TABLES_TIMEOUT_MS}`)
  try {
    await client.query(statement)
  } catch (error) {
    throw error instanceof pg.DatabaseError && error.code === '57014' ? new LockTimeout() : error
  }
  await client.query('set local statement_timeout = 0')
}

class LockTimeout extends Error {
  override name = 'LockTimeout'
}
