import { isRetried } from '../lifecycle/build-events.ts'
import { rebuild } from '../lifecycle/build-lifecycle.ts'
import type { Build, Job, Organization, Pipeline } from '../model/shapes.ts'
import { renderBuild, renderJob } from '../model/variety.ts'
import { calmMix } from '../probabilities.ts'
import { type ApiResponse, type Context, ok, showPipeline } from './answer.ts'
import { BadQuery, cutPage, readBuildsQuery, readPage, selectBuilds } from './query.ts'
import { failsInList, failureOf, timedOut } from './read-faults.ts'

const deep =
  'Listing builds this deep is not supported. Please narrow your query using filters such as branch or created_from.'

/** The builds of an organization, or of one of its pipelines. */
export function listBuilds(context: Context, organization: Organization, pipeline?: Pipeline): ApiResponse {
  const { truth, lists, token, depth } = context
  const query = readBuildsQuery(context.query)
  const page = readPage(context.query)
  if (page.page * page.perPage > depth) throw new BadQuery(deep)
  const isListed = (one: Pipeline) => (pipeline ? one === pipeline : lists.isVisible(one, token.token))
  const { items, pages } = cutPage(selectBuilds(lists.buildsOf(organization), query, isListed), page)
  if (failsInList(truth.readFaults, items, query.jobs)) return timedOut
  const body = items.map((build) => {
    const { jobs, pipeline: _, ...rest } = build
    return {
      ...renderBuild(truth, build, rest),
      ...(query.pipeline ? { pipeline: showPipeline(lists.pipelineOf(build), token) } : {}),
      ...(query.jobs ? { jobs: showJobs(jobs, query.retriedJobs).map((job) => renderJob(truth, build, job)) } : {}),
    }
  })
  return { status: 200, body, pages: { page: page.page, pages } }
}

/** The API treats a waiter, which has no state, as passed. */
export const stateOf = (job: Job) => ('state' in job ? job.state : 'passed')

export const showJobs = (jobs: readonly Job[], retried: boolean) =>
  retried ? jobs : jobs.filter((job) => !isRetried(job))

/** A single build. `job_state_counts` counts every job, even if the jobs are omitted. */
export function showBuild({ truth, token, query }: Context, build: Build): ApiResponse {
  const options = readBuildsQuery(query)
  const failure = failureOf(truth.readFaults, build, options.jobs)
  if (failure) return failure
  const jobs = showJobs(build.jobs, options.retriedJobs)
  const states: Record<string, number> = {}
  for (const job of jobs) {
    const state = stateOf(job)
    states[state] = (states[state] ?? 0) + 1
  }
  const { jobs: _, pipeline, ...rest } = build
  return ok({
    ...renderBuild(truth, build, rest),
    ...(options.pipeline ? { pipeline: showPipeline(pipeline, token) } : {}),
    ...(options.jobs ? { jobs: jobs.map((job) => renderJob(truth, build, job)) } : {}),
    job_state_counts: { total: jobs.length, states },
  })
}

/** Rebuilds a finished build, and returns the new one. */
export function rebuildBuild(context: Context, build: Build): ApiResponse {
  const again = rebuild(context.truth, build, context.now, calmMix)
  return showBuild({ ...context, query: new URLSearchParams() }, again)
}
