import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { inBothPeriods, inScope, isNarrowed, type Scope } from '../filters.ts'
import { all, dayText, maybeNumber, maybeText, type Query, whole } from '../query.ts'

const costRow = z.object({
  day: dayText,
  currency: maybeText,
  minutes: whole,
  minutes_wasted: whole,
  cost: maybeNumber,
})
export type CostsOfDay = z.output<typeof costRow>

/** Agent minutes and their cost by day and currency, of the period and the one before. */
export function costsByDay(scope: Scope): Query<CostsOfDay> {
  // Priced after the minutes of all pipelines were totalled, so faster.
  const table = isNarrowed(scope) ? sql`analytics.costs_daily` : sql`analytics.queue_costs_daily`
  const { branch } = scope.filters
  const statement = sql`
select day, currency, sum(minutes) as minutes, sum(minutes_wasted) as minutes_wasted, sum(cost) as cost
from ${table}
where ${all(inScope(scope), inBothPeriods(scope), branch !== undefined && sql`branch = ${branch}`)}
group by day, currency order by day, currency`
  return { statement, row: costRow }
}
