import type { Skew } from '../../buildkite/http/skew.ts'
import { formatDuration, SECOND } from '../../runtime/time.ts'
import { type CheckResult, failure, ok, warning } from '../finding.ts'

const NOTABLE = 5 * SECOND

/**
 * Compares our clock with Buildkite's (pure). The receiver refuses signatures if the difference exceeds `toleranceMs`. A smaller difference
 * does not affect the mirror, but misleads people who compare its times with other machines.
 */
export function checkClock(skew: Skew | undefined, toleranceMs: number): CheckResult[] {
  if (!skew) return []
  const apart = Math.max(skew.low, -skew.high, 0)
  if (apart < Math.min(NOTABLE, toleranceMs)) return [ok('clock_skew', '', "Our clock agrees with Buildkite's.")]
  const detail = `Our clock is ${formatDuration(apart)} ${skew.low > 0 ? 'behind' : 'ahead of'} Buildkite's.`
  const remedy = "Set this machine's clock, and synchronize it by NTP."
  if (apart < toleranceMs) return [warning('clock_skew', '', detail, remedy)]
  return [failure('clock_skew', '', `${detail} Signed webhooks are refused.`, remedy)]
}
