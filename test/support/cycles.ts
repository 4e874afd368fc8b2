import type postgres from 'postgres'
import { until } from './until.ts'

const SECOND = 1_000

/**
 * Waits until two hot cycles have read what happened until now; after them the mirror must be equal. Only cycles of later seconds count:
 * Buildkite's times are whole seconds, and within one the build further along wins, a read in a webhook's own second being no later.
 */
export async function twoMoreCycles(sql: postgres.Sql, ms = 60_000): Promise<void> {
  const from = new Date(Math.ceil((Date.now() + 1) / SECOND) * SECOND)
  const cycles = () => sql`select 1 from sync.cycles where kind = 'hot' and error is null and started_at >= ${from}`
  await until(async () => (await cycles()).length >= 2, 'two more cycles run', ms)
}
