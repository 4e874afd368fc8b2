import type postgres from 'postgres'
import { untilProgress } from './until.ts'

const SECOND = 1_000

/**
 * Waits until two hot cycles have read what happened until now; after them the mirror must be equal. Only cycles of later seconds count:
 * Buildkite's times are whole seconds, and within one the build further along wins, a read in a webhook's own second being no later.
 */
export async function twoMoreCycles(sql: postgres.Sql, idleMs = 60_000): Promise<void> {
  const from = new Date(Math.ceil((Date.now() + 1) / SECOND) * SECOND)
  const cycles = async () => {
    const [row] = await sql<{ n: number }[]>`
      select count(*)::int as n from sync.cycles where kind = 'hot' and error is null and started_at >= ${from}`
    return row?.n ?? 0
  }
  await untilProgress(cycles, (count) => count >= 2, 'two more cycles run', idleMs)
}
