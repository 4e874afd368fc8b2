import { DAY, HOUR } from '../../runtime/time.ts'

/** A half-open range of `created_at`: includes `from`, excludes `to`. */
export interface TimeRange {
  readonly from: Date
  readonly to: Date
}

/** The length of a range, and how many builds it contained. */
export interface Density {
  readonly ms: number
  readonly builds: number
}

/** How many builds one window should contain: about fifty pages, a few minutes' work within the usual limits. */
export const WINDOW_BUILDS = 5_000

const FIRST_WINDOW = DAY
const SMALLEST_WINDOW = HOUR
const GROWTH = 8

/** The parts of `whole` that `covered` does not cover, newest first. */
export function gaps(whole: TimeRange, covered: readonly TimeRange[]): TimeRange[] {
  const newestFirst = [...covered].sort((a, b) => b.to.getTime() - a.to.getTime())
  const open: TimeRange[] = []
  let to = whole.to
  for (const span of newestFirst) {
    if (span.to <= whole.from || to <= whole.from) break
    if (span.from >= to) continue
    if (span.to < to) open.push({ from: span.to, to })
    to = span.from
  }
  if (to > whole.from) open.push({ from: whole.from, to })
  return open
}

/** The newest part of `gap` to read next. Its length is chosen from the last window, to contain about {@link WINDOW_BUILDS}. */
export function nextWindow(gap: TimeRange, last: Density | undefined): TimeRange {
  const ms = windowLength(last)
  const from = Math.max(gap.from.getTime(), gap.to.getTime() - ms)
  // A short rest would cost an additional request, so it is included.
  const rest = from - gap.from.getTime()
  return { from: rest < ms / 10 ? gap.from : new Date(from), to: gap.to }
}

function windowLength(last: Density | undefined): number {
  if (!last || last.ms <= 0) return FIRST_WINDOW
  const fitting = last.builds === 0 ? Number.POSITIVE_INFINITY : (last.ms * WINDOW_BUILDS) / last.builds
  return Math.max(SMALLEST_WINDOW, Math.min(fitting, Math.max(last.ms, SMALLEST_WINDOW) * GROWTH))
}

/** Two halves, newer first; or `undefined` when the span is a single millisecond. */
export function halve(span: TimeRange): [TimeRange, TimeRange] | undefined {
  const middle = new Date(Math.floor((span.from.getTime() + span.to.getTime()) / 2))
  if (middle <= span.from) return undefined
  return [
    { from: middle, to: span.to },
    { from: span.from, to: middle },
  ]
}

/** The total length of ranges in milliseconds; counts an overlap once. */
export function duration(spans: readonly TimeRange[]): number {
  let total = 0
  let reached = Number.NEGATIVE_INFINITY
  for (const span of [...spans].sort((a, b) => a.from.getTime() - b.from.getTime())) {
    total += Math.max(0, span.to.getTime() - Math.max(reached, span.from.getTime()))
    reached = Math.max(reached, span.to.getTime())
  }
  return total
}

/** How far back from `to` the ranges reach without a gap. */
export function coveredBackFrom(to: Date, covered: readonly TimeRange[]): Date {
  let reached = to
  for (const span of [...covered].sort((a, b) => b.to.getTime() - a.to.getTime())) {
    if (span.to < reached) break
    if (span.from < reached) reached = span.from
  }
  return reached
}

/** The part of `span` within `bounds`; the two must touch. */
export function intersect(span: TimeRange, bounds: TimeRange): TimeRange {
  return {
    from: new Date(Math.max(span.from.getTime(), bounds.from.getTime())),
    to: new Date(Math.min(span.to.getTime(), bounds.to.getTime())),
  }
}
