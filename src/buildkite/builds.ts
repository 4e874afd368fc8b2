import { z } from 'zod'
import type { Priority } from './budget.ts'
import { type ListOptions, News, numberedPage, type Read } from './lists.ts'
import { PageSize } from './page-size.ts'
import { readMoment } from './timestamp.ts'
import type { Transport } from './transport.ts'

/** Which builds to list: half-open in `created_at`, from `created_from` up to but without `created_to`. */
export interface BuildsFilter {
  readonly created_from?: Date | undefined
  readonly created_to: Date
  readonly finished_from?: Date | undefined
  readonly state?: readonly string[] | undefined
  /** The slug of a pipeline, where only its builds are wanted. */
  readonly pipeline?: string | undefined
}

/** A page of builds, newest first, without those that an earlier page of the same walk held. */
export interface BuildsPage extends Read<unknown[]> {
  /** Everything that matches and was created in [walkedTo, created_to) has been read by now: a walk can go on from here. */
  readonly walkedTo: Date
  readonly last: boolean
}

/**
 * Where a walk stands. It goes by key, not by page number: the list is newest first, so the next request asks for what was
 * created before the oldest build seen. Pages that shift while builds come and go cannot hide one, and none lies deep.
 */
interface Place {
  /** The next request's `created_to`, in milliseconds. */
  readonly to: number
  /** How many builds below `to` are read already: above 0 only where one page is too short to lower `to`. */
  readonly offset: number
  /** Builds handed out that the next page may repeat, with the time each was created. */
  readonly seen: ReadonlyMap<string, number>
  /** Those of `seen` that the next page must repeat if the server heeds `to` to the millisecond. */
  readonly seam: ReadonlySet<string>
  /** `to` is always a whole second, because a page has not repeated its seam. */
  readonly coarse: boolean
  /** The list is not in the order that it should be: read it to its end by page numbers. */
  readonly unordered: boolean
}

const stamped = z.looseObject({ id: z.string(), created_at: z.string() })

interface Stamp {
  readonly id: string
  readonly ms: number
  readonly resolutionMs: number
}

/**
 * Walks an organization's builds, newest first.
 * @throws DeepListingError where more builds than Buildkite will list share one moment of creation, or come unordered.
 */
export async function* walkBuilds(
  transport: Transport,
  organization: string,
  filter: BuildsFilter,
  options: { priority: Priority; signal?: AbortSignal | undefined; slowMs: number },
): AsyncGenerator<BuildsPage> {
  const path = buildsPath(organization, filter.pipeline)
  const asked: ListOptions = { ...options, organization, scope: 'read_builds' }
  const size = new PageSize(options.slowMs)
  const news = new News()
  let place = start(filter.created_to.getTime())
  for (;;) {
    const { to, offset } = place
    const page = await numberedPage(
      transport,
      (query) => `${path}?${queryOf(filter, to)}&${query}`,
      offset,
      size,
      asked,
    )
    if (page.more) news.expect(page.value)
    const stamps = page.value.map(stampOf)
    const again = rewound(place, stamps)
    if (again) {
      place = again
      continue
    }
    const { seen } = place
    const value = page.value.filter((_, index) => !seen.has(stamps[index]?.id ?? ''))
    if (!page.more) {
      yield { value, at: page.at, walkedTo: filter.created_from ?? new Date(0), last: true }
      return
    }
    place = advanced(place, stamps, page.offset)
    yield { value, at: page.at, walkedTo: new Date(place.to), last: false }
  }
}

/** The path of the list of an organization's builds, or of one pipeline's. */
export function buildsPath(organization: string, pipeline?: string): string {
  const within = pipeline === undefined ? '' : `/pipelines/${encodeURIComponent(pipeline)}`
  return `/organizations/${encodeURIComponent(organization)}${within}/builds`
}

function start(to: number): Place {
  return { to, offset: 0, seen: new Map(), seam: new Set(), coarse: false, unordered: false }
}

/**
 * The place to look again when a page does not repeat the builds at its seam: either they no longer match, or the server
 * drops the milliseconds of `created_to` and has skipped what it should show. Whole seconds are right in both cases.
 */
function rewound(place: Place, stamps: readonly (Stamp | undefined)[]): Place | undefined {
  if (place.coarse || place.seam.size === 0 || place.to % 1000 === 0) return undefined
  if (stamps.some((stamp) => stamp && place.seam.has(stamp.id))) return undefined
  return { ...place, to: Math.ceil(place.to / 1000) * 1000, seam: new Set(), coarse: true }
}

function advanced(place: Place, stamps: readonly (Stamp | undefined)[], offset: number): Place {
  const seen = new Map(place.seen)
  for (const stamp of stamps) if (stamp) seen.set(stamp.id, stamp.ms)
  const oldest = stamps.at(-1)
  const unordered = place.unordered || !inOrder(stamps, place.to)
  // Without order, what is still missing may be anywhere: the page numbers lead on from here to the end of the list.
  if (unordered || !oldest) return { ...place, offset, seen, seam: new Set(), unordered }
  const from = Math.floor(oldest.ms / 1000) * 1000
  const to = place.coarse ? from + 1000 : oldest.ms + oldest.resolutionMs
  if (to >= place.to) return { ...place, offset, seen, seam: new Set() }
  const repeatable = [...seen].filter(([, ms]) => ms >= from && ms < from + 1000)
  const seam = repeatable.filter(([, ms]) => ms < to).map(([id]) => id)
  return { ...place, to, offset: 0, seen: new Map(repeatable), seam: new Set(seam) }
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

function stampOf(build: unknown): Stamp | undefined {
  const parsed = stamped.safeParse(build)
  const moment = parsed.success ? readMoment(parsed.data.created_at) : undefined
  return parsed.success && moment ? { id: parsed.data.id, ...moment } : undefined
}

function queryOf(filter: BuildsFilter, to: number): string {
  const query = new URLSearchParams()
  if (filter.created_from) query.set('created_from', filter.created_from.toISOString())
  query.set('created_to', new Date(to).toISOString())
  if (filter.finished_from) query.set('finished_from', filter.finished_from.toISOString())
  for (const state of filter.state ?? []) query.append('state[]', state)
  query.set('include_retried_jobs', 'true')
  query.set('exclude_pipeline', 'true')
  return query.toString()
}
