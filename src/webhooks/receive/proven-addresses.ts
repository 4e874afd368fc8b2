import { type Clock, HOUR } from '../../runtime/time.ts'

const PROVEN_FOR = HOUR
/** A captured request can be sent from many addresses while its signature is fresh, so their number is bounded. */
const MOST = 1_000

/** The addresses that sent an authentic webhook within the last hour. No share or count of connections applies to them. */
export class ProvenAddresses {
  readonly #clock: Clock
  readonly #provenAt = new Map<string, number>()

  constructor(clock: Clock = Date.now) {
    this.#clock = clock
  }

  add(address: string): void {
    // Deleting first moves the address to the end: the first one is the one that was proven longest ago.
    this.#provenAt.delete(address)
    this.#provenAt.set(address, this.#clock())
    const [oldest] = this.#provenAt.keys()
    if (this.#provenAt.size > MOST && oldest !== undefined) this.#provenAt.delete(oldest)
  }

  has = (address: string): boolean => {
    const at = this.#provenAt.get(address)
    return at !== undefined && this.#clock() - at < PROVEN_FOR
  }
}
