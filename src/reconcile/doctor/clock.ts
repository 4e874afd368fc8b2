import type { Skew } from '../../buildkite/skew.ts'
import { formatDuration, SECOND } from '../../time.ts'
import { type Finding, failure, warning, well } from './finding.ts'

const NOTABLE = 5 * SECOND

/**
 * What is found of our clock against Buildkite's (pure). Signatures are refused when they are apart by more than `toleranceMs`; up to
 * then observations are given their times all the same, but those who compare them with other machines are misled.
 */
export function judgeClock(skew: Skew | undefined, toleranceMs: number): Finding[] {
  if (!skew) return []
  const apart = Math.max(skew.low, -skew.high, 0)
  if (apart < Math.min(NOTABLE, toleranceMs)) return [well('clock_skew', '', "Our clock agrees with Buildkite's.")]
  const detail = `Our clock is ${formatDuration(apart)} ${skew.low > 0 ? 'behind' : 'ahead of'} Buildkite's.`
  const remedy = "Set this machine's clock, and keep it by NTP."
  if (apart < toleranceMs) return [warning('clock_skew', '', detail, remedy)]
  return [failure('clock_skew', '', `${detail} Signed webhooks are refused.`, remedy)]
}
