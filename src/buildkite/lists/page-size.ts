import { type Clock, HOUR } from '../../runtime/time.ts'

/** Each size divides the previous one, so that a position in a list of builds is still a whole page when the size falls. */
const sizes: readonly number[] = [100, 50, 25, 5, 1]

/** Pages grow again after this many fast responses in a row. */
const GROW_AFTER = 3

/** How many objects to request at a time: as many as Buildkite allows, fewer while its responses are too slow or too large. */
export class PageSize {
  #step = 0
  #quick = 0
  readonly #slowMs: number

  /** `slowMs`: a slower response makes the next pages smaller. */
  constructor(slowMs: number) {
    this.#slowMs = slowMs
  }

  /** The maximum number of objects for the next page. */
  largest(): number {
    if (this.#step > 0 && this.#quick >= GROW_AFTER) {
      this.#quick = 0
      this.#step -= 1
    }
    return sizes[this.#step] ?? 1
  }

  shrink(): void {
    this.#quick = 0
    this.#step = Math.min(this.#step + 1, sizes.length - 1)
  }

  /** Records how long a complete response took. */
  answered(tookMs: number): void {
    // Pages of one object would only cost more requests. A response that is much too slow fails, and shrinks the page anyway.
    if (tookMs > this.#slowMs && (sizes[this.#step] ?? 1) > 5) this.shrink()
    else if (tookMs < this.#slowMs / 4) this.#quick += 1
  }
}

/** Target size of a page of builds with jobs. Larger pages are slow to generate, send and parse. */
const AIM_BYTES = 4_000_000

/** The expected bytes per build are averaged over about this many builds. */
const REMEMBERED_BUILDS = 100

/** Page limit until this many builds with jobs have been seen, because their size is not known yet. */
const FIRST_BUILDS = 25

/**
 * The page size for one kind of builds list (one organization, all its builds or one pipeline's, with or without jobs). It is
 * stored across walks, so the next walk does not retry a size that was too large.
 */
export class BuildsPageSize {
  readonly #options: { slowMs: number; clock: Clock; jobs: boolean }
  #largest = 100
  #quick = 0
  #growAfter = GROW_AFTER
  /** When each size failed last. */
  readonly #failedAt = new Map<number, number>()
  /** Recent builds and their bytes. */
  #builds = 0
  #bytes = 0
  /** Builds listed without jobs since a page with jobs was last tried. */
  #withoutJobs = 0
  #tryJobsAfter = 5
  #tooLargeInRow = 0

  constructor(options: { slowMs: number; clock: Clock; jobs: boolean }) {
    this.#options = options
  }

  /** The size for a page that begins `offset` builds into a list, no larger than `limit`. */
  at(offset: number, limit: number): number {
    const most = Math.min(limit, this.#largest, this.#expected())
    return sizes.find((size) => size <= most && offset % size === 0 && !this.#hasFailed(size)) ?? 1
  }

  /** Whether a single build is expected to exceed the target. Such builds are listed without jobs, with an occasional retry. */
  isTooLarge(mayTest: boolean): boolean {
    if (this.#builds === 0 || this.#bytes / this.#builds <= AIM_BYTES) return false
    return !mayTest || this.#withoutJobs < this.#tryJobsAfter
  }

  listedWithoutJobs(builds: number): void {
    this.#withoutJobs += builds
  }

  /** Records a complete response. The size grows after full, fast pages of the current largest size. */
  answered(size: number, { tookMs, bytes, builds }: { tookMs: number; bytes: number; builds: number }): void {
    if (builds > 0) this.#seen(bytes, builds)
    const { slowMs } = this.#options
    if (tookMs > slowMs) {
      this.#shrink(size)
    } else if (tookMs < slowMs / 4 && size >= this.#largest && builds >= size) {
      this.#quick += 1
      if (this.#quick >= this.#growAfter) this.#grow()
    }
  }

  /** Records that pages of `size` fail although smaller ones succeed. They are not requested again for an hour. */
  failed(size: number): void {
    this.#failedAt.set(size, this.#options.clock())
    this.#shrink(size)
  }

  /**
   * Records that pages of these sizes failed because of one build. They may be used again, one size larger with each successful
   * page, because similar builds are often close together.
   */
  failedForOneBuild(pages: Iterable<number>): void {
    for (const size of pages) this.#failedAt.delete(size)
    this.#largest = Math.min(this.#largest, 5)
    this.#quick = 0
    this.#growAfter = 1
  }

  /** Records that a build cannot be listed with its jobs. After three in a row, the next builds are expected to be the same. */
  tooLargeWithJobs(): void {
    this.#tooLargeInRow += 1
    if (this.#tooLargeInRow >= 3 || this.isTooLarge(false)) this.#expect(2 * AIM_BYTES, 1)
  }

  #seen(bytes: number, builds: number): void {
    this.#tooLargeInRow = 0
    const changed = this.isTooLarge(false) && bytes / builds <= AIM_BYTES
    const kept = changed ? 0 : Math.min(1, REMEMBERED_BUILDS / this.#builds)
    this.#expect(this.#bytes * kept + bytes, this.#builds * kept + builds)
  }

  #expect(bytes: number, builds: number): void {
    const wasTooLarge = this.isTooLarge(false)
    this.#bytes = bytes
    this.#builds = builds
    this.#withoutJobs = 0
    this.#tryJobsAfter = wasTooLarge && this.isTooLarge(false) ? Math.min(100, this.#tryJobsAfter * 5) : 5
  }

  #shrink(size: number): void {
    this.#largest = Math.min(this.#largest, sizes.find((smaller) => smaller < size) ?? 1)
    this.#quick = 0
    this.#growAfter = GROW_AFTER
  }

  #grow(): void {
    const larger = sizes.findLast((size) => size > this.#largest)
    if (larger === undefined || this.#hasFailed(larger)) return
    this.#largest = larger
    this.#quick = 0
    if (larger === sizes[0]) this.#growAfter = GROW_AFTER
  }

  /** The largest number of builds that is expected to stay below the target. */
  #expected(): number {
    if (!this.#options.jobs) return 100
    const fitting = this.#builds > 0 ? AIM_BYTES / (this.#bytes / this.#builds) : 100
    return this.#builds < FIRST_BUILDS ? Math.min(FIRST_BUILDS, fitting) : fitting
  }

  /** Whether this or a smaller size failed within the last hour. Failures dated further in the future (clock set back) are ignored. */
  #hasFailed(size: number): boolean {
    const now = this.#options.clock()
    return [...this.#failedAt].some(([failed, at]) => failed <= size && size > 1 && Math.abs(now - at) < HOUR)
  }
}
