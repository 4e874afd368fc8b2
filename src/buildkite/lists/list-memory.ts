import { type Clock, DAY } from '../../runtime/time.ts'
import { BuildsPageSize } from './page-size.ts'
import type { Stamp } from './place.ts'

/** How many lists are remembered; the least recently used one is dropped. */
const KINDS = 2_000

/** How many builds that are too large are remembered for each list, newest first. */
const TOO_LARGE = 20

/** A build that a list shows only without its jobs. */
export interface LargeBuild extends Stamp {
  readonly seenAt: number
}

/** What earlier walks of the same client learned about its lists. */
export class ListMemory {
  /** Whether the server is known to respect the milliseconds of `created_to`. */
  heedsMilliseconds = false
  readonly #clock: Clock
  readonly #slowMs: number
  readonly #sizes = new Map<string, BuildsPageSize>()
  /** When the full response of a single build failed. */
  readonly #tooLarge = new Map<string, number>()
  readonly #large = new Map<string, readonly LargeBuild[]>()

  constructor({ clock, slowMs }: { clock: Clock; slowMs: number }) {
    this.#clock = clock
    this.#slowMs = slowMs
  }

  /** The page size for the builds of one organization, or of one pipeline, with or without their jobs. */
  sizeOf(organization: string, pipeline: string | undefined, jobs: boolean): BuildsPageSize {
    const key = JSON.stringify([organization, pipeline ?? null, jobs])
    const known = this.#sizes.get(key)
    return use(this.#sizes, key, known ?? new BuildsPageSize({ slowMs: this.#slowMs, clock: this.#clock, jobs }))
  }

  /** The builds that the list `key` shows only without jobs, newest first. Forgotten after a day. */
  largeBuilds(key: string): readonly LargeBuild[] {
    const now = this.#clock()
    return (this.#large.get(key) ?? []).filter(({ seenAt }) => Math.abs(now - seenAt) < DAY)
  }

  addLargeBuild(key: string, build: Stamp): void {
    const others = this.largeBuilds(key).filter(({ id }) => id !== build.id)
    const all = [...others, { ...build, seenAt: this.#clock() }].sort((a, b) => b.ms - a.ms)
    use(this.#large, key, all.slice(0, TOO_LARGE))
  }

  /** Forgets a build that the list no longer shows. */
  dropLargeBuild(key: string, { id }: Stamp): void {
    const others = this.largeBuilds(key).filter((build) => build.id !== id)
    if (others.length > 0) this.#large.set(key, others)
    else this.#large.delete(key)
  }

  /** Whether the full response of a single build failed within the last day; then it is read in parts. */
  isTooLarge(path: string): boolean {
    const at = this.#tooLarge.get(path)
    return at !== undefined && Math.abs(this.#clock() - at) < DAY
  }

  setTooLarge(path: string): void {
    if (!this.isTooLarge(path)) use(this.#tooLarge, path, this.#clock())
  }
}

/** Moves an entry to the end, and drops the first when there are too many. */
function use<T>(map: Map<string, T>, key: string, value: T): T {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > KINDS && oldest !== undefined) map.delete(oldest)
  return value
}
