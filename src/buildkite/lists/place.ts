import { z } from 'zod'
import { SECOND } from '../../runtime/time.ts'
import { readMoment } from '../timestamp.ts'

/**
 * The position of a walk. It uses keyset pagination: the list is newest first, so the next request lists builds
 * created before the oldest build seen. Builds that are added or removed meanwhile cannot hide others, and no page is deep in a list.
 */
export interface Place {
  /** The next request's `created_to`, in milliseconds. */
  readonly to: number
  /** How many builds below `to` are already read. Above 0 only if one page is too short to lower `to`. */
  readonly offset: number
  /** The largest page size for which `offset` is valid; a server may return fewer builds than requested. */
  readonly size: number
  /** Returned builds that the next page may repeat, with the creation time of each. */
  readonly seen: ReadonlyMap<string, number>
  /** The builds of `seen` that the next page must repeat if the server respects the milliseconds of `to`. */
  readonly seam: ReadonlySet<string>
  /** `to` is always a whole second, because a page has not repeated its seam. */
  readonly coarse: boolean
  /** The list is not in the expected order: read it to its end by page number. */
  readonly unordered: boolean
  /** The last build listed; undefined if none was listed since the walk, or this part of it, began. */
  readonly newer: Stamp | undefined
  /** `to` may be lowered only to this time or earlier, because an unlistable build lies there. */
  readonly hold: number
}

/** A build's id and when it was created. */
export interface Stamp {
  readonly id: string
  readonly ms: number
  readonly resolutionMs: number
}

const stamped = z.looseObject({ id: z.string(), created_at: z.string() })

export function stampOf(build: unknown): Stamp | undefined {
  const parsed = stamped.safeParse(build)
  const moment = parsed.success ? readMoment(parsed.data.created_at) : undefined
  return parsed.success && moment ? { id: parsed.data.id, ...moment } : undefined
}

/** The start of a list about which nothing is known. */
export function startAt(to: number): Place {
  return {
    to,
    offset: 0,
    size: Number.POSITIVE_INFINITY,
    seen: new Map(),
    seam: new Set(),
    coarse: false,
    unordered: false,
    newer: undefined,
    hold: Number.POSITIVE_INFINITY,
  }
}

/** The start of the list below `to`, when everything above is read. If `seam` is given, the next page must contain it. */
export function continuedAt(place: Place, to: number, seam?: Stamp): Place {
  const second = floorSecond(to - 1)
  const seen = new Map([...place.seen].filter(([, ms]) => ms >= second && ms < second + SECOND))
  return { ...startAt(to), seen, seam: new Set(seam ? [seam.id] : []), coarse: place.coarse }
}

/**
 * Where to retry when a page does not repeat the builds at its seam. Either they no longer match, or the server
 * drops the milliseconds of `created_to` and has skipped builds. Whole seconds are correct in both cases.
 */
export function rewound(place: Place, stamps: readonly (Stamp | undefined)[]): Place | undefined {
  if (place.coarse || place.seam.size === 0 || place.to % SECOND === 0) return undefined
  if (stamps.some((stamp) => stamp && place.seam.has(stamp.id))) return undefined
  const to = Math.ceil(place.to / SECOND) * SECOND
  // Builds newer than the last one may be listed again.
  return { ...place, to, seam: new Set(), coarse: true, newer: undefined }
}

/** The first page below `place.to`, when builds left the list while it was read by page number. What was read is not repeated. */
export function fromTheTop(place: Place): Place {
  return { ...place, offset: 0, size: Number.POSITIVE_INFINITY, seam: new Set(), newer: undefined }
}

/** The place after a page of `size` builds that began at `place`. */
export function advanced(place: Place, stamps: readonly (Stamp | undefined)[], size: number): Place {
  const seen = new Map(place.seen)
  for (const stamp of stamps) if (stamp) seen.set(stamp.id, stamp.ms)
  const offset = place.offset + size
  const oldest = stamps.at(-1)
  const unordered = place.unordered || !inOrder(stamps, place.to)
  // Without order, missing builds may be anywhere: continue by page number to the end of the list.
  if (unordered || !oldest) return { ...place, offset, size, seen, seam: new Set(), unordered }
  const to = momentAfter(oldest, place.coarse)
  if (to >= place.to || to > place.hold) return { ...place, offset, size, seen, seam: new Set(), newer: oldest }
  const from = floorSecond(oldest.ms)
  const repeatable = [...seen].filter(([, ms]) => ms >= from && ms < from + SECOND)
  const seam = repeatable.filter(([, ms]) => ms < to).map(([id]) => id)
  const { coarse } = place
  return { ...startAt(to), seen: new Map(repeatable), seam: new Set(seam), coarse, newer: oldest }
}

function inOrder(stamps: readonly (Stamp | undefined)[], to: number): boolean {
  let before = to - 1
  for (const stamp of stamps) {
    // A build at or after `to` means that the server ignores it, and keyset pagination would loop.
    if (!stamp || stamp.ms > before) return false
    before = stamp.ms
  }
  return true
}

/** The earliest time that a list may use as the build's created_at: `created_from` for a list that contains it. */
export function momentOf(stamp: Stamp, coarse: boolean): number {
  return coarse ? floorSecond(stamp.ms) : stamp.ms
}

/** The first moment after a build: `created_to` for a list that contains it. */
export function momentAfter(stamp: Stamp, coarse: boolean): number {
  return coarse ? floorSecond(stamp.ms) + SECOND : stamp.ms + stamp.resolutionMs
}

export function floorSecond(ms: number): number {
  return Math.floor(ms / SECOND) * SECOND
}
