import type { Pipeline } from './shapes.ts'

/** Pipelines that a user cannot see, with the times at which each was hidden and shown again. */
export class HiddenPipelines extends Set<Pipeline> {
  readonly #now: () => number
  readonly #changes: { pipeline: Pipeline; at: number; hidden: boolean }[] = []

  constructor(now: () => number) {
    super()
    this.#now = now
  }

  override add(pipeline: Pipeline): this {
    if (!this.has(pipeline)) this.#changes.push({ pipeline, at: this.#now(), hidden: true })
    return super.add(pipeline)
  }

  override delete(pipeline: Pipeline): boolean {
    if (this.has(pipeline)) this.#changes.push({ pipeline, at: this.#now(), hidden: false })
    return super.delete(pipeline)
  }

  override clear(): void {
    for (const pipeline of [...this]) this.delete(pipeline)
  }

  /** Whether the pipeline was hidden at `time`, in milliseconds since the epoch. */
  wasHidden(pipeline: Pipeline, time: number): boolean {
    return this.#changes.findLast((change) => change.pipeline === pipeline && change.at <= time)?.hidden ?? false
  }
}

/** Which token can see which pipelines. */
export class Visibility {
  /** Hidden from every token. */
  readonly hidden: HiddenPipelines
  readonly #now: () => number
  readonly #byToken = new Map<string, HiddenPipelines>()

  constructor(now: () => number) {
    this.#now = now
    this.hidden = new HiddenPipelines(now)
  }

  /** Hidden from that token alone. */
  hiddenFrom(token: string): HiddenPipelines {
    let hidden = this.#byToken.get(token)
    if (!hidden) {
      hidden = new HiddenPipelines(this.#now)
      this.#byToken.set(token, hidden)
    }
    return hidden
  }

  /** Whether the token sees the pipeline; without a token, whether any token may. `time`: at that time instead of now. */
  isVisible(pipeline: Pipeline, token?: string, time?: number): boolean {
    const sets = [this.hidden, token === undefined ? undefined : this.#byToken.get(token)]
    return sets.every((hidden) => !(time === undefined ? hidden?.has(pipeline) : hidden?.wasHidden(pipeline, time)))
  }
}
