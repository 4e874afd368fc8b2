import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { inPeriod, inScope, type Scope, type SortKey } from '../filters.ts'
import { all, maybeNumber, maybeText, type Query, whole } from '../query.ts'

const pipelineRow = z.object({
  pipeline: maybeText,
  name: maybeText,
  finished: whole,
  failed: whole,
  failure_rate: maybeNumber,
  p50_seconds: maybeNumber,
  p90_seconds: maybeNumber,
  minutes: maybeNumber,
  by_day: z.record(z.string(), z.number()),
  pipelines: whole,
})
export type PipelineLine = z.output<typeof pipelineRow>

const columns: Partial<Record<SortKey, string>> = {
  name: 'name',
  builds: 'finished',
  failed: 'failure_rate',
  p50: 'p50_seconds',
  p90: 'p90_seconds',
  minutes: 'minutes',
}
export const PIPELINES_SHOWN = 50

/** The pipelines that had builds in the period, sorted. `pipelines` is how many there are. */
export function pipelinesOf(scope: Scope): Query<PipelineLine> {
  const { sort = '-builds', branch } = scope.filters
  const column = sql.raw(columns[sort.replace('-', '') as SortKey] ?? 'finished')
  const direction = sql.raw(sort.startsWith('-') ? 'desc nulls last' : 'asc nulls last')
  const ofBranch = branch !== undefined && sql`branch = ${branch}`
  const table = branch === undefined ? sql`analytics.pipeline_durations_daily` : sql`analytics.branch_durations_daily`
  const statement = sql`
with built as (
  select pipeline_id, sum(builds) as finished, sum(builds - passed) as failed, sum(builds - passed)::float8 / nullif(sum(builds), 0) as failure_rate,
    analytics.merge_histograms(run_histogram) as run, json_object_agg(day, builds) as by_day
  from ${table}
  where ${all(inScope(scope), inPeriod(scope), ofBranch)}
  group by pipeline_id
), spent as (
  select pipeline_id, sum(minutes) as minutes
  from analytics.minutes_daily
  where ${all(inScope(scope), inPeriod(scope), ofBranch)}
  group by pipeline_id
)
select pipeline, name, finished, failed, failure_rate, p50_seconds, p90_seconds, minutes, by_day, count(*) over () as pipelines
from (
  select pipeline.pipeline, coalesce(pipeline.name, pipeline.pipeline) as name, built.finished, built.failed, built.failure_rate,
    analytics.percentile(built.run, 0.5) as p50_seconds, analytics.percentile(built.run, 0.9) as p90_seconds, spent.minutes, built.by_day
  from built
  join analytics.pipelines as pipeline on pipeline.id = built.pipeline_id
  left join spent on spent.pipeline_id = built.pipeline_id
) as line
order by ${column} ${direction}, name limit ${PIPELINES_SHOWN}`
  return { statement, row: pipelineRow }
}

const organizationRow = z.object({ id: z.string(), organization: z.string(), name: maybeText })

/** The organizations that the mirror has seen and that have a slug. */
export function organizationsOf(): Query<z.output<typeof organizationRow>> {
  return {
    statement: sql`
select id, organization, name from analytics.organizations
where organization is not null and deleted_at is null order by organization`,
    row: organizationRow,
  }
}

const choiceRow = z.object({
  id: z.string(),
  pipeline: z.string(),
  name: maybeText,
  default_branch: maybeText,
  tags: z.array(z.string()),
  teams: z.array(z.string()),
  web_url: maybeText,
})
export type PipelineChoice = z.output<typeof choiceRow>

/** The pipelines that a filter can name, with their teams and tags. Those that Buildkite no longer lists come last. */
export function choicesOf(organizationId: string): Query<PipelineChoice> {
  return {
    statement: sql`
select id, pipeline, name, default_branch, tags, teams, web_url from analytics.pipelines
where organization_id = ${organizationId}::uuid and pipeline is not null
order by deleted_at is not null, pipeline`,
    row: choiceRow,
  }
}
