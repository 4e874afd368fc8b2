import { sql } from 'drizzle-orm'
import { asStoreError, type Db } from '../database/connection.ts'
import { type Log, sparingly } from '../log.ts'
import type { OnOccurrence } from '../occurrence.ts'
import { DAY, MINUTE, pause, SECOND } from '../time.ts'

/** What a turn brought up to date. */
export interface RollupTurn {
  /** Days (UTC) whose sums were made anew. */
  readonly days: number
  /** Rows of `buildkite.users` that changed. */
  readonly users: number
}

/**
 * Brings the kept tables of `analytics` and `buildkite.users` up to date, one transaction a day. Each day that is marked when the turn
 * begins is made once: the newest first, then those that have waited longest; what is marked meanwhile waits for the next turn. With
 * `enoughMs` the turn ends after so long, but not before the first two, so that neither today nor any other day waits for ever.
 * What a day's sums hold is said in SQL: `sync.refresh_day`. Ends early at `signal`; another process that is at it is left alone.
 * @throws StoreError when the database is away.
 */
export async function refreshRollups(
  db: Db,
  signal?: AbortSignal,
  enoughMs: number = Number.POSITIVE_INFINITY,
): Promise<RollupTurn> {
  const began = Date.now()
  const goesOn = (days: number) => !signal?.aborted && (days < 2 || Date.now() - began < enoughMs)
  try {
    const days = await refreshDays(db, await markedDays(db), goesOn)
    const users = signal?.aborted ? 0 : ((await call<number>(db, sql`select sync.refresh_users() as done`)) ?? 0)
    return { days, users }
  } catch (error) {
    throw asStoreError(error, 'bring the kept tables of analytics up to date')
  }
}

/** Makes marked days anew while `goesOn` says so of the days made so far, and returns their number. */
async function refreshDays(db: Db, days: readonly string[], goesOn: (made: number) => boolean): Promise<number> {
  let made = 0
  for (const day of days) {
    if (!goesOn(made)) break
    if (!(await call<boolean>(db, sql`select sync.refresh_marked_day(${day}) as done`))) break
    made += 1
  }
  return made
}

async function markedDays(db: Db, since?: string): Promise<string[]> {
  const { rows } = await db.execute<{ day: string }>(sql`
    select day::text as day from sync.stale_days
    ${since ? sql`where day >= ${since}` : sql``} group by stale_days.day
    order by stale_days.day = max(stale_days.day) over () desc, min(marked_at), stale_days.day desc`)
  return rows.map(({ day }) => day)
}

/** The day in UTC, as Postgres writes it. */
function dayOf(time: Date): string {
  return time.toISOString().slice(0, 10)
}

async function call<Done extends boolean | number>(db: Db, query: ReturnType<typeof sql>): Promise<Done | undefined> {
  // A day of a large company may take longer than a query of the service ever should.
  const { rows } = await db.transaction(async (tx) => {
    await tx.execute(sql`set local statement_timeout = '10min'`)
    return tx.execute<{ done: Done }>(query)
  })
  return rows[0]?.done
}

/** Sums made while history is read, newest builds first. */
export interface RollupFollower {
  /** All builds created since are there: the sums of the days that this completes can be made meanwhile. */
  reached(createdSince: Date): void
  /** Resolves when what was begun has come to its end; what failed stays marked. */
  stop(): Promise<void>
}

/** Makes the sums of days that a backfill has passed, beside its reading, which leaves Postgres time for it. */
export function followBackfill(db: Db, signal: AbortSignal): RollupFollower {
  let made = '9999-12-31'
  let running: Promise<unknown> | undefined
  return {
    reached(createdSince) {
      // A day's jobs are of its own builds and of those of the day before, which must be there whole.
      const since = dayOf(new Date(createdSince.getTime() + 2 * DAY))
      if (running || since >= made) return
      made = since
      running = markedDays(db, since)
        .then((days) => refreshDays(db, days, () => !signal.aborted))
        .catch(() => {})
        .finally(() => (running = undefined))
    },
    async stop() {
      await running
    },
  }
}

export interface RollupKeeper {
  stop(deadlineMs: number): Promise<void>
}

const EVERY = 15 * SECOND
/** A turn takes up no more days after so long. Those that are left are in the next one. */
const ENOUGH = SECOND
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
        on('rollup_days', (await refreshRollups(db, stop.signal, ENOUGH)).days)
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
