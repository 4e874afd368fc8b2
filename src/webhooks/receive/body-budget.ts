const KiB = 1024
const MiB = 1024 * KiB

/** The largest accepted body. */
export const bodyLimit = 10 * MiB

/**
 * The most memory that bodies of unanswered requests use, in bytes. Buildkite documents no largest payload. A webhook contains no jobs
 * and no env (docs/reference/buildkite.md), so it has 2 to 4 kB; even one a hundred times as large is small here. Of the largest
 * accepted bodies, four fit at once from proven addresses, two from unproven ones, and one from one unproven address.
 */
const bounds = {
  total: 64 * MiB,
  /** Only bodies up to `small` may use this part of `total`, so that large bodies never delay them. */
  smallReserve: 16 * MiB,
  small: MiB,
  /** Unproven addresses together. The other half stays for proven ones. */
  unproven: 32 * MiB,
  unprovenReserve: 8 * MiB,
  /** One unproven address. */
  address: 16 * MiB,
}

/** The memory of one request's body. */
export interface BodyShare {
  /** Whether the body may use this many bytes; if so, they are taken. */
  growTo(bytes: number): boolean
  /** Gives the bytes back. Further calls do nothing. */
  release(): void
}

/** Bounds the bytes of all bodies in memory. It counts what is received, not what is announced, because announcing costs a client nothing. */
export class BodyBudget {
  readonly #isProven: (address: string) => boolean
  readonly #used = { total: 0, unproven: 0 }
  readonly #byAddress = new Map<string, number>()

  constructor(isProven: (address: string) => boolean) {
    this.#isProven = isProven
  }

  share(address: string): BodyShare {
    const isProven = this.#isProven(address)
    let held = 0
    let isOpen = true
    return {
      growTo: (bytes) => {
        if (!isOpen || !this.#fits(bytes, bytes - held, isProven, address)) return false
        this.#take(bytes - held, isProven, address)
        held = bytes
        return true
      },
      release: () => {
        isOpen = false
        this.#take(-held, isProven, address)
        held = 0
      },
    }
  }

  #fits(size: number, more: number, isProven: boolean, address: string): boolean {
    const isSmall = size <= bounds.small
    if (this.#used.total + more > bounds.total - (isSmall ? 0 : bounds.smallReserve)) return false
    if (isProven) return true
    if (this.#used.unproven + more > bounds.unproven - (isSmall ? 0 : bounds.unprovenReserve)) return false
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
