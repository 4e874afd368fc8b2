import { and, desc, eq, gt, inArray, sql } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { cycles } from '../database/schema.ts'
import type { TallyColumns } from '../reconcile/cycle/tally.ts'
import { DAY } from '../runtime/time.ts'

/** Results of the cycles of the last 24 hours; see ReadResult. */
export interface LastDay extends Omit<TallyColumns, 'requests' | 'builds_read' | 'unlisted_read'> {
  readonly cycles: number
  readonly failed: number
  /** Start of the last cycle that found a lost webhook; null if none did. */
  readonly last_lost_at: Date | null
}

/** Builds and jobs whose webhooks were lost, as in a row of sync.cycles. */
type FoundRows = Pick<TallyColumns, 'builds_missing' | 'builds_healed' | 'jobs_missing' | 'jobs_healed'>

/** How many builds and jobs lost their webhooks. */
export function lostWebhooks({ builds_missing, builds_healed, jobs_missing, jobs_healed }: FoundRows) {
  const builds = builds_missing + builds_healed
  const jobs = jobs_missing + jobs_healed
  return { builds, jobs, total: builds + jobs }
}

const RECENT_CYCLES = 8

/** The last cycle that succeeded, and the failure after it, if there is one. */
export async function lastCycle(db: Db, organizationId: string) {
  const of = and(eq(cycles.organization_id, organizationId), inArray(cycles.kind, ['hot', 'warm']))
  const newest = (which: ReturnType<typeof sql>, since?: Date) =>
    db
      .select()
      .from(cycles)
      .where(and(of, which, since && gt(cycles.started_at, since)))
      .orderBy(desc(cycles.started_at))
      .limit(1)
  const [last] = await newest(sql`${cycles.error} is null`)
  // Only later cycles: searching weeks of successful cycles for a failure is slow.
  const [failed] = await newest(sql`${cycles.error} is not null`, last?.started_at)
  const error = failed ? { at: failed.started_at, message: failed.error ?? '' } : null
  return { last: last ?? null, error }
}

/** The last cycles and audits, newest first. */
export function recentCycles(db: Db, organizationId: string) {
  return db
    .select()
    .from(cycles)
    .where(and(eq(cycles.organization_id, organizationId), inArray(cycles.kind, ['hot', 'warm', 'audit'])))
    .orderBy(desc(cycles.started_at))
    .limit(RECENT_CYCLES)
}

export async function lastDay(db: Db, organizationId: string, now: Date): Promise<LastDay> {
  const total = (column: keyof typeof cycles.$inferSelect) => sql<number>`coalesce(sum(${cycles[column]}), 0)::float8`
  const lost = sql`${cycles.builds_missing} + ${cycles.builds_healed} + ${cycles.jobs_missing} + ${cycles.jobs_healed}`
  const [row] = await db
    .select({
      cycles: sql<number>`count(*)::int`,
      failed: sql<number>`count(${cycles.error})::int`,
      builds_missing: total('builds_missing'),
      builds_healed: total('builds_healed'),
      builds_in_flight: total('builds_in_flight'),
      builds_completed: total('builds_completed'),
      builds_confirmed: total('builds_confirmed'),
      jobs_missing: total('jobs_missing'),
      jobs_healed: total('jobs_healed'),
      jobs_in_flight: total('jobs_in_flight'),
      jobs_completed: total('jobs_completed'),
      jobs_confirmed: total('jobs_confirmed'),
      last_lost_at: sql<Date | null>`max(${cycles.started_at}) filter (where ${lost} > 0)`.mapWith(cycles.started_at),
    })
    .from(cycles)
    .where(
      and(
        eq(cycles.organization_id, organizationId),
        sql`${cycles.kind} in ('hot', 'warm')`,
        gt(cycles.started_at, new Date(now.getTime() - DAY)),
      ),
    )
  if (!row) throw new RangeError('An aggregate without group by always returns a row.')
  return row
}
