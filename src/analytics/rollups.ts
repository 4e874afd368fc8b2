import { eq, sql } from 'drizzle-orm'
import { asStoreError, type Db, isOutage } from '../database/connection.ts'
import { clearFailure, isDue, recordFailure, type Unit } from '../database/failures.ts'
import { failures } from '../database/schema.ts'
import { type Log, throttledWarn } from '../runtime/log.ts'
import type { RecordMetric } from '../runtime/record-metric.ts'
import { DAY, MINUTE, pause, SECOND } from '../runtime/time.ts'

/** The result of a refresh. */
export interface RollupTurn {
  /** Days (UTC) that were refreshed. */
  readonly days: number
  /** Rows of `buildkite.users` that changed. */
  readonly users: number
  /** Days, or `buildkite.users`, that could not be refreshed; see `sync.failures`. */
  readonly failed: number
}

/**
 * Refreshes the tables of `analytics` and `buildkite.users`, one transaction for each day. The marked hours of each day that is marked when
 * the run begins are refreshed once: the newest first, then those that have waited longest. Days marked meanwhile are left to the next run.
 * With `enoughMs` the run ends after that time, but not before the first two days, so that neither today nor another day waits
 * forever; changes of history are then left to {@link catchUp}. A day that fails is recorded in `sync.failures`, skipped, and retried
 * after a back-off. Ends early at `signal`, or if another process is refreshing.
 * The SQL function `sync.refresh_hours` computes the rows.
 * @throws StoreError when the database is unavailable.
 */
export async function refreshRollups(
  db: Db,
  signal?: AbortSignal,
  enoughMs: number = Number.POSITIVE_INFINITY,
): Promise<RollupTurn> {
  const began = Date.now()
  try {
    if (enoughMs === Number.POSITIVE_INFINITY) while (!signal?.aborted && (await markStaleHistory(db)));
    const work = await unitsOf(db)
    let days = 0
    let failed = 0
    for (const day of await markedDays(db)) {
      if (signal?.aborted || (days + failed >= 2 && Date.now() - began >= enoughMs)) break
      const done = await work.attempt(day, () => refreshMarkedDay(db, day))
      if (done === false) break
      if (done) days += 1
      else if (done === undefined) failed += 1
    }
    if (signal?.aborted) return { days, users: 0, failed }
    const users = await work.attempt(USERS, () => call<number>(db, sql`select sync.refresh_users() as done`))
    if (users === undefined) failed += 1
    return { days, users: users ?? 0, failed }
  } catch (error) {
    throw asStoreError(error, 'refresh the tables of analytics')
  }
}

const USERS = 'buildkite.users'

/** Refreshes days and users, and records failures. */
interface Units {
  /**
   * The result of `work`; `null` while an earlier failure is not due again; `undefined` when this work failed.
   * @throws what `work` throws when Postgres is unavailable.
   */
  attempt<T>(subject: string, work: () => Promise<T>): Promise<T | null | undefined>
}

async function unitsOf(db: Db): Promise<Units> {
  const rows = await db.select().from(failures).where(eq(failures.kind, 'rollup_day'))
  const known = new Map(rows.map(({ subject, next_try_at }) => [subject, next_try_at]))
  return {
    async attempt(subject, work) {
      const dueAt = known.get(subject)
      if (dueAt && !isDue(dueAt, Date.now())) return null
      const unit: Unit = { kind: 'rollup_day', organizationId: null, subject }
      try {
        const value = await work()
        if (dueAt) await clearFailure(db, unit)
        return value
      } catch (error) {
        const failure = asStoreError(error, `refresh ${subject}`)
        if (isOutage(failure)) throw failure
        await recordFailure(db, unit, failure, new Date())
        return undefined
      }
    },
  }
}

/** Refreshes the marked hours of a day; false when another process is refreshing. */
async function refreshMarkedDay(db: Db, day: string): Promise<boolean> {
  return (await call<boolean>(db, sql`select sync.refresh_marked_day(${day}) as done`)) ?? false
}

/** The marked days, all of them or those from `since` to before `until`. */
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

/** A day of a large company may take longer than the time limit of other queries. */
const LONGEST_DAY = 10 * MINUTE

async function call<Done>(db: Db, query: ReturnType<typeof sql>): Promise<Done | undefined> {
  const { rows } = await db.transactionWithTimeout(LONGEST_DAY, (tx) => tx.execute<{ done: Done }>(query))
  return rows[0]?.done
}

/** Marks days that changes in `sync.stale_history` made stale, and returns them; undefined when no change is left. */
async function markStaleHistory(db: Db): Promise<string[] | undefined> {
  return (await call<string[] | null>(db, sql`select sync.mark_stale_history()::text[] as done`)) ?? undefined
}

/**
 * One step of processing changes of history, such as a renamed pipeline: marks the days of a batch of builds and adds them to `days`,
 * or else refreshes one of `days`. Returns whether there may be more to do.
 * @throws StoreError when the database is unavailable.
 */
export async function catchUp(db: Db, days: Set<string>): Promise<boolean> {
  try {
    const marked = await markStaleHistory(db)
    for (const day of marked ?? []) days.add(day)
    const newest = [...days].reduce((latest, day) => (day > latest ? day : latest), '')
    if (marked || newest === '') return marked !== undefined
    const done = await (await unitsOf(db)).attempt(newest, () => refreshMarkedDay(db, newest))
    if (done === false) return false
    return days.delete(newest)
  } catch (error) {
    throw asStoreError(error, 'refresh the tables of analytics')
  }
}

/** Refreshes days while history is read, newest builds first. */
export interface RollupFollower {
  /** Reports how far back in `created_at` the read has come; days after that can be refreshed. */
  reached(createdSince: Date): void
  /** Resolves once the current day is refreshed. */
  stop(): Promise<void>
}

/**
 * Refreshes days while a backfill waits for Buildkite: each day once, after the backfill has read all of it. Days that are marked
 * again, fail, or remain at the stop stay marked for the final refresh.
 */
export function followBackfill(db: Db): RollupFollower {
  const stopping = new AbortController()
  // As text this sorts after every day, and Postgres accepts it as a date.
  let passed = 'infinity'
  let running: Promise<unknown> | undefined
  const refresh = async (days: readonly string[]) => {
    const work = await unitsOf(db)
    for (const day of days) {
      const began = Date.now()
      if ((await work.attempt(day, () => refreshMarkedDay(db, day))) === false) return
      // A service that runs at the same time needs the lock too, for today.
      await pause((Date.now() - began) / 2, stopping.signal)
      if (stopping.signal.aborted) return
    }
  }
  return {
    reached(createdSince) {
      // Most jobs of a day belong to builds of that day or of the day before.
      const since = dayOf(new Date(createdSince.getTime() + 2 * DAY))
      if (running || since >= passed) return
      const days = markedDays(db, since, passed)
      passed = since
      running = days
        .then(refresh)
        .catch(() => {})
        .finally(() => (running = undefined))
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}

/** Counts the jobs that started and finished, for Prometheus, and marks the days that time alone makes stale. */
async function noteTime(db: Db): Promise<void> {
  try {
    await call(db, sql`select sync.count_jobs() as done`)
    await call(db, sql`select sync.invalidate_days_of_open_work() as done`)
  } catch (error) {
    throw asStoreError(error, 'count jobs')
  }
}

export interface RollupKeeper {
  stop(deadlineMs: number): Promise<void>
}

const EVERY = 15 * SECOND
/** A turn starts no more days after this time; the next turn continues. */
const ENOUGH = SECOND
/** The pause after a run is this many times as long as the run. On a busy day runs are slow, and must not fill all the time. */
const REST = 20
/** The longest pause, so that today's rows are at most a minute old. */
const LONGEST_REST = 40 * SECOND

/**
 * Keeps the tables of `analytics` up to date: every 15 s, or after a slow run less often, up to 40 s later. Between runs
 * it processes changes of history, in at most two thirds of the time, and refreshes each of their days once.
 */
export function startRollups(db: Db, log: Log, record: RecordMetric = () => {}): RollupKeeper {
  const stop = new AbortController()
  const { signal } = stop
  const mayWarn = throttledWarn(MINUTE, Date.now)
  const days = new Set<string>()

  const turn = async () => {
    const { days, failed } = await refreshRollups(db, signal, ENOUGH)
    record('rollup_days_total', days)
    if (failed > 0) record('rollup_failures_total', failed)
  }
  const catchUpUntil = async (until: number) => {
    while (!signal.aborted && Date.now() < until) {
      const began = Date.now()
      const waiting = days.size
      const more = await catchUp(db, days)
      if (days.size < waiting) record('rollup_days_total', 1)
      await pause(more ? (Date.now() - began) / 2 : Math.min(EVERY, until - Date.now()), signal)
    }
  }
  const running = (async () => {
    while (!signal.aborted) {
      const began = Date.now()
      const attempt = async (work: () => Promise<void>) => {
        await work().catch((error) => {
          record('rollup_failures_total', 1)
          if (mayWarn()) log.warn({ err: error }, 'Rollups could not be refreshed; trying again soon.')
        })
      }
      await attempt(() => noteTime(db))
      await attempt(turn)
      record('rollup_seconds', (Date.now() - began) / SECOND)
      const until = Date.now() + Math.min(Math.max(EVERY, REST * (Date.now() - began)), LONGEST_REST)
      await attempt(() => catchUpUntil(until))
      await pause(until - Date.now(), signal)
    }
  })()
  return {
    async stop(deadlineMs) {
      stop.abort()
      await Promise.race([running, pause(deadlineMs)])
    },
  }
}
