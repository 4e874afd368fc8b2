import { duration, intersect, type TimeRange } from '../reconcile/progress/time-range.ts'
import type { Window } from '../reconcile/progress/windows.ts'
import { MINUTE } from '../runtime/time.ts'

/** The pace is measured over this time. */
const LOOK_BACK = 30 * MINUTE

/**
 * The estimated time for the rest of a backfill at its present pace, in milliseconds; null when it is done, or when nothing was read
 * recently (pure).
 */
export function timeLeft(windows: readonly Window[], span: TimeRange, now: Date): number | null {
  const read = windows.flatMap((window) => {
    const from = window.status === 'done' ? window.created_from : window.scanned_to
    return from && from < window.created_to ? [{ window, part: { from, to: window.created_to } }] : []
  })
  const within = read.map(({ part }) => intersect(part, span)).filter((part) => part.from < part.to)
  const left = duration([span]) - duration(within)
  if (left <= 0) return null
  const since = now.getTime() - LOOK_BACK
  const lately = read.filter(({ window: { started_at, finished_at, status } }) => {
    return started_at && started_at.getTime() >= since && (status !== 'done' || finished_at)
  })
  const [first] = lately.map(({ window }) => window.started_at?.getTime() ?? 0).sort((a, b) => a - b)
  const done = duration(lately.map(({ part }) => part))
  if (first === undefined || done <= 0) return null
  const spent = Math.max(now.getTime() - first, 1)
  return Math.round((left * spent) / done)
}
