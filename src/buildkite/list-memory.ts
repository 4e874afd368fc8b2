import { type Clock, DAY } from '../time.ts'
import { BuildsPageSize } from './page-size.ts'
import type { Stamp } from './place.ts'

/** Lists of more kinds than this are rare; the one used longest ago is forgotten. */
const KINDS = 2_000

/** In one list, the newest builds too large for it are remembered, up to this many. */
const TOO_LARGE = 20

/** A build that a list shows only without its jobs. */
export interface LargeBuild extends Stamp {
  readonly seenAt: number
}

/** What walks over builds learned of the lists, for the next walks of the same client. */
export class ListMemory {
  /** Whether the server has shown that it heeds the milliseconds of `created_to`. */
  heedsMilliseconds = false
  readonly #clock: Clock
  readonly #slowMs: number
  readonly #sizes = new Map<string, BuildsPageSize>()
  /** When the whole answer of a build's own address failed. */
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

  /** The builds that the list `key` shows only without their jobs, newest first. Forgotten after a day. */
  largeBuilds(key: string): readonly LargeBuild[] {
    const now = this.#clock()
    return (this.#large.get(key) ?? []).filter(({ seenAt }) => Math.abs(now - seenAt) < DAY)
  }

  addLargeBuild(key: string, build: Stamp): void {
    const others = this.largeBuilds(key).filter(({ id }) => id !== build.id)
    const all = [...others, { ...build, seenAt: this.#clock() }].sort((a, b) => b.ms - a.ms)
    use(this.#large, key, all.slice(0, TOO_LARGE))
  }

  /** Forgets a build that the list does not show any more. */
  dropLargeBuild(key: string, { id }: Stamp): void {
    const others = this.largeBuilds(key).filter((build) => build.id !== id)
    if (others.length > 0) this.#large.set(key, others)
    else this.#large.delete(key)
  }

  /** Whether the whole answer of a build's own address has failed within a day, so that it is read in parts. */
  isTooLarge(path: string): boolean {
    const at = this.#tooLarge.get(path)
    return at !== undefined && Math.abs(this.#clock() - at) < DAY
  }

  setTooLarge(path: string): void {
    if (!this.isTooLarge(path)) use(this.#tooLarge, path, this.#clock())
  }
}

/** Puts an entry last, and drops the first of too many. */
function use<T>(map: Map<string, T>, key: string, value: T): T {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > KINDS && oldest !== undefined) map.delete(oldest)
  return value
}
