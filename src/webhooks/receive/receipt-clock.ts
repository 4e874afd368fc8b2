import { sql } from 'drizzle-orm'
import { BuildkiteClock } from '../../buildkite/http/skew.ts'
import type { Db } from '../../database/connection.ts'
import { buildkiteClock } from '../../database/schema.ts'
import { type Log, throttledWarn } from '../../runtime/log.ts'
import { type Clock, MINUTE, pause, SECOND } from '../../runtime/time.ts'

/** Buildkite's clock in a process that may send no requests to Buildkite; the reconciler stores it in Postgres. */
export interface ReceiptClock {
  /** Buildkite's current time; `undefined` until a reconciler has stored it and it was read from Postgres. */
  now(): Date | undefined
  stop(): void
}

export interface ReceiptClockParts {
  readonly db: Db
  readonly log: Log
  readonly clock?: Clock
  readonly monotonic?: Clock
}

const EVERY = 10 * SECOND
/** Older measurements are ignored: the database may have moved to another host. */
const VALID = '1 day'

/** Reads the stored clock now and every ten seconds, or every second until two readings agree. */
export function followBuildkiteClock(parts: ReceiptClockParts): ReceiptClock {
  const { db, log, clock = Date.now, monotonic = () => performance.now() } = parts
  const known = new BuildkiteClock(clock, monotonic)
  const stopping = new AbortController()
  const mayWarn = throttledWarn(MINUTE, clock)

  const follow = async () => {
    while (!stopping.signal.aborted) {
      const isSettled = await read().catch((error: unknown) => {
        if (mayWarn()) log.warn({ err: error }, "Could not read Buildkite's clock from Postgres.")
        return true
      })
      await pause(isSettled ? EVERY : SECOND, stopping.signal)
    }
  }

  /** Whether the next read may wait. */
  const read = async (): Promise<boolean> => {
    const sent = known.moment()
    const { rows } = await db.execute<{ now: string }>(sql`
      select floor(extract(epoch from clock_timestamp()) * 1000 + ${buildkiteClock.ahead_ms})::text as now
      from ${buildkiteClock} where ${buildkiteClock.measured_at} > clock_timestamp() - ${VALID}::interval`)
    const now = rows[0]?.now
    // A stored clock is only accurate to a second, like a `Date` header.
    return (
      now === undefined ||
      (known.observe(sent, known.moment(), new Date(Number(now)).toUTCString())?.isCertain ?? false)
    )
  }

  void follow()
  return { now: () => known.now(), stop: () => stopping.abort() }
}
