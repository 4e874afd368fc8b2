import type { ClaimedHistory } from '../reconcile/progress/claim.ts'
import { gaps, intersect, type TimeRange } from '../reconcile/progress/time-range.ts'
import type { Watermark } from '../reconcile/progress/watermark.ts'
import type { Window } from '../reconcile/progress/windows.ts'
import { DAY } from '../runtime/time.ts'

/**
 * State of a part of the timeline:
 * - `live`: kept current by cycles
 * - `verified`: read by the backfill
 * - `flawed`: read, except for builds that could not be stored
 * - `partial`: read, but not complete in every listed pipeline
 * - `reading`: in progress
 * - `unread`: not read yet
 * - `ahead`: later than the claim
 */
export type TimelineKind = 'live' | 'verified' | 'flawed' | 'partial' | 'reading' | 'unread' | 'ahead'

/** A part of an organization's timeline, by `created_at`. */
export interface TimelinePart extends TimeRange {
  readonly kind: TimelineKind
  /** When the longest unread window of it was last verified; null where that does not apply. */
  readonly verified_at: Date | null
  readonly builds: number | null
}

/** Parts shorter than this share of the whole are joined. */
const FINEST = 1 / 160

/** The claim of an organization: up to `as_of`, in these ranges of `created_at`. */
export type ClaimedRanges = Pick<ClaimedHistory, 'as_of' | 'ranges'>

/**
 * The timeline of an organization, oldest part first, without gaps; empty before the first cycle. Only parts that the claim covers are
 * `live`, `verified` or `flawed` (pure).
 */
export function timelineOf(
  mark: Watermark | undefined,
  windows: readonly Window[],
  claim: ClaimedRanges,
  now: Date,
): TimelinePart[] {
  if (!mark?.watermark) return []
  const until = claim.as_of ?? mark.watermark
  const from = new Date(
    Math.min(
      mark.backfill_from?.getTime() ?? until.getTime() - DAY,
      ...windows.map((one) => one.created_from.getTime()),
    ),
  )
  const parts = windows.flatMap(partsOf).filter((part) => part.from < part.to)
  const end = new Date(Math.max(until.getTime(), now.getTime()))
  const backfillTo = mark.backfill_to ?? until
  for (const gap of gaps({ from, to: end }, parts)) parts.push(...partsOfGap(gap, backfillTo, until))
  return joined(
    parts.flatMap((part) => withinClaim(part, claim.ranges)).sort((a, b) => a.from.getTime() - b.from.getTime()),
    (end.getTime() - from.getTime()) * FINEST,
  )
}

/** Splits a part at the borders of the claim; outside the claim, read history is `partial`. */
function withinClaim(part: TimelinePart, claimed: readonly TimeRange[]): TimelinePart[] {
  if (part.kind === 'reading' || part.kind === 'unread' || part.kind === 'ahead') return [part]
  const inside = claimed.map((span) => intersect(span, part)).filter(({ from, to }) => from < to)
  const outside = gaps(part, inside)
  // The number of builds in each part is not known.
  const builds = inside.length + outside.length > 1 ? null : part.builds
  return [
    ...inside.map((span) => ({ ...part, ...span, builds })),
    ...outside.map((span): TimelinePart => ({ ...part, ...span, builds, kind: 'partial' })),
  ]
}

function partsOf(window: Window): TimelinePart[] {
  const { created_from: from, created_to: to, verified_at, builds, scanned_to, status } = window
  if (status === 'done') return [{ from, to, kind: window.error ? 'flawed' : 'verified', verified_at, builds }]
  const walked = scanned_to ?? to
  const rest = { from, to: walked, kind: status === 'running' ? 'reading' : 'unread', verified_at: null } as const
  return [
    { ...rest, builds: null },
    { from: walked, to, kind: 'verified', verified_at: window.started_at, builds },
  ]
}

/** The parts of a gap between windows: unread before the backfill's end, kept current by cycles from there to the watermark. */
function partsOfGap({ from, to }: TimeRange, backfillTo: Date, watermark: Date): TimelinePart[] {
  const cut = (kind: TimelineKind, low: Date, high: Date): TimelinePart[] => {
    const part = { from: from > low ? from : low, to: to < high ? to : high }
    return part.from < part.to ? [{ ...part, kind, verified_at: null, builds: null }] : []
  }
  return [
    ...cut('unread', from, backfillTo),
    ...cut('live', backfillTo, watermark),
    ...cut('ahead', watermark > backfillTo ? watermark : backfillTo, to),
  ]
}

/** Joins neighbours of the same kind while they are too short to be visible. */
function joined(parts: readonly TimelinePart[], shortest: number): TimelinePart[] {
  const result: TimelinePart[] = []
  for (const part of parts) {
    const last = result.at(-1)
    const short = last && last.to.getTime() - last.from.getTime() < shortest
    if (last && last.kind === part.kind && (short || part.kind !== 'verified')) {
      result[result.length - 1] = {
        ...last,
        to: part.to,
        verified_at: earlier(last.verified_at, part.verified_at),
        builds: last.builds === null ? part.builds : last.builds + (part.builds ?? 0),
      }
    } else result.push(part)
  }
  return result
}

function earlier(one: Date | null, other: Date | null): Date | null {
  if (!one || !other) return one ?? other
  return one < other ? one : other
}
