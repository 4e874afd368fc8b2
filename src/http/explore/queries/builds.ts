import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import { inBothPeriods, inPeriod, inScope, isPresent, type Scope } from '../filters.ts'
import { all, dayText, maybeNumber, maybeText, maybeTime, type Query, whole } from '../query.ts'

/** `builds_hourly` is the only rollup with the results of a branch. Its hours of the period, and of the one before. */
function hoursOf({ period, filters }: Scope): SQL {
  return all(
    sql`branch = ${filters.branch}`,
    sql`hour >= ${period.before}::date at time zone 'UTC'`,
    sql`hour < (${period.to}::date + 1) at time zone 'UTC'`,
  )
}

const resultRow = z.object({
  day: dayText,
  passed: whole,
  failed: whole,
  canceled: whole,
  skipped: whole,
  blocked: whole,
  passed_on_retry: whole,
})
export type ResultsOfDay = z.output<typeof resultRow>

/** Builds by day and result, of the period and the one before. */
export function resultsByDay(scope: Scope): Query<ResultsOfDay> {
  const totals = sql`sum(passed) as passed, sum(failed) as failed, sum(canceled) as canceled,
  sum(skipped) as skipped, sum(blocked) as blocked, sum(passed_on_retry) as passed_on_retry`
  const statement = scope.filters.branch
    ? sql`
select (hour at time zone 'UTC')::date as day, ${totals}
from analytics.builds_hourly
where ${all(inScope(scope), hoursOf(scope))}
group by 1 order by 1`
    : sql`
select day, ${totals}
from analytics.build_results_daily
where ${all(inScope(scope), inBothPeriods(scope))}
group by day order by day`
  return { statement, row: resultRow }
}

const durations = (scope: Scope) =>
  scope.filters.branch
    ? { table: sql`analytics.branch_durations_daily`, branch: sql`branch = ${scope.filters.branch}` }
    : { table: sql`analytics.pipeline_durations_daily`, branch: undefined }

const durationRow = z.object({ day: dayText, p50_seconds: maybeNumber, p90_seconds: maybeNumber })
export type DurationsOfDay = z.output<typeof durationRow>

/** Percentiles of the running time of builds, by day. */
export function durationsByDay(scope: Scope): Query<DurationsOfDay> {
  const { table, branch } = durations(scope)
  const statement = sql`
select day, analytics.percentile(run, 0.5) as p50_seconds, analytics.percentile(run, 0.9) as p90_seconds
from (
  select day, analytics.merge_histograms(run_histogram) as run
  from ${table}
  where ${all(inScope(scope), inPeriod(scope), branch)}
  group by day
) as merged order by day`
  return { statement, row: durationRow }
}

const spanDurationRow = z.object({ is_present: z.boolean(), p50_seconds: maybeNumber, p90_seconds: maybeNumber })

/** The same of the whole period, and of the one before: of all builds, not means of days. */
export function durationsOfPeriods(scope: Scope): Query<z.output<typeof spanDurationRow>> {
  const { table, branch } = durations(scope)
  const statement = sql`
select is_present, analytics.percentile(run, 0.5) as p50_seconds, analytics.percentile(run, 0.9) as p90_seconds
from (
  select ${isPresent(scope)} as is_present, analytics.merge_histograms(run_histogram) as run
  from ${table}
  where ${all(inScope(scope), inBothPeriods(scope), branch)}
  group by 1
) as merged`
  return { statement, row: spanDurationRow }
}

const greenRow = z.object({ day: dayText, builds: whole, red_builds: whole })

/** Builds of default branches by day, and how many were red. */
export function greenByDay(scope: Scope): Query<z.output<typeof greenRow>> {
  const statement = sql`
select day, sum(builds) as builds, sum(red_builds) as red_builds
from analytics.trunk_health_daily
where ${all(inScope(scope), inPeriod(scope))}
group by day order by day`
  return { statement, row: greenRow }
}

const recoveryRow = z.object({ is_present: z.boolean(), breaks: whole, still_red: whole, p50_seconds: maybeNumber })

/** How often default branches broke, and the median time until they were green again. */
export function recoveriesOfPeriods(scope: Scope): Query<z.output<typeof recoveryRow>> {
  const { period } = scope
  const statement = sql`
select broken_at >= ${period.from}::date at time zone 'UTC' as is_present,
  count(*) as breaks, count(*) filter (where recovered_at is null) as still_red,
  percentile_disc(0.5) within group (order by analytics.whole_seconds(seconds_to_green)) as p50_seconds
from analytics.trunk_recoveries
where ${all(inScope(scope), sql`broken_at >= ${period.before}::date at time zone 'UTC'`)}
group by 1`
  return { statement, row: recoveryRow }
}

const lastBuildRow = z.object({
  build_number: whole,
  pipeline: maybeText,
  state: maybeText,
  branch: maybeText,
  commit: maybeText,
  message: maybeText,
  author_name: maybeText,
  created_at: maybeTime,
  run_seconds: maybeNumber,
})
export type BuildLine = z.output<typeof lastBuildRow>

/** The columns of a list of builds. */
export const buildLineColumns = sql`build_number, pipeline, state, branch, commit, message, coalesce(author_name, creator_name) as author_name, created_at, run_seconds`
export const buildLine = lastBuildRow

/** The newest builds of a pipeline. */
export function lastBuilds(scope: Scope): Query<BuildLine> {
  const { branch } = scope.filters
  const statement = sql`
select ${buildLineColumns}
from analytics.builds
where ${all(sql`pipeline_id = ${scope.pipelineId}::uuid`, branch !== undefined && sql`branch = ${branch}`)}
order by created_at desc limit 25`
  return { statement, row: lastBuildRow }
}
