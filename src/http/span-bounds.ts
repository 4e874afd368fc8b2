import { DAY } from '../time.ts'

/** Buildkite is younger than this: no build was created before. */
const FIRST = Date.UTC(2010, 0, 1)

/** The first and the last day, whole and in UTC, of which builds may be asked to be read again; at the time `now`. */
export function spanBounds(now: number): { first: Date; last: Date } {
  // Clocks and time zones differ: somebody's today may be our tomorrow.
  return { first: new Date(FIRST), last: new Date((Math.floor(now / DAY) + 1) * DAY) }
}

/** The day of `at` in UTC, as a form has it. */
export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10)
}
