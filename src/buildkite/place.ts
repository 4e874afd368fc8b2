import { z } from 'zod'
import { SECOND } from '../time.ts'
import { readMoment } from './timestamp.ts'

/**
 * Where a walk stands. It goes by key, not by page number: the list is newest first, so the next request asks for what was
 * created before the oldest build seen. Pages that shift while builds come and go cannot hide one, and none lies deep.
 */
export interface Place {
  /** The next request's `created_to`, in milliseconds. */
  readonly to: number
  /** How many builds below `to` are read already: above 0 only where one page is too short to lower `to`. */
  readonly offset: number
  /** The largest page by which `offset` can be counted on; a server may give fewer builds than it is asked for. */
  readonly size: number
  /** Builds handed out that the next page may repeat, with the time each was created. */
  readonly seen: ReadonlyMap<string, number>
  /** Those of `seen` that the next page must repeat if the server heeds `to` to the millisecond. */
  readonly seam: ReadonlySet<string>
  /** `to` is always a whole second, because a page has not repeated its seam. */
  readonly coarse: boolean
  /** The list is not in the order that it should be: read it to its end by page numbers. */
  readonly unordered: boolean
  /** The last build listed; undefined while none has been since the walk, or a part of it, began. */
  readonly newer: Stamp | undefined
  /** `to` may be lowered only to this moment or below, because an unlistable build lies there. */
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

/** The place from which a list is read without knowing anything of it. */
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

/** The place where the part of the list below `to` begins, when all above is read. It must show `seam` if that is given. */
export function continuedAt(place: Place, to: number, seam?: Stamp): Place {
  const second = floorSecond(to - 1)
  const seen = new Map([...place.seen].filter(([, ms]) => ms >= second && ms < second + SECOND))
  return { ...startAt(to), seen, seam: new Set(seam ? [seam.id] : []), coarse: place.coarse }
}

/**
 * The place to look again when a page does not repeat the builds at its seam: either they no longer match, or the server
 * drops the milliseconds of `created_to` and has skipped what it should show. Whole seconds are right in both cases.
 */
export function rewound(place: Place, stamps: readonly (Stamp | undefined)[]): Place | undefined {
  if (place.coarse || place.seam.size === 0 || place.to % SECOND === 0) return undefined
  if (stamps.some((stamp) => stamp && place.seam.has(stamp.id))) return undefined
  const to = Math.ceil(place.to / SECOND) * SECOND
  // Builds newer than the last one may be listed again.
  return { ...place, to, seam: new Set(), coarse: true, newer: undefined }
}

/** The place after a page of `size` builds that began at `place`. */
export function advanced(place: Place, stamps: readonly (Stamp | undefined)[], size: number): Place {
  const seen = new Map(place.seen)
  for (const stamp of stamps) if (stamp) seen.set(stamp.id, stamp.ms)
  const offset = place.offset + size
  const oldest = stamps.at(-1)
  const unordered = place.unordered || !inOrder(stamps, place.to)
  // Without order, what is still missing may be anywhere: the page numbers lead on from here to the end of the list.
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
    // A build at or after `to` means that the server does not heed it, and keys would lead round in a circle.
    if (!stamp || stamp.ms > before) return false
    before = stamp.ms
  }
  return true
}

/** The first moment at which a build may be listed as created: `created_from` for a list that holds it. */
export function momentOf(stamp: Stamp, coarse: boolean): number {
  return coarse ? floorSecond(stamp.ms) : stamp.ms
}

/** The first moment after a build: `created_to` for a list that holds it. */
export function momentAfter(stamp: Stamp, coarse: boolean): number {
  return coarse ? floorSecond(stamp.ms) + SECOND : stamp.ms + stamp.resolutionMs
}

export function floorSecond(ms: number): number {
  return Math.floor(ms / SECOND) * SECOND
}
