/** How likely each turn of a build's life is, from 0 to 1. */
export interface Mix {
  /** A job fails; a failed one is softly failed with `softFail`, or its agent is lost with `lost`. */
  fail: number
  softFail: number
  lost: number
  /** A failed job is retried by itself. */
  automaticRetry: number
  /** Somebody retries the failed jobs of a failed build, which reopens. */
  retry: number
  /** The build has a block step. */
  block: number
  /** The build ends with a trigger step. */
  trigger: number
  cancel: number
  skip: number
  notRun: number
  /** A job is excluded by its branch filter. */
  broken: number
  /** A finished build is built again. */
  rebuild: number
}

/** Something of everything. */
export const livelyMix: Mix = {
  fail: 0.12,
  softFail: 0.2,
  lost: 0.1,
  automaticRetry: 0.3,
  retry: 0.5,
  block: 0.15,
  trigger: 0.12,
  cancel: 0.02,
  skip: 0.02,
  notRun: 0.02,
  broken: 0.03,
  rebuild: 0.02,
}

/** Nothing goes wrong and nobody interferes: every change of these builds and of their script jobs has its webhook. */
export const calmMix: Mix = {
  fail: 0,
  softFail: 0,
  lost: 0,
  automaticRetry: 0,
  retry: 0,
  block: 0,
  trigger: 0,
  cancel: 0,
  skip: 0,
  notRun: 0,
  broken: 0,
  rebuild: 0,
}
