const KiB = 1024
const MiB = 1024 * KiB

/** The largest accepted body. */
export const bodyLimit = 10 * MiB

/**
 * The most memory that bodies of unanswered requests use, in bytes. Buildkite documents no largest payload. A webhook contains no jobs
 * and no env (docs/reference/buildkite.md), so it has 2 to 4 kB; even one a hundred times as large is small here. Of the largest
 * accepted bodies, three fit at once from proven addresses, two from unproven ones, and one from one unproven address.
 */
const bounds = {
  total: 48 * MiB,
  /** Unproven addresses together. The rest stays for proven ones. */
  unproven: 26 * MiB,
  /** One unproven address. */
  address: 12 * MiB,
}

/** What larger bodies must leave free of `total` and `unproven`, so that they never delay smaller ones. */
const reserves = [
  { upTo: 16 * KiB, total: 0, unproven: 0 },
  { upTo: MiB, total: 8 * MiB, unproven: 4 * MiB },
  { upTo: bodyLimit, total: 16 * MiB, unproven: 6 * MiB },
]

/** Bodies are read into buffers of these sizes. They are used again, because V8 would free those of a flood too late. */
const sizes = [16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB, bodyLimit]

/** The memory of one request's body. */
export interface BodyShare {
  /** A buffer of `bytes` or more that begins with the content of the one before, or `undefined` if the body may not use so much. */
  grow(bytes: number): Buffer | undefined
  /** Gives the buffer back; nobody may read it any more. Further calls do nothing. */
  release(): void
}

/** Bounds the bytes of all bodies in memory. It counts what is received, not what is announced, because announcing costs a client nothing. */
export class BodyBudget {
  readonly #isProven: (address: string) => boolean
  readonly #used = { total: 0, unproven: 0 }
  readonly #byAddress = new Map<string, number>()
  readonly #idle = new Map<number, Buffer[]>()
  #idleBytes = 0

  constructor(isProven: (address: string) => boolean) {
    this.#isProven = isProven
  }

  share(address: string): BodyShare {
    const isProven = this.#isProven(address)
    let held: Buffer = Buffer.alloc(0)
    let isOpen = true
    const exchange = (next: Buffer) => {
      this.#take(next.length - held.length, isProven, address)
      this.#giveBack(held)
      held = next
    }
    return {
      grow: (bytes) => {
        const size = sizes.find((each) => each >= bytes)
        if (!isOpen || size === undefined || !this.#fits(size, size - held.length, isProven, address)) return undefined
        const grown = this.#buffer(size)
        held.copy(grown)
        exchange(grown)
        return grown
      },
      release: () => {
        isOpen = false
        exchange(Buffer.alloc(0))
      },
    }
  }

  #buffer(size: number): Buffer {
    const idle = this.#idle.get(size)?.pop()
    if (idle) this.#idleBytes -= size
    return idle ?? Buffer.allocUnsafeSlow(size)
  }

  #giveBack(buffer: Buffer): void {
    const size = buffer.length
    if (size === 0 || this.#used.total + this.#idleBytes + size > bounds.total) return
    this.#idle.set(size, [...(this.#idle.get(size) ?? []), buffer])
    this.#idleBytes += size
  }

  #fits(size: number, more: number, isProven: boolean, address: string): boolean {
    const reserve = reserves.find(({ upTo }) => size <= upTo)
    if (!reserve || this.#used.total + more > bounds.total - reserve.total) return false
    if (isProven) return true
    if (this.#used.unproven + more > bounds.unproven - reserve.unproven) return false
    return (this.#byAddress.get(address) ?? 0) + more <= bounds.address
  }

  #take(bytes: number, isProven: boolean, address: string): void {
    this.#used.total += bytes
    if (isProven) return
    this.#used.unproven += bytes
    const left = (this.#byAddress.get(address) ?? 0) + bytes
    if (left > 0) this.#byAddress.set(address, left)
    else this.#byAddress.delete(address)
  }
}
