import type { Log } from '../../runtime/log.ts'
import { type Clock, pause, SECOND } from '../../runtime/time.ts'
import type { Status } from './status.ts'

/** A status up to this age is shown at once and refreshed in the background. So the page opens quickly on a large mirror. */
const KEPT = 25 * SECOND
/** A shown status that is older than this is refreshed. */
const REFRESHED = 2 * SECOND
/** How often the status is gathered while nobody watches. */
const AT_REST = 10 * SECOND

/** Gathers the status once for many readers. */
export class RecentStatus {
  readonly #gather: () => Promise<Status>
  readonly #log: Log
  readonly #clock: Clock
  readonly #stop = new AbortController()
  #last: { at: number; status: Status } | undefined
  #gathering: Promise<Status> | undefined

  constructor(gather: () => Promise<Status>, log: Log, clock: Clock) {
    this.#gather = gather
    this.#log = log
    this.#clock = clock
  }

  /** The status, at most {@link KEPT} old. Answers at once after {@link RecentStatus.keepFresh} was called. */
  async latest(): Promise<Status> {
    const known = this.#younger(KEPT)
    if (!known) return this.#gatherNow()
    if (!this.#younger(REFRESHED)) void this.fresh(0)
    return known
  }

  /** A status less than `ms` old; undefined, with a warning in the log, if it could not be gathered. */
  async fresh(ms: number): Promise<Status | undefined> {
    return this.#younger(ms) ?? this.#gatherNow().catch(this.#warn)
  }

  /** Gathers the status every {@link AT_REST} until {@link RecentStatus.close}, so that the page opens at once. */
  async keepFresh(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.fresh(AT_REST)
      await pause(AT_REST, this.#stop.signal)
    }
  }

  /** Discards the gathered status, because an action has changed something. */
  forget(): void {
    this.#last = undefined
    this.#gathering = undefined
  }

  close(): void {
    this.#stop.abort()
  }

  #younger(ms: number): Status | undefined {
    return this.#last && this.#clock() - this.#last.at < ms ? this.#last.status : undefined
  }

  /** Gathers the status, or waits for the gathering that already runs. */
  #gatherNow(): Promise<Status> {
    if (this.#gathering) return this.#gathering
    const gathering: Promise<Status> = this.#gather()
      .then((status) => {
        // After forget(), this result is out of date and is not stored.
        if (this.#gathering === gathering) this.#last = { at: this.#clock(), status }
        return status
      })
      .finally(() => {
        if (this.#gathering === gathering) this.#gathering = undefined
      })
    this.#gathering = gathering
    return gathering
  }

  #warn = (error: unknown): undefined => {
    this.#log.warn({ err: error }, 'The status could not be read.')
  }
}
