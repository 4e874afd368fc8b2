/** How far Buildkite's clock is ahead of ours, in milliseconds: somewhere from `low` to `high`. */
export interface Skew {
  readonly low: number
  readonly high: number
}

/** While the clocks may agree as closely as this, ours is used as it is: it is finer than a header in whole seconds. */
const TOLERATED_MS = 2_000

/**
 * Narrows what is known of the skew by one answer: its `Date` header (cut to whole seconds) was written after we sent the
 * request and before we saw the headers. An answer that contradicts what was known (a clock was set) starts afresh.
 */
export function narrowSkew(
  known: Skew | undefined,
  sentAt: number,
  seenAt: number,
  date: string | undefined,
): Skew | undefined {
  const written = date ? Date.parse(date) : Number.NaN
  if (Number.isNaN(written)) return known
  const sample: Skew = { low: written - seenAt, high: written + 999 - sentAt }
  if (!known) return sample
  const both: Skew = { low: Math.max(known.low, sample.low), high: Math.min(known.high, sample.high) }
  return both.low <= both.high ? both : sample
}

/**
 * The time on Buildkite's clock at which a read counts: the start of the request. What the answer shows was true then or
 * later, so that a webhook sent meanwhile is never taken for older than what the read may have missed.
 */
export function readAt(sentAt: number, skew: Skew | undefined): Date {
  if (!skew || (skew.low <= TOLERATED_MS && skew.high >= -TOLERATED_MS)) return new Date(sentAt)
  return new Date(Math.round(sentAt + (skew.low + skew.high) / 2))
}
