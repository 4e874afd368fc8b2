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
  try {
    let days = 0
    for (const day of await markedDays(db)) {
      if (signal?.aborted || (days >= 2 && Date.now() - began >= enoughMs)) break
      if (!(await refreshMarkedDay(db, day))) break
      days += 1
    }
    const users = signal?.aborted ? 0 : ((await call<number>(db, sql`select sync.refresh_users() as done`)) ?? 0)
    return { days, users }
  } catch (error) {
    throw asStoreError(error, 'bring the kept tables of analytics up to date')
  }
}

/** Makes a day anew if it is marked; false when another process is at the sums. */
async function refreshMarkedDay(db: Db, day: string): Promise<boolean | undefined> {
  return call<boolean>(db, sql`select sync.refresh_marked_day(${day}) as done`)
}

/** The days marked, of all or from `since` to before `until`. */
async function markedDays(db: Db, since = '-infinity', until = 'infinity'): Promise<string[]> {
  const { rows } = await db.execute<{ day: string }>(sql`
    select day::text as day from sync.stale_days
    where day >= ${since}::date and day < ${until}::date group by stale_days.day
    order by stale_days.day = max(stale_days.day) over () desc, min(marked_at), stale_days.day desc`)
  return rows.map(({ day }) => day)
}

/** The day in UTC, as Postgres writes it. */
function dayOf(time: Date): string {
  return time.toISOString().slice(0, 10)
}

/** A day of a large company may take longer than a query of the service ever should. */
const LONGEST_DAY = 10 * MINUTE

async function call<Done extends boolean | number>(db: Db, query: ReturnType<typeof sql>): Promise<Done | undefined> {
  const { rows } = await db.patiently(LONGEST_DAY, (tx) => tx.execute<{ done: Done }>(query))
  return rows[0]?.done
}

/** Sums made while history is read, newest builds first. */
export interface RollupFollower {
  /** The reading has come so far back in `created_at`: the sums of days that it has passed can be made meanwhile. */
  reached(createdSince: Date): void
  /** Resolves once the day under way is made. */
  stop(): Promise<void>
}

/**
 * Makes the sums of days that a backfill has passed, each once, beside its reading, which leaves Postgres time for it. What is marked
 * again, fails or is left when it stops stays marked, for the turn at the end.
 */
export function followBackfill(db: Db): RollupFollower {
  const stopping = new AbortController()
  // As text it comes after every day, and to Postgres too.
  let passed = 'infinity'
  let running: Promise<unknown> | undefined
  const make = async (days: readonly string[]) => {
    for (const day of days) {
      const began = Date.now()
      if (!(await refreshMarkedDay(db, day))) return
      // A service beside us wants the lock too, for today.
      await pause(Date.now() - began, stopping.signal)
      if (stopping.signal.aborted) return
    }
  }
  return {
    reached(createdSince) {
      // Most jobs of a day are of its own builds and of those of the day before.
      const since = dayOf(new Date(createdSince.getTime() + 2 * DAY))
      if (running || since >= passed) return
      const days = markedDays(db, since, passed)
      passed = since
      running = days
        .then(make)
        .catch(() => {})
        .finally(() => (running = undefined))
    },
    async stop() {
      stopping.abort()
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
