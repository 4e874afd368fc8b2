import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { inBothPeriods, inPeriod, inScope, type Scope, type SortKey } from '../filters.ts'
import { all, dayText, maybeNumber, maybeText, type Query, whole } from '../query.ts'

const failureRow = z.object({
  day: dayText,
  tries: whole,
  canceled: whole,
  hard_failed: whole,
  soft_failed: whole,
  infra_failed: whole,
})
export type FailuresOfDay = z.output<typeof failureRow>

/** Tries of command jobs by day, and how many failed in which way; of the period and the one before. */
export function failuresByDay(scope: Scope): Query<FailuresOfDay> {
  const statement = sql`
select day, sum(tries) as tries, sum(canceled) as canceled, sum(hard_failed) as hard_failed,
  sum(soft_failed) as soft_failed, sum(infra_failed) as infra_failed
from analytics.job_failures_daily
where ${all(inScope(scope), inBothPeriods(scope))}
group by day order by day`
  return { statement, row: failureRow }
}

const jobRow = z.object({
  pipeline: maybeText,
  job: z.string(),
  tries: whole,
  hard_failed: whole,
  hard_failure_rate: maybeNumber,
  p50_seconds: maybeNumber,
  p90_seconds: maybeNumber,
  minutes: whole,
})
export type JobLine = z.output<typeof jobRow>

/** What a list of jobs is ordered by. */
const orders = {
  slowest: { by: sql`sum(run_seconds) / sum(tries) desc, job`, having: sql`sum(tries) >= 5` },
  failing: { by: sql`sum(failed + timed_out) desc, job`, having: sql`sum(failed + timed_out) > 0` },
}

/** The jobs of the period that are first in an order, with their percentiles. The percentiles are merged for the listed jobs only. */
export function jobsOf(scope: Scope, order: keyof typeof orders, limit: number): Query<JobLine> {
  const statement = sql`
with listed as (
  select pipeline_id, job, sum(tries) as tries, sum(failed + timed_out) as hard_failed,
    sum(failed + timed_out)::float8 / nullif(sum(tries - canceled), 0) as hard_failure_rate,
    sum(run_seconds) / 60 as minutes, row_number() over (order by ${orders[order].by}) as place
  from analytics.jobs_daily
  where ${all(inScope(scope), inPeriod(scope))}
  group by pipeline_id, job
  having ${orders[order].having}
  order by place limit ${limit}
)
select pipeline.pipeline, listed.job, listed.tries, listed.hard_failed, listed.hard_failure_rate, listed.minutes,
  analytics.percentile(merged.run, 0.5) as p50_seconds, analytics.percentile(merged.run, 0.9) as p90_seconds
from listed
join analytics.pipelines as pipeline on pipeline.id = listed.pipeline_id
cross join lateral (
  select analytics.merge_histograms(daily.run_histogram) as run from analytics.jobs_daily as daily
  where daily.pipeline_id = listed.pipeline_id and daily.job = listed.job
    and ${inPeriod(scope)}
) as merged
order by listed.place`
  return { statement, row: jobRow }
}

const flakyRow = z.object({
  pipeline: maybeText,
  job: z.string(),
  retried: whole,
  flaky: whole,
  wasted_minutes: maybeNumber,
})
export type FlakyLine = z.output<typeof flakyRow>

/** Jobs that failed and then passed in the same build, most often first. */
export function flakyJobs(scope: Scope, limit: number): Query<FlakyLine> {
  const statement = sql`
select pipeline.pipeline, flaky.job, flaky.retried, flaky.flaky, flaky.wasted_minutes
from (
  select pipeline_id, job, sum(retried) as retried, sum(flaky) as flaky, sum(wasted_seconds) / 60 as wasted_minutes
  from analytics.flaky_jobs_daily
  where ${all(inScope(scope), inPeriod(scope))}
  group by pipeline_id, job having sum(flaky) > 0
) as flaky
join analytics.pipelines as pipeline on pipeline.id = flaky.pipeline_id
order by flaky.flaky desc, flaky.job limit ${limit}`
  return { statement, row: flakyRow }
}

const columns: Partial<Record<SortKey, string>> = {
  name: 'job',
  tries: 'tries',
  hard: 'hard_failure_rate',
  p50: 'p50_seconds',
  p90: 'p90_seconds',
  minutes: 'minutes',
  flaky: 'flaky',
}
const pipelineJobRow = jobRow.omit({ pipeline: true }).extend({ flaky: whole, jobs: whole })
export type PipelineJobLine = z.output<typeof pipelineJobRow>
export const JOBS_SHOWN = 100

/** All jobs of a pipeline, sorted. `jobs` is how many there are. */
export function jobsOfPipeline(scope: Scope): Query<PipelineJobLine> {
  const { sort = '-minutes' } = scope.filters
  const column = sql.raw(columns[sort.replace('-', '') as SortKey] ?? 'minutes')
  const direction = sql.raw(sort.startsWith('-') ? 'desc nulls last' : 'asc nulls last')
  const ofPeriod = all(inScope(scope), inPeriod(scope))
  const statement = sql`
with ran as (
  select job, sum(tries) as tries, sum(failed + timed_out) as hard_failed,
    sum(failed + timed_out)::float8 / nullif(sum(tries - canceled), 0) as hard_failure_rate,
    sum(run_seconds) / 60 as minutes, analytics.merge_histograms(run_histogram) as run
  from analytics.jobs_daily where ${ofPeriod} group by job
), retried as (
  select job, sum(flaky) as flaky from analytics.flaky_jobs_daily where ${ofPeriod} group by job
)
select job, tries, hard_failed, hard_failure_rate, minutes, p50_seconds, p90_seconds, flaky, count(*) over () as jobs
from (
  select ran.job, ran.tries, ran.hard_failed, ran.hard_failure_rate, ran.minutes, coalesce(retried.flaky, 0) as flaky,
    analytics.percentile(ran.run, 0.5) as p50_seconds, analytics.percentile(ran.run, 0.9) as p90_seconds
  from ran left join retried on retried.job = ran.job
) as line
order by ${column} ${direction}, job limit ${JOBS_SHOWN}`
  return { statement, row: pipelineJobRow }
}
