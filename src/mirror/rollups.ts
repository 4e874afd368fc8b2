import { sql } from 'drizzle-orm'
import { asStoreError, type Db } from '../database/connection.ts'
import { type Log, sparingly } from '../log.ts'
import type { OnOccurrence } from '../occurrence.ts'
import { MINUTE, pause, SECOND } from '../time.ts'

/** What a turn brought up to date. */
export interface RollupTurn {
  /** Days (UTC) whose sums were made anew. */
  readonly days: number
  /** Rows of `buildkite.users` that changed. */
  readonly users: number
}

/**
 * Brings the kept tables of `analytics` and `buildkite.users` up to date, newest day first, one transaction a day. What a day's sums
 * hold is said in SQL: `sync.refresh_day`. Ends early at `signal`; another process that is at it is left alone.
 * @throws StoreError when the database is away.
 */
export async function refreshRollups(db: Db, signal?: AbortSignal): Promise<RollupTurn> {
  try {
    let days = 0
    while (!signal?.aborted && (await callOne(db, sql`select sync.refresh_rollups() as done`)) > 0) days += 1
    const users = signal?.aborted ? 0 : await callOne(db, sql`select sync.refresh_users() as done`)
    return { days, users }
  } catch (error) {
    throw asStoreError(error, 'bring the kept tables of analytics up to date')
  }
}

async function callOne(db: Db, query: ReturnType<typeof sql>): Promise<number> {
  // A day of a large company may take longer than a query of the service ever should.
  const { rows } = await db.transaction(async (tx) => {
    await tx.execute(sql`set local statement_timeout = '10min'`)
    return tx.execute<{ done: number }>(query)
  })
  return rows[0]?.done ?? 0
}

export interface RollupKeeper {
  stop(deadlineMs: number): Promise<void>
}

const EVERY = 15 * SECOND
/** Of the time, at most a twentieth goes into sums: on a busy day they grow slow to make, and need not be made all the time. */
const REST = 20

/** Keeps the sums up to date from now on: every 15 s, or as often as one twentieth of the time allows. */
export function startRollups(db: Db, log: Log, on: OnOccurrence = () => {}): RollupKeeper {
  const stop = new AbortController()
  const mayWarn = sparingly(MINUTE, Date.now)
  const running = (async () => {
    while (!stop.signal.aborted) {
      const began = Date.now()
      try {
        on('rollup_days', (await refreshRollups(db, stop.signal)).days)
      } catch (error) {
        on('rollup_failed', 1)
        if (mayWarn()) {
          log.warn({ err: error }, 'The sums of analytics could not be brought up to date; trying again soon.')
        }
      }
      on('rollup_seconds', (Date.now() - began) / SECOND)
      await pause(Math.max(EVERY, REST * (Date.now() - began)), stop.signal)
    }
  })()
  return {
    async stop(deadlineMs) {
      stop.abort()
      await Promise.race([running, pause(deadlineMs)])
    },
  }
}
