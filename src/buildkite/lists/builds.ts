import type { BuildkiteError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { SECOND } from '../../runtime/time.ts'
import type { Priority } from '../http/budget.ts'
import type { Transport } from '../http/transport.ts'
import { BuildsList, type ListPage } from './builds-list.ts'
import type { ListMemory } from './list-memory.ts'
import { type ApiRead, News } from './lists.ts'
import type { Bounds } from './locate.ts'
import {
  advanced,
  continuedAt,
  floorSecond,
  fromTheTop,
  type Place,
  rewound,
  type Stamp,
  stampOf,
  startAt,
} from './place.ts'
import { avoidedRanges, belowAvoided, type Range, type Section, sectionAt } from './section.ts'

/** Which builds to list: half-open in `created_at`, includes `created_from` and excludes `created_to`. */
export interface BuildsFilter {
  readonly created_from?: Date | undefined
  readonly created_to: Date
  readonly finished_from?: Date | undefined
  readonly state?: readonly string[] | undefined
  /** The slug of a pipeline, to list only its builds. */
  readonly pipeline?: string | undefined
  /** Whether to list builds with their jobs. Default true. */
  readonly jobs?: boolean | undefined
  /** Ranges of `created_at` that are known to be unlistable. The walk avoids each, at the cost of at most one request. */
  readonly avoid?: readonly Range[] | undefined
  /** Upper limit of the page size. 1 makes it cheap to check whether a range is still unlistable. */
  readonly maxPageSize?: number | undefined
}

/**
 * A range of `created_at` with unlistable builds. It lies between the listed builds above and below it, and
 * includes them only if an unlistable build was created in the same millisecond.
 */
export interface UnlistableRange extends Range {
  readonly error: BuildkiteError
}

/** A page of builds, newest first, without builds from earlier pages of the same walk. */
export interface BuildsPage extends ApiRead<unknown[]> {
  /** Whether the builds include their jobs. If false, the jobs must be read separately. */
  readonly jobs: boolean
  /** Every listable build that matches and was created in [walkedTo, created_to) has been read. A walk can resume from here. */
  readonly walkedTo: Date
  /** Ranges found since the previous page. */
  readonly unlistable: readonly UnlistableRange[]
  /** How many requests were made since the previous page. */
  readonly requests: number
  readonly last: boolean
}

/**
 * Walks an organization's builds, newest first.
 * @throws DeepListingError if more builds than Buildkite lists have the same creation time, or are not in order.
 */
export async function* walkBuilds(
  transport: Transport,
  organization: string,
  filter: BuildsFilter,
  options: WalkOptions,
): AsyncGenerator<BuildsPage> {
  const walk = new Walk(transport, organization, filter, options)
  while (!walk.ended) {
    const page = await walk.next()
    if (page) yield page
  }
}

type WalkOptions = { priority: Priority; signal?: AbortSignal | undefined; memory: ListMemory; log?: Log | undefined }

/** A build that fails, but can be listed when checked, is requested again. After this many times in a row the walk throws its error. */
const DOUBTS = 3

class Walk {
  ended = false
  readonly #filter: BuildsFilter
  readonly #list: BuildsList
  readonly #memory: ListMemory
  /** Walks the list of the whole organization, if this list shows only some of its builds. */
  readonly #walkAll: ((range: Bounds, avoid: readonly Range[]) => AsyncGenerator<BuildsPage>) | undefined
  #avoid: readonly Range[]
  readonly #bottom: number
  /** Key of the list in the memory of builds that are too large for it. */
  readonly #key: string
  readonly #news = new News()
  #place: Place
  #section: Section | undefined
  #unlistable: UnlistableRange[] = []
  /** Builds created at or after this time are read, or lie in a range reported as unlistable. */
  #reported = Number.POSITIVE_INFINITY
  #doubts = 0

  constructor(transport: Transport, organization: string, filter: BuildsFilter, options: WalkOptions) {
    const { pipeline, finished_from, state, maxPageSize, created_from, created_to } = filter
    this.#filter = filter
    this.#list = new BuildsList(transport, { organization, pipeline, finished_from, state, maxPageSize }, options)
    this.#memory = options.memory
    const isPartial = pipeline !== undefined || finished_from !== undefined || state !== undefined
    if (isPartial) {
      this.#walkAll = ({ from, to }, avoid) =>
        walkBuilds(
          transport,
          organization,
          { created_from: new Date(from), created_to: new Date(to), jobs: false, avoid },
          options,
        )
    }
    this.#avoid = avoidedRanges(filter.avoid)
    this.#key = JSON.stringify([organization, pipeline ?? null, state ?? null, finished_from !== undefined])
    const to = belowAvoided(created_to.getTime(), this.#avoid)
    // If the whole range is avoided, an empty list still provides the time.
    this.#bottom = created_from?.getTime() ?? 0
    this.#place = startAt(Math.max(to, this.#bottom))
  }

  /** Reads the next page. Undefined when there is no new page yet. */
  async next(): Promise<BuildsPage | undefined> {
    const place = this.#place
    // An unordered list cannot be divided into sections: read it to its end.
    const section = place.unordered && this.#section ? this.#section : this.#sectionAt(place)
    this.#section = section
    const page = await this.#list.read(place, section)
    if ('unlistable' in page) return this.#passOver(place, section, page.unlistable)
    if (await this.#list.isShifted(place, section, page.value[0])) {
      this.#place = fromTheTop(place)
      return undefined
    }
    if (page.more) this.#news.expect(page.value)
    return this.#take(place, section, page)
  }

  #sectionAt(place: Place): Section {
    const wantsJobs = this.#filter.jobs !== false
    return sectionAt(place, {
      from: this.#filter.created_from?.getTime(),
      avoid: this.#avoid,
      large: wantsJobs ? this.#memory.largeBuilds(this.#key) : undefined,
      coarse: place.coarse || !this.#memory.heedsMilliseconds,
    })
  }

  #take(place: Place, section: Section, page: ListPage): BuildsPage | undefined {
    const stamps = page.value.map(stampOf)
    const { large } = section
    if (large && place.seam.has(large.id) && !stamps.some((stamp) => stamp?.id === large.id)) {
      this.#memory.dropLargeBuild(this.#key, large)
    }
    if (this.#rewind(place, stamps)) return undefined
    if (!place.coarse && place.to % SECOND !== 0 && place.seam.size > 0) this.#memory.heedsMilliseconds = true
    this.#doubts = 0
    const [first] = stamps
    if (page.large && first) this.#memory.addLargeBuild(this.#key, first)
    const value = page.value.filter((_, index) => !place.seen.has(stamps[index]?.id ?? ''))
    this.#list.position += value.length
    const after = advanced(place, stamps, page.size)
    if (page.more) this.#place = after
    else this.#endSection(after, section)
    return this.#page(value, page)
  }

  #rewind(place: Place, stamps: readonly (Stamp | undefined)[]): boolean {
    const again = rewound(place, stamps)
    if (!again) return false
    this.#place = again
    this.#widen(place.to, again.to - SECOND)
    return true
  }

  /** Continues below a section that has been read to its end. */
  #endSection(place: Place, { from }: Section): void {
    const to = from === undefined ? this.#bottom : belowAvoided(from, this.#avoid)
    if (to <= this.#bottom) {
      this.ended = true
      this.#place = startAt(this.#bottom)
      return
    }
    const below = continuedAt(place, to)
    const { large } = this.#sectionAt(below)
    this.#place = large ? continuedAt(place, to, large) : below
  }

  async #passOver(place: Place, section: Section, error: BuildkiteError): Promise<BuildsPage | undefined> {
    if (this.#walkAll) return this.#passOverInAll(place, section, error, this.#walkAll)
    const passed = await this.#list.passOver(place, section, error)
    if (!passed) return this.#doubt(error)
    // The unlistable build may be at the seam, where the server should have repeated a build.
    if (this.#rewind(place, [])) return undefined
    this.#report(passed, error)
    if (passed.next) {
      this.#place = passed.next
      return undefined
    }
    this.#endSection(place, section)
    return this.ended ? this.#page([], { at: passed.at, jobs: false }) : undefined
  }

  /**
   * Skips the unlistable builds around the one at `place`, with the ranges that the organization's list shows. In this list its neighbours
   * may be years apart, with builds in between that can be listed elsewhere.
   */
  async #passOverInAll(
    place: Place,
    section: Section,
    error: BuildkiteError,
    walkAll: (range: Bounds, avoid: readonly Range[]) => AsyncGenerator<BuildsPage>,
  ): Promise<BuildsPage | undefined> {
    if (this.#rewind(place, [])) return undefined
    const located = await this.#list.locate(place, section, error)
    if (!located) return this.#doubt(error)
    const found: UnlistableRange[] = []
    let at: Date | undefined
    // Whole seconds, so that a server that drops milliseconds does not exclude the build.
    const whole = { from: floorSecond(located.from), to: floorSecond(located.to + SECOND - 1) }
    for await (const page of walkAll(whole, this.#avoid)) {
      this.#list.pages.requests += page.requests
      found.push(...page.unlistable)
      at = page.at
    }
    if (!at || found.length === 0) return this.#doubt(error)
    for (const range of found) this.#report({ from: range.from.getTime(), to: range.to.getTime() }, range.error)
    this.#avoid = avoidedRanges([...this.#avoid, ...found])
    const to = belowAvoided(place.to, this.#avoid)
    if (to < place.to) this.#endSection(place, { ...section, from: to })
    // Finding these ranges took many requests, so report them at once.
    return this.#page([], { at, jobs: false })
  }

  /** The build seems to be listable now. The walk requests it again, but only a few times. */
  #doubt(error: BuildkiteError): undefined {
    this.#doubts += 1
    if (this.#doubts >= DOUBTS) throw error
  }

  #report({ from, to: end }: Bounds, error: BuildkiteError): void {
    const to = Math.min(end, this.#reported)
    if (from >= to) return
    this.#unlistable.push({ from: new Date(from), to: new Date(to), error })
    this.#reported = from
  }

  /** If the server drops milliseconds, an unlistable build may be hidden in the second in which the last range begins. */
  #widen(from: number, second: number): void {
    const last = this.#unlistable.at(-1)
    if (!last || last.from.getTime() !== from) return
    this.#unlistable[this.#unlistable.length - 1] = { ...last, from: new Date(second) }
    this.#reported = second
  }

  #page(value: unknown[], { at, jobs }: { at: Date; jobs: boolean }): BuildsPage {
    const unlistable = this.#unlistable
    const { requests } = this.#list.pages
    this.#unlistable = []
    this.#list.pages.requests = 0
    return { value, at, jobs, unlistable, requests, walkedTo: new Date(this.#place.to), last: this.ended }
  }
}
