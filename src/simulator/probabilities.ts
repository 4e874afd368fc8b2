/** The probability of each event in a build's life, from 0 to 1. */
export interface Mix {
  /** A job fails. A failed job is soft-failed with `softFail`, or its agent is lost with `lost`. */
  fail: number
  softFail: number
  lost: number
  /** A failed job is retried automatically. */
  automaticRetry: number
  /** The failed jobs of a failed build are retried manually, so that the build runs again. */
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
  /** A finished build is rebuilt. */
  rebuild: number
  /** A failed job has exceeded its time limit; a scheduled job expires before an agent takes it. */
  timeOut: number
  expire: number
  /** A build that runs again keeps the `finished_at` of its last attempt. */
  keepFinish: number
}

/** A bit of everything. */
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
  timeOut: 0,
  expire: 0,
  keepFinish: 0,
}

/** Nothing fails and nobody interferes: every change of these builds and of their script jobs has its webhook. */
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
  timeOut: 0,
  expire: 0,
  keepFinish: 0,
}
