/** Sends items in their order, at most `concurrency` at the same time. */
export class SendQueue<T> {
  readonly #send: (item: T) => Promise<void>
  readonly #concurrency: number
  #waiting: T[] = []
  #held: { after: number; item: T }[] = []
  #active = 0
  #paused = false
  #waiters: { left: number; resolve: () => void }[] = []

  constructor(send: (item: T) => Promise<void>, concurrency: number) {
    this.#send = send
    this.#concurrency = concurrency
  }

  /** Adds items. They are sent by the next `pump`. */
  add(...items: readonly T[]): void {
    this.#waiting.push(...items)
  }

  /** Adds an item after `after` calls of `passHeld`. */
  hold(item: T, after: number): void {
    this.#held.push({ item, after })
  }

  passHeld(): void {
    for (const one of this.#held) one.after--
    this.#addHeld(({ after }) => after <= 0)
  }

  /** Sends all held items now. */
  sendHeld(): void {
    this.#addHeld(() => true)
    this.pump()
  }

  /** Sends nothing until `resume`. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.pump()
  }

  /** Drops what waits. */
  clear(): void {
    this.#waiting = []
  }

  /** Resolves when at most `left` items are still waiting or being sent. Ignores waiting ones while paused. */
  settled(left: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ left, resolve })
      setImmediate(() => this.pump())
    })
  }

  /** Starts what may start, and resolves what has settled. */
  pump(): void {
    while (!this.#paused && this.#active < this.#concurrency) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      this.#active++
      void this.#send(next).finally(() => {
        this.#active--
        this.pump()
      })
    }
    const left = this.#active + (this.#paused ? 0 : this.#waiting.length)
    for (const waiter of this.#waiters) if (left <= waiter.left) waiter.resolve()
    this.#waiters = this.#waiters.filter((waiter) => left > waiter.left)
  }

  #addHeld(isDue: (held: { after: number }) => boolean): void {
    this.add(...this.#held.filter(isDue).map(({ item }) => item))
    this.#held = this.#held.filter((one) => !isDue(one))
  }
}
