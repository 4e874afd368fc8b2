import type { Stores } from './stores.ts'

/** What a course of the benchmarks works with. */
export interface Bench {
  readonly stores: Stores
  /** Smaller and shorter, for everyone to run; the figures vary more. */
  readonly quick: boolean
  /** No history is larger than this, in builds. */
  readonly most: number
  /** Leave the largest history for the next run. */
  readonly keep: boolean
  /** How long the soak goes on. */
  readonly minutes: number
  /** Tells how it goes. */
  say(text: string): void
}

/** A line of the table. */
export interface Row {
  readonly course: string
  readonly what: string
  readonly ours: string
  /** What the machine allows, measured in the same run; empty where the figure stands for itself. */
  readonly limit: string
  readonly result: string
  /** What is to be reached. */
  readonly reach: string
  /** Left out where nothing was to be reached. */
  readonly reached?: boolean
}
