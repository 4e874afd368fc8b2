import { StoreError } from '../errors.ts'
import { type Clock, withDeadline } from '../time.ts'

/**
 * Guards calls to a store that may be gone: after a failure it refuses at once for `restMs`, then lets a single call try. So an
 * outage costs one request a deadline now and then, not every request.
 */
export class Breaker {
  readonly #store: string
  readonly #restMs: number
  readonly #clock: Clock
  #openUntil = 0
  #broken = false
  #probing = false

  constructor(store: string, restMs: number, clock: Clock) {
    this.#store = store
    this.#restMs = restMs
    this.#clock = clock
  }

  /** Whether the last call failed. */
  get broken(): boolean {
    return this.#broken
  }

  /**
   * Runs `work`, waiting at most `ms` for it; it may go on after that.
   * @throws DeadlineError, what `work` threw, or StoreError (transient) when the store is left to rest.
   */
  async attempt<T>(work: () => Promise<T>, ms: number): Promise<T> {
    if (this.#broken && (this.#probing || this.#clock() < this.#openUntil)) {
      throw new StoreError('transient', `${this.#store} did not answer a moment ago and is left to rest.`)
    }
    const probe = this.#broken
    this.#probing = probe
    try {
      const value = await withDeadline(work(), ms, this.#store)
      this.#broken = false
      return value
    } catch (error) {
      this.#broken = true
      this.#openUntil = this.#clock() + this.#restMs
      throw error
    } finally {
      if (probe) this.#probing = false
    }
  }
}
