import { type Clock, SECOND } from '../../runtime/time.ts'
import { readHttpDate } from '../timestamp.ts'

/** How far Buildkite's clock is ahead of one of ours, in milliseconds: between `low` and `high`. */
export interface Skew {
  readonly low: number
  readonly high: number
}

/** One reading of our two clocks: `wall` may be adjusted at any time, `steady` is monotonic. */
export interface Moment {
  readonly wall: number
  readonly steady: number
}

/** When a request was sent, on Buildkite's clock. */
export interface RequestTime {
  readonly at: Date
  /** False: the clocks contradict each other. `at` is then the earliest possible time. */
  readonly isCertain: boolean
}

/** If our two clocks disagree by more than this about a duration, one of them was adjusted or stopped. */
const STEP_MS = SECOND
/** Correct servers may disagree by this much. */
const SERVERS_APART_MS = SECOND / 2
/** How many recent answers count. More than half of them must agree to change the known time. */
const SAMPLES = 15
/** If uncertain, the earliest of this many answers is used, because one of them may be wrong. */
const RECENT = 3

/**
 * Buildkite's current time, from the `Date` headers of its answers. It is measured against our monotonic clock, so setting the wall
 * clock does not change it. A single wrong `Date` does not change it either: most of the last answers have to agree.
 */
export class BuildkiteClock {
  readonly #wall: Clock
  readonly #steady: Clock
  /** How far Buildkite is ahead of our monotonic clock, by the last answers, oldest first. */
  #samples: readonly Skew[] = []
  /** Wall clock minus monotonic clock at the last answer. */
  #apart: number | undefined
  #wallWasSet = false

  constructor(wall: Clock, steady: Clock) {
    this.#wall = wall
    this.#steady = steady
  }

  moment(): Moment {
    return { wall: this.#wall(), steady: this.#steady() }
  }

  /**
   * The time of a read on Buildkite's clock: when its request was sent. The response shows the state then or later, so a webhook sent
   * during the request never counts as older than the read. Never later than the answer's `Date` plus a second. `undefined` when one of
   * our clocks was adjusted during the request: then the time is unknown, and the answer is not used for the clock.
   */
  observe(sent: Moment, seen: Moment, date: string | undefined): RequestTime | undefined {
    const tookMs = seen.steady - sent.steady
    if (tookMs < 0 || Math.abs(seen.wall - sent.wall - tookMs) > STEP_MS) {
      this.#wallWasSet = true
      return undefined
    }
    const apart = sent.wall - sent.steady
    if (this.#isStep(apart)) {
      // Either clock may be wrong (sleep stops the monotonic one), so neither is trusted until new answers agree.
      this.#samples = []
      this.#wallWasSet = true
    }
    this.#apart = seen.wall - seen.steady
    const written = readHttpDate(date)
    const sample = Number.isNaN(written) ? undefined : sampleOf(sent, seen, written)
    if (sample) this.#samples = [...this.#samples, sample].slice(-SAMPLES)
    const known = this.#known(apart)
    if (!known) return { at: new Date(sent.wall), isCertain: true }
    const isCertain = known.isConfirmed && (!sample || overlaps(widen(sample), known.skew))
    const ahead = isCertain ? pick(known.skew, apart) : this.#earliest(known.skew, apart)
    const latest = sample ? written + 999 : Number.POSITIVE_INFINITY
    return { at: new Date(Math.round(Math.min(sent.steady + ahead, latest))), isCertain }
  }

  /** Buildkite's current time: at most a second late; the earlier value if uncertain. `undefined` before the first answer. */
  now(): Date | undefined {
    const { wall, steady } = this.moment()
    const apart = wall - steady
    const known = this.#known(apart)
    if (!known) return undefined
    const isCertain = known.isConfirmed && !this.#isStep(apart)
    const ahead = isCertain ? pick(known.skew, apart) : this.#earliest(known.skew, apart)
    return new Date(Math.round(steady + ahead))
  }

  /** How far Buildkite is ahead of our wall clock, by the last answers; `undefined` before the first. */
  get skew(): Skew | undefined {
    const { wall, steady } = this.moment()
    const known = this.#known(wall - steady)
    return known && { low: known.skew.low - (wall - steady), high: known.skew.high - (wall - steady) }
  }

  #isStep(apart: number): boolean {
    return this.#apart !== undefined && Math.abs(apart - this.#apart) > STEP_MS
  }

  /** What most of the last answers agree on. At first our own wall clock counts as an answer too. */
  #known(apart: number): { skew: Skew; isConfirmed: boolean } | undefined {
    if (this.#samples.length === 0) return undefined
    const hasVote = !this.#wallWasSet && this.#samples.length < RECENT
    const votes = hasVote ? [...this.#samples, { low: apart, high: apart }] : this.#samples
    const agreeing = largestGroup(votes, widen)
    const isConfirmed = agreeing.length > 1 && agreeing.length > votes.length / 2
    return { skew: intersection(largestGroup(agreeing)), isConfirmed }
  }

  #earliest(skew: Skew, apart: number): number {
    return Math.min(pick(skew, apart), ...this.#samples.slice(-RECENT).map(({ low }) => low))
  }
}

/** A `Date` is truncated to seconds, and was written after the request was sent and before its answer arrived. */
function sampleOf(sent: Moment, seen: Moment, written: number): Skew {
  return { low: written - seen.steady, high: written + 999 - sent.steady }
}

/** Our wall clock (`apart` ahead of the monotonic one) if it agrees, because it is finer than a `Date`; otherwise the earliest value. */
function pick({ low, high }: Skew, apart: number): number {
  return low <= apart && apart <= high ? apart : low
}

function widen({ low, high }: Skew): Skew {
  return { low: low - SERVERS_APART_MS, high: high + SERVERS_APART_MS }
}

function overlaps(one: Skew, other: Skew): boolean {
  return one.low <= other.high && other.low <= one.high
}

/** The largest group of intervals that share a point (Marzullo's algorithm); the earliest one if there are several. */
function largestGroup(intervals: readonly Skew[], seenAs: (interval: Skew) => Skew = (interval) => interval): Skew[] {
  const points = intervals.map((interval) => seenAs(interval).low).sort((a, b) => a - b)
  const groups = points.map((point) =>
    intervals.filter((interval) => seenAs(interval).low <= point && point <= seenAs(interval).high),
  )
  return groups.reduce((largest, group) => (group.length > largest.length ? group : largest), [])
}

function intersection(intervals: readonly Skew[]): Skew {
  return {
    low: Math.max(...intervals.map(({ low }) => low)),
    high: Math.min(...intervals.map(({ high }) => high)),
  }
}
