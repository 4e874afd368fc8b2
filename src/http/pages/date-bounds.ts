import { DAY } from '../../runtime/time.ts'

/** Buildkite did not exist before this, so no build is older. */
const FIRST = Date.UTC(2010, 0, 1)

/** The first and the last day (UTC) that an audit may include, at the time `now`. */
export function spanBounds(now: number): { first: Date; last: Date } {
  // Clocks and time zones differ: a client's today may be our tomorrow.
  return { first: new Date(FIRST), last: new Date((Math.floor(now / DAY) + 1) * DAY) }
}

/** The day of `at` in UTC, in the format of an HTML date input. */
export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10)
}
