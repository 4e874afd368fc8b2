/** Each size divides the one before it, so that a place in a list stays a whole page when the size falls. */
const sizes: readonly number[] = [100, 50, 25, 5, 1]

/** This many quick answers in a row, and pages grow again. */
const GROW_AFTER = 3

/** How many objects to ask for at a time: as many as Buildkite gives, fewer while its answers are too slow or too large. */
export class PageSize {
  #step = 0
  #quick = 0
  readonly #slowMs: number

  /** `slowMs`: an answer that takes longer makes the next pages smaller. */
  constructor(slowMs: number) {
    this.#slowMs = slowMs
  }

  /** The size for a page that begins `offset` objects into a list; grown again where that place allows it. */
  at(offset: number): number {
    const larger = sizes[this.#step - 1]
    if (larger !== undefined && this.#quick >= GROW_AFTER && offset % larger === 0) {
      this.#quick = 0
      this.#step -= 1
    }
    return sizes[this.#step] ?? 1
  }

  shrink(): void {
    this.#quick = 0
    this.#step = Math.min(this.#step + 1, sizes.length - 1)
  }

  /** Notes how long a whole answer took. */
  answered(tookMs: number): void {
    if (tookMs > this.#slowMs) this.shrink()
    else if (tookMs < this.#slowMs / 4) this.#quick += 1
  }
}
