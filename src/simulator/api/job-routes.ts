import type { Build, Job, Organization } from '../model/shapes.ts'
import { renderJob } from '../model/variety.ts'
import { type ApiResponse, type Context, notFound, ok } from './answer.ts'
import { showJobs, stateOf } from './build-routes.ts'
import { BadQuery } from './query.ts'
import { failureOf } from './read-faults.ts'

const states = new Set(
  [
    ['pending', 'waiting', 'waiting_failed', 'blocked', 'blocked_failed', 'unblocked', 'unblocked_failed'],
    ['limiting', 'limited', 'platform_limiting', 'platform_limited', 'scheduled', 'reserved', 'assigned', 'accepted'],
    ['running', 'passed', 'failed', 'canceling', 'canceled', 'timing_out', 'timed_out', 'expired', 'skipped', 'broken'],
  ].flat(),
)

/** The jobs of a build, in the newer list format: with a cursor instead of page numbers, and with retried jobs by default. */
export function listJobs({ truth, query }: Context, build: Build): ApiResponse {
  const failure = failureOf(truth.readFaults, build, false)
  if (failure) return failure
  const wanted = query.getAll('state[]')
  for (const state of wanted) if (!states.has(state)) throw new BadQuery(`Unknown job state: ${state}`)
  const [stepKey, groupKey] = [query.get('step_key'), query.get('group_key')]
  const jobs = showJobs(build.jobs, query.get('include_retried_jobs') !== 'false').filter(
    (job) =>
      (wanted.length === 0 || wanted.includes(stateOf(job))) &&
      (stepKey === null || ('step_key' in job && job.step_key === stepKey)) &&
      (groupKey === null || ('group_key' in job && job.group_key === groupKey)),
  )
  const perPage = Number(query.get('per_page') ?? 30)
  if (!Number.isInteger(perPage) || perPage < 1 || perPage > 100) throw new BadQuery('per_page must be from 1 to 100')
  const start = startOf(jobs, query, perPage)
  const items = jobs.slice(start, start + perPage)
  const link = (cursor?: readonly [string, string]) => {
    const target = new URLSearchParams(query)
    for (const name of ['after', 'before']) target.delete(name)
    if (cursor) target.set(...cursor)
    return `${build.url}/jobs?${target}`
  }
  const [first, last] = [items[0], items.at(-1)]
  return ok({
    items: items.map((job) => renderJob(truth, build, job)),
    links: {
      self: `${build.url}/jobs?${query}`,
      first: link(),
      next: last && start + perPage < jobs.length ? link(['after', last.id]) : null,
      prev: first && start > 0 ? link(['before', first.id]) : null,
    },
  })
}

function startOf(jobs: readonly Job[], query: URLSearchParams, perPage: number): number {
  const [after, before] = [query.get('after'), query.get('before')]
  const cursor = after ?? before
  if (cursor === null) return 0
  const position = jobs.findIndex((job) => job.id === cursor)
  if (position < 0) throw new BadQuery('Invalid cursor')
  return after === null ? Math.max(0, position - perPage) : position + 1
}

/** One job of a build. */
export function showJob({ truth }: Context, build: Build, id: string): ApiResponse {
  const job = build.jobs.find((one) => one.id === id)
  return failureOf(truth.readFaults, build, false) ?? (job ? ok(renderJob(truth, build, job)) : notFound('job'))
}

/** One job of an organization, in any build. */
export function showJobOf(context: Context, organization: Organization, id: string): ApiResponse {
  const { truth, token } = context
  const build = truth
    .buildsOf(organization)
    .find((one) => truth.isVisible(one.pipeline, token.token) && one.jobs.some((job) => job.id === id))
  return build ? showJob(context, build, id) : notFound('job')
}
