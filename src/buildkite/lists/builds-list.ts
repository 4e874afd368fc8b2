import type { BuildkiteError } from '../../runtime/errors.ts'
import { SECOND } from '../../runtime/time.ts'
import { FailedAnswerError } from '../http/refusal.ts'
import type { Transport } from '../http/transport.ts'
import { BuildsPages, type ListFilter, type ListOptions, type Page } from './builds-pages.ts'
import { type Bounds, locateNewest } from './locate.ts'
import { continuedAt, momentAfter, momentOf, type Place, type Stamp, stampOf } from './place.ts'
import type { Section } from './section.ts'

export interface ListPage extends Page {
  readonly jobs: boolean
  /** The requested page size. */
  readonly size: number
  /** The page contains a single build, which cannot be listed with its jobs. */
  readonly large: boolean
}

/** Unlistable builds, and where a walk can resume. */
export interface Passed {
  /** Half-open, in milliseconds. */
  readonly from: number
  readonly to: number
  readonly at: Date
  /** Undefined at the end of the section. */
  readonly next: Place | undefined
}

/** This many unlistable builds in a row are checked individually; after that the steps double. */
const ONE_BY_ONE = 5

/** A walk skips at most this many unlistable builds in a row, then throws their error. */
const MOST_IN_A_ROW = 1_000

/** The time of an answer may be this far behind Buildkite's clock. */
const CLOCK_MARGIN = 5 * SECOND

/**
 * Reads the pages of one builds list, and finds the builds that make a page fail.
 *
 * The first page size is the one that worked before. A page that fails is requested again at once in the next smaller size (100,
 * 50, 25, 5, 1), then without jobs. If a single build fails without jobs too, it is unlistable.
 *
 * An unlistable build costs at most 9 failed requests: 5 sizes, one without jobs, one that checks its range, and 2 more if it is the
 * organization's newest. (The newest also shows whether the API is up.) At the time-out of 30 s each, that is under 5 minutes. In total it
 * costs at most about 30 requests more than a walk without it, because the pages around it are smaller. In a list that shows only some
 * builds of the organization, it costs twice as much, because the organization's list must find it too. More than 5 in a row cost about
 * 35 more requests; most of them fail. These costs occur once: after that the caller avoids the range, or this client lists the build
 * without jobs for a day.
 */
export class BuildsList {
  readonly pages: BuildsPages
  /** New builds read so far. */
  position = 0
  readonly #filter: ListFilter
  readonly #options: ListOptions
  /** Pages that failed although smaller ones succeeded. */
  #failed: { jobs: boolean; size: number; position: number }[] = []

  constructor(transport: Transport, filter: ListFilter, options: ListOptions) {
    this.pages = new BuildsPages(transport, filter, options)
    this.#filter = filter
    this.#options = options
  }

  /**
   * The next page, or the error of an unlistable build at `place`.
   * @throws BuildkiteError when Buildkite refuses the request, or no list succeeds.
   */
  async read(place: Place, section: Section): Promise<ListPage | { unlistable: FailedAnswerError }> {
    const isFresh = place.offset === 0 && place.seen.size === 0
    let jobs = section.jobs && !this.pages.sizeOf(true).isTooLarge(isFresh)
    let limit = Math.min(place.size, this.#filter.maxPageSize ?? 100)
    let failed: number[] = []
    let checked = false
    for (let troubles = 0; ; ) {
      const size = this.pages.sizeOf(jobs).at(place.offset, limit)
      try {
        const page = await this.pages.read({
          from: section.from,
          to: place.to,
          jobs,
          size,
          page: place.offset / size + 1,
        })
        const large = section.jobs && !jobs && failed.includes(1)
        if (large) this.#foundLarge()
        else this.#foundTooLong(jobs, failed)
        if (section.jobs && !jobs) this.pages.sizeOf(true).listedWithoutJobs(page.value.length)
        return { ...page, jobs, size, large }
      } catch (error) {
        if (!(error instanceof FailedAnswerError)) throw error
        troubles += 1
        const isLast = size === 1 && !jobs
        this.#options.log?.warn({ per_page: size, jobs }, `A page of builds failed. ${error.message}`)
        if (!checked && (troubles === 2 || isLast)) {
          checked = true
          if (await this.pages.wasDown()) {
            // The API was down, so earlier failures are no evidence about the page size.
            failed = []
            continue
          }
        }
        if (isLast) return { unlistable: error }
        failed.push(size)
        limit = size - 1
        if (size === 1) {
          jobs = false
          limit = 1
        }
      }
    }
  }

  /**
   * Whether the builds above `place` were fewer when the page that begins with `first` was read: they left the list, or the list lagged
   * and did not have them yet. Then the page number of `place` skipped builds. The last build above `place` and `first` must be neighbours
   * in one response, because two responses may lag differently. Costs one request, without jobs. @throws BuildkiteError
   */
  async isShifted({ to, offset, newer, unordered, hold }: Place, { from }: Section, first: unknown): Promise<boolean> {
    // With an unlistable build above, or without order, it is not known which build is the last one before `place`.
    if (offset === 0 || unordered || Number.isFinite(hold)) return false
    const size = sizeAcross(offset)
    // With retries: a passing error must not weaken the check.
    const both = await this.pages.readIfAny({
      from,
      to,
      jobs: false,
      size,
      page: Math.floor(offset / size) + 1,
      tries: undefined,
    })
    if (both) {
      const [before, after] = [both.value[(offset % size) - 1], both.value[offset % size]].map(stampOf)
      return before?.id !== newer?.id || after?.id !== stampOf(first)?.id
    }
    // A build below `first` may be unlistable. Then only the one above is compared.
    const above = await this.pages.read({ from, to, jobs: false, size: 1, page: offset, tries: undefined })
    return stampOf(above.value[0])?.id !== newer?.id
  }

  /**
   * Finds the next listable build below the unlistable one at `place`. Undefined: the one at `place` can be listed now.
   * Costs 3 requests for one unlistable build and 2 for each of the next four. More than five in a row cost about 35, and a few of the
   * skipped builds may be listable. Costs 1 more if they share a millisecond with a build that is listed.
   * @throws the error, if no listable build is found.
   */
  async passOver(place: Place, section: Section, error: BuildkiteError): Promise<Passed | undefined> {
    if (place.unordered) throw error
    const found = await this.#nextListable(place, section, error)
    const [build] = found.value
    const older = stampOf(build)
    if (build !== undefined && (!older || older.ms > (place.newer?.ms ?? place.to - 1))) throw error
    const single = { jobs: false, size: 1 }
    const rechecked = Math.min(found.passed - 1, ONE_BY_ONE - 1)
    for (let page = place.offset + 1; page <= place.offset + rechecked; page += 1) {
      if (await this.pages.readIfAny({ from: section.from, to: place.to, ...single, page })) return undefined
    }
    // Strictly between the neighbours there must be as many builds as were skipped. Otherwise one of them was created in the same
    // millisecond as a neighbour, and the range must include that neighbour.
    const from = older ? momentAfter(older, place.coarse) : section.from
    // Not later than now: an avoided range must not hide future builds.
    const present = found.at.getTime() + CLOCK_MARGIN
    const to = place.newer ? momentOf(place.newer, place.coarse) : Math.min(place.to, present)
    const between = from === undefined || from < to
    const listed = between ? await this.pages.readIfAny({ from, to, ...single, page: found.passed }) : undefined
    if (listed && listed.value.length > 0) return undefined
    if (between && !listed) {
      this.#foundUnlistable()
      return {
        from: from ?? 0,
        to,
        at: found.at,
        next: older && continuedAt(place, momentAfter(older, place.coarse), older),
      }
    }
    const last = place.offset + found.passed
    if (await this.pages.readIfAny({ from: section.from, to: place.to, ...single, page: last })) return undefined
    this.#foundUnlistable()
    return { ...around(place, section, older), at: found.at, next: older && heldAt(place, last, older) }
  }

  /**
   * Finds, to a minute, when the unlistable build at `place` was created: in a list of few builds, its neighbours may be far away.
   * Undefined: the build can be listed now.
   */
  async locate(place: Place, section: Section, error: BuildkiteError): Promise<Bounds | undefined> {
    if (place.unordered) throw error
    const found = await locateNewest({ from: section.from ?? 0, to: place.to }, async (from) => {
      const page = await this.pages.readIfAny({ from, to: place.to, jobs: false, size: 1, page: place.offset + 1 })
      if (!page) return 'failure'
      return page.value.length > 0 ? 'a build' : 'nothing'
    })
    if (found) this.#foundUnlistable()
    return found
  }

  /** The first listable build after `place`, or the end of the list, and how many builds were skipped. */
  async #nextListable(place: Place, section: Section, error: BuildkiteError): Promise<Page & { passed: number }> {
    const below = (passed: number) =>
      this.pages.readIfAny({ from: section.from, to: place.to, jobs: false, size: 1, page: place.offset + passed + 1 })
    for (let passed = 1; passed <= ONE_BY_ONE; passed += 1) {
      const found = await below(passed)
      if (found) return { ...found, passed }
    }
    let unlistable = ONE_BY_ONE
    for (let step = 1; unlistable + step <= MOST_IN_A_ROW; step *= 2) {
      const found = await below(unlistable + step)
      // So many in a row are rare: maybe the API was down. If it is up now, the skipped builds must fail again.
      if (found) await this.pages.wasDown()
      if (found) return this.#firstListable(below, unlistable, { ...found, passed: unlistable + step })
      unlistable += step
    }
    throw error
  }

  /** Bisects between an unlistable build and a listed one below it, until they are neighbours. */
  async #firstListable(
    below: (passed: number) => Promise<Page | undefined>,
    unlistable: number,
    listed: Page & { passed: number },
  ): Promise<Page & { passed: number }> {
    if (listed.passed - unlistable <= 1) return listed
    const passed = Math.floor((unlistable + listed.passed) / 2)
    const found = await below(passed)
    if (found) return this.#firstListable(below, unlistable, { ...found, passed })
    return this.#firstListable(below, passed, listed)
  }

  #foundTooLong(jobs: boolean, sizes: readonly number[]): void {
    const { position } = this
    for (const size of sizes) {
      this.pages.sizeOf(jobs).failed(size)
      this.#failed.push({ jobs, size, position })
    }
  }

  #foundLarge(): void {
    this.#explain(true)
    this.pages.sizeOf(true).tooLargeWithJobs()
  }

  #foundUnlistable(): void {
    this.#explain(true)
    this.#explain(false)
  }

  /** The pages that contained the build at `position` failed because of it, not because of their size. */
  #explain(jobs: boolean): void {
    const isExplained = (one: { jobs: boolean; size: number; position: number }) =>
      one.jobs === jobs && one.position + one.size > this.position
    this.pages.sizeOf(jobs).failedForOneBuild(this.#failed.filter(isExplained).map(({ size }) => size))
    this.#failed = this.#failed.filter((one) => !isExplained(one))
  }
}

/** A page size that shows the builds before and after `offset` on one page, which ends with the one after it if a size allows that. */
function sizeAcross(offset: number): number {
  const sizes = Array.from({ length: 99 }, (_, index) => index + 2)
  return sizes.find((size) => (offset + 1) % size === 0) ?? sizes.find((size) => offset % size !== 0) ?? 100
}

/** The range that contains the builds skipped at `place`, including their neighbours. */
function around(place: Place, section: Section, older: Stamp | undefined): { from: number; to: number } {
  return {
    from: older ? momentOf(older, place.coarse) : (section.from ?? 0),
    to: place.newer ? momentAfter(place.newer, place.coarse) : place.to,
  }
}

/** Continues by page number from here until no build has the same created_at as the unlistable one. */
function heldAt(place: Place, offset: number, older: Stamp): Place {
  return { ...place, offset, size: 1, seam: new Set(), hold: Math.min(place.hold, momentOf(older, place.coarse)) }
}
