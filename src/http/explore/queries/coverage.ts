import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { inBothPeriods, type Scope } from '../filters.ts'
import { all, maybeTime, type Query, whole } from '../query.ts'

const coverageRow = z.object({
  pipelines: whole,
  pipelines_current: whole,
  complete_from: maybeTime,
  as_of: maybeTime,
  jobs_as_of: maybeTime,
  exceptions: whole,
})
export type Coverage = z.output<typeof coverageRow>

/** From when to when the listed pipelines of the scope are complete. */
export function coverageOf({ organizationId, pipelineId, filters: { pipeline } }: Scope): Query<Coverage> {
  const one = pipelineId
    ? sql`pipeline_id = ${pipelineId}::uuid`
    : pipeline !== undefined
      ? sql`pipeline = ${pipeline}`
      : undefined
  const statement = sql`
select count(*) as pipelines, count(*) filter (where is_current) as pipelines_current,
  max(complete_from) filter (where is_current) as complete_from,
  min(as_of) as as_of, min(jobs_as_of) as jobs_as_of, coalesce(max(exceptions), 0) as exceptions
from (
  select pipeline_id, bool_or(is_current) as is_current, max(complete_from) filter (where is_current) as complete_from,
    min(as_of) as as_of, min(jobs_as_of) as jobs_as_of, max(exceptions) as exceptions
  from analytics.data_coverage
  where ${all(sql`organization_id = ${organizationId}::uuid`, sql`is_listed`, one)}
  group by pipeline_id
) as pipeline`
  return { statement, row: coverageRow }
}

const staleRow = z.object({ days: whole, stale: whole })

/** How many days of both periods have totals, and how many of those are not up to date. */
export function staleDays(scope: Scope): Query<z.output<typeof staleRow>> {
  const statement = sql`
select count(*) as days, count(*) filter (where is_stale and day < ${scope.period.to}::date) as stale
from analytics.rollup_days
where ${inBothPeriods(scope)}`
  return { statement, row: staleRow }
}
