import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { maybeNumber, maybeText, maybeTime, type Query, whole } from '../query.ts'

const buildRow = z.object({
  id: z.string(),
  build_number: whole,
  state: maybeText,
  result: maybeText,
  first_result: maybeText,
  attempts: whole,
  branch: maybeText,
  tag: maybeText,
  commit: maybeText,
  message: maybeText,
  source: maybeText,
  pr_number: maybeNumber,
  author_name: maybeText,
  creator_name: maybeText,
  created_at: maybeTime,
  started_at: maybeTime,
  finished_at: maybeTime,
  wait_seconds: maybeNumber,
  run_seconds: maybeNumber,
  total_seconds: maybeNumber,
  cancel_reason: maybeText,
  web_url: maybeText,
  is_provisional: z.boolean(),
  is_estimate: z.boolean(),
  deleted_at: maybeTime,
})
export type Build = z.output<typeof buildRow>

/** One build by its number. */
export function buildOf(pipelineId: string, number: number): Query<Build> {
  const statement = sql`
select id, build_number, state, result, first_result, attempts, branch, tag, commit, message, source, pr_number,
  author_name, creator_name, created_at, started_at, finished_at, wait_seconds, run_seconds, total_seconds,
  cancel_reason, web_url, is_provisional, is_estimate, deleted_at
from analytics.builds
where pipeline_id = ${pipelineId}::uuid and build_number = ${number}`
  return { statement, row: buildRow }
}

const jobRow = z.object({
  id: z.string(),
  type: maybeText,
  job: z.string(),
  state: maybeText,
  result: maybeText,
  retried: z.boolean(),
  retried_in_job_id: maybeText,
  retry_type: maybeText,
  exit_status: maybeNumber,
  queue: maybeText,
  agent_name: maybeText,
  created_at: maybeTime,
  runnable_at: maybeTime,
  started_at: maybeTime,
  finished_at: maybeTime,
  concurrency_wait_seconds: maybeNumber,
  agent_wait_seconds: maybeNumber,
  run_seconds: maybeNumber,
  parallel_group_index: maybeNumber,
  parallel_group_total: maybeNumber,
  web_url: maybeText,
  critical: z.boolean(),
  blocked_at: maybeTime,
  unblocked_at: maybeTime,
  unblocked_by_name: maybeText,
  jobs: whole,
})
export type BuildJob = z.output<typeof jobRow>
export const ROWS_SHOWN = 500

/** The jobs of a build in the order in which they were ready, with gates, and whether each is on the critical path. */
export function jobsOfBuild(buildId: string, from: number): Query<BuildJob> {
  const statement = sql`
select job.id, job.type, job.job, job.state, job.result, job.retried, job.retried_in_job_id, job.retry_type, job.exit_status,
  job.queue, job.agent_name, job.created_at, job.runnable_at, job.started_at, job.finished_at,
  job.concurrency_wait_seconds, job.agent_wait_seconds, job.run_seconds, job.parallel_group_index, job.parallel_group_total, job.web_url,
  path.job_id is not null as critical, gate.blocked_at, gate.unblocked_at, gate.unblocked_by_name, count(*) over () as jobs
from analytics.jobs as job
left join analytics.critical_paths as path on path.build_id = ${buildId}::uuid and path.job_id = job.id
left join analytics.approvals as gate on gate.build_id = ${buildId}::uuid and gate.job_id = job.id
where job.build_id = ${buildId}::uuid and job.type <> 'waiter'
order by coalesce(gate.blocked_at, job.runnable_at, job.started_at, gate.unblocked_at) nulls last, job.started_at nulls last, job.job, job.id
limit ${ROWS_SHOWN} offset ${from}`
  return { statement, row: jobRow }
}

const attemptRow = z.object({
  attempt: whole,
  state: maybeText,
  started_at: maybeTime,
  finished_at: maybeTime,
  run_seconds: maybeNumber,
  is_estimate: z.boolean(),
})
export type Attempt = z.output<typeof attemptRow>

/** The finishes of a build. */
export function attemptsOf(buildId: string): Query<Attempt> {
  const statement = sql`
select attempt, state, started_at, finished_at, run_seconds, is_estimate
from analytics.build_attempts
where build_id = ${buildId}::uuid order by attempt`
  return { statement, row: attemptRow }
}

const relatedRow = z.object({
  relation: z.enum(['triggered by', 'triggered', 'rebuild of', 'rebuilt as']),
  build_number: maybeNumber,
  organization: maybeText,
  pipeline: maybeText,
  state: maybeText,
})
export type Related = z.output<typeof relatedRow>

/** What triggered a build or was repeated by it, and what it triggered. */
export function relatedTo(buildId: string): Query<Related> {
  const statement = sql`
select related.relation, build.build_number, build.organization, build.pipeline, build.state
from (
  select 'triggered by' as relation, parent_build_id as id from analytics.trigger_edges where child_build_id = ${buildId}::uuid
  union select 'triggered', child_build_id from analytics.trigger_edges where parent_build_id = ${buildId}::uuid
  union select 'rebuild of', original_build_id from analytics.rebuilds where rebuild_id = ${buildId}::uuid
  union select 'rebuilt as', rebuild_id from analytics.rebuilds where original_build_id = ${buildId}::uuid
) as related
cross join lateral (
  select build_number, organization, pipeline, state from analytics.builds where id = related.id offset 0
) as build
order by related.relation, build.pipeline, build.build_number limit 50`
  return { statement, row: relatedRow }
}

const costRow = z.object({ minutes: whole, minutes_wasted: whole, cost: maybeNumber, currency: maybeText })

/** The agent minutes of a build, a row for each currency. */
export function costsOfBuild(buildId: string): Query<z.output<typeof costRow>> {
  const statement = sql`
select minutes, minutes_wasted, cost, currency
from analytics.build_costs where build_id = ${buildId}::uuid order by cost desc nulls last`
  return { statement, row: costRow }
}
