import { StoreError } from '../../runtime/errors.ts'
import { type Clock, withDeadline } from '../../runtime/time.ts'

/**
 * A circuit breaker. After a failure it rejects calls at once for `restMs`, then lets a single call through as a probe. So during an
 * outage only some requests wait for a timeout.
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
   * Runs `work` and waits at most `ms` for it; `work` may continue after that.
   * @throws DeadlineError, what `work` threw, or StoreError (transient) while the breaker is open.
   */
  async attempt<T>(work: () => Promise<T>, ms: number): Promise<T> {
    if (this.#broken && (this.#probing || this.#clock() < this.#openUntil)) {
      throw new StoreError('transient', `${this.#store} did not answer a moment ago; waiting before the next try.`)
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
