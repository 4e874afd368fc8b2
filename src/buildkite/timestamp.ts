/** A time as Buildkite wrote it: milliseconds since the epoch, and the precision to which it was truncated (1 ms or 1 s). */
export interface Moment {
  readonly ms: number
  readonly resolutionMs: number
}

// Buildkite sends ISO 8601. Access tokens, EventBridge, some pipelines and everything before 2019 have `2013-09-03 13:24:38 UTC`.
const format =
  /^(\d{4}-\d{2}-(\d{2}))(?:T(\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})| (\d{2}:\d{2}:\d{2}) UTC)$/

/** Reads both of Buildkite's formats; `undefined` for anything else. Truncates digits beyond milliseconds. */
export function readMoment(value: unknown): Moment | undefined {
  const match = typeof value === 'string' ? format.exec(value) : null
  if (!match) return undefined
  const [, date, day, isoTime, fraction = '', zone = 'Z', utcTime] = match
  const text = `${date}T${isoTime ?? utcTime}.${fraction.slice(0, 3).padEnd(3, '0')}`
  const local = new Date(`${text}Z`)
  // `Date` reads February 30 as March 2, and 24:00 as the next day.
  if (local.getUTCDate() !== Number(day)) return undefined
  const time = zone === 'Z' ? local : new Date(text + zone)
  // Buildkite sends no other years, and Postgres writes years before 1 differently.
  const year = time.getUTCFullYear()
  if (!(year >= 1 && year <= 9999)) return undefined
  return { ms: time.getTime(), resolutionMs: fraction.length >= 3 ? 1 : 1000 }
}

/** Like {@link readMoment}, as a `Date`. */
export function readTime(value: unknown): Date | undefined {
  const moment = readMoment(value)
  return moment && new Date(moment.ms)
}

const httpFormat = /^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/

/** Milliseconds since the epoch of an HTTP `Date` header (RFC 9110, 5.6.7); NaN for anything else. */
export function readHttpDate(value: string | undefined): number {
  return value !== undefined && httpFormat.test(value) ? Date.parse(value) : Number.NaN
}
