import type { Token } from './api.ts'
import { findCompanyRoute, listAnnotations, listArtifacts, listSchedules } from './company-routes.ts'
import { BadQuery, cutPage, readBuildsQuery, readPage, selectBuilds } from './query.ts'
import { findServicesRoute } from './services.ts'
import type { Build, Job, Organization, Pipeline } from './shapes.ts'
import type { Truth } from './truth.ts'

/** What a route answers; `pages` makes the Link header of a list that is paged by number. */
export interface Answer {
  status: number
  body: unknown
  pages?: { page: number; pages: number }
}

/** What kind of request it is, whose limit it counts against, and what it needs. */
export interface Route {
  kind: string
  organization?: string
  /** Scopes of which the token needs one. */
  scopes?: readonly string[]
  answer: (context: Context) => Answer
}

export interface Context {
  truth: Truth
  token: Token
  query: URLSearchParams
  /** Lists of builds go no deeper than this many. */
  depth: number
  /** Milliseconds since the epoch, on the simulation's clock. */
  now: number
  /** What a request that changes something brought. */
  body?: unknown
}

export const notFound = (what: string): Answer => ({ status: 404, body: { message: `No ${what} found` } })
const deep =
  'Listing builds this deep is not supported. Please narrow your query using filters such as branch or created_from.'

const isAllowed = (token: Token, organization: Organization) =>
  !token.organizations || token.organizations.includes(organization.slug)

/** Finds the route of a path under /v2, or undefined. Only services can be changed. */
export function findRoute(path: string, method = 'GET'): Route | undefined {
  const [first, slug, second, pipeline, third, number, fourth, ...more] = path
    .split('/')
    .slice(1)
    .map(decodeURIComponent)
  if (more.length > 0) return undefined
  if (first === 'access-token' && slug === undefined) return { kind: 'access-token', answer: showToken }
  if (first === 'meta' && slug === undefined) return { kind: 'meta', answer: showMeta }
  if (first !== 'organizations') return undefined
  if (slug === undefined) return { kind: 'organizations', scopes: ['read_organizations'], answer: listOrganizations }
  const within = (
    kind: string,
    scopes: string | readonly string[],
    answer: (context: Context, organization: Organization) => Answer,
  ) => ({
    kind,
    scopes: typeof scopes === 'string' ? [scopes] : scopes,
    organization: slug,
    answer: (context: Context) => {
      const organization = context.truth.organization(slug)
      return organization && isAllowed(context.token, organization)
        ? answer(context, organization)
        : notFound('organization')
    },
  })
  const services = findServicesRoute(method, [second, pipeline, third, number, fourth])
  if (services) return within(services.kind, services.scopes, services.answer)
  if (method !== 'GET') return undefined
  if (second === undefined) return within('organization', 'read_organizations', (_, found) => ok(found))
  if (second === 'builds' && pipeline === undefined) return within('builds', 'read_builds', listBuilds)
  if (second === 'agents' && pipeline === undefined) return within('agents', 'read_agents', listAgents)
  const company = findCompanyRoute([second, pipeline, third, number, fourth])
  if (company) return within(company.kind, company.scopes, company.answer)
  if (second !== 'pipelines') return undefined
  if (pipeline === undefined) return within('pipelines', 'read_pipelines', listPipelines)
  const inside = (
    kind: string,
    scope: string,
    answer: (context: Context, pipeline: Pipeline, organization: Organization) => Answer,
  ) =>
    within(kind, scope, (context, organization) => {
      const found = context.truth.pipeline(organization, pipeline)
      return found ? answer(context, found, organization) : notFound('pipeline')
    })
  if (third === undefined) {
    return inside('pipeline', 'read_pipelines', (context, found) => ok(showPipeline(found, context.token)))
  }
  if (third === 'schedules' && number === undefined) return inside('schedules', 'read_pipelines', listSchedules)
  if (third !== 'builds') return undefined
  if (number === undefined) {
    return inside('pipeline-builds', 'read_builds', (context, found, organization) =>
      listBuilds(context, organization, found),
    )
  }
  const ofBuild = (kind: string, answer: (context: Context, build: Build) => Answer, scope = 'read_builds') =>
    inside(kind, scope, (context, found) => {
      const build = context.truth.buildByNumber(found, Number(number))
      return build ? answer(context, build) : notFound('build')
    })
  if (fourth === undefined) return ofBuild('build', showBuild)
  if (fourth === 'annotations') return ofBuild('annotations', listAnnotations)
  if (fourth === 'artifacts') return ofBuild('artifacts', listArtifacts, 'read_artifacts')
  return fourth === 'jobs' ? ofBuild('jobs', listJobs) : undefined
}

const ok = (body: unknown): Answer => ({ status: 200, body })

/** Times of tokens are the exception to ISO 8601. */
const utc = (at: number) => `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`

function showToken({ token, now }: Context): Answer {
  return ok({
    uuid: token.uuid,
    scopes: token.scopes,
    description: 'buildkite-mirror',
    created_at: utc(now - 86_400_000),
    expires_at: token.expiresAt === undefined ? null : utc(token.expiresAt),
    user: { email: 'ada@example.com', name: 'Ada Byron' },
  })
}

const showMeta = (): Answer => ok({ webhook_ips: ['127.0.0.0/8', '192.0.2.0/24', '198.51.100.12'] })

export function paged<T>(context: Context, all: readonly T[], show: (item: T) => unknown): Answer {
  const page = readPage(context.query)
  const { items, pages } = cutPage(all, page)
  return { status: 200, body: items.map(show), pages: { page: page.page, pages } }
}

const listOrganizations = (context: Context) =>
  paged(
    context,
    context.truth.organizations.filter((organization) => isAllowed(context.token, organization)),
    (organization) => organization,
  )

function listPipelines(context: Context, organization: Organization): Answer {
  const { truth, query, token } = context
  const name = query.get('name')?.toLowerCase() ?? ''
  const repository = query.get('repository')?.toLowerCase() ?? ''
  const all = truth
    .pipelinesOf(organization)
    .filter((one) => !truth.hidden.has(one))
    .filter((one) => one.name.toLowerCase().includes(name) && one.repository.toLowerCase().includes(repository))
  return paged(context, all, (pipeline) => showPipeline(pipeline, token))
}

/** The delivery address is shown only to those who may edit the pipeline. */
const showPipeline = (pipeline: Pipeline, token: Token) => ({
  ...pipeline,
  provider: {
    ...pipeline.provider,
    webhook_url: token.scopes.includes('write_pipelines') ? pipeline.provider.webhook_url : '',
  },
})

function listAgents(context: Context, organization: Organization): Answer {
  const { truth } = context
  const shown = ['connected', 'stopping']
  const connected = truth.agentsOf(organization).filter((agent) => shown.includes(agent.connection_state))
  return paged(context, connected, (agent) => {
    const job = truth.running.get(agent)
    return { ...agent, job: job ? { ...job, agent: undefined } : null }
  })
}

function listBuilds(context: Context, organization: Organization, pipeline?: Pipeline): Answer {
  const { truth, token, depth } = context
  const query = readBuildsQuery(context.query)
  const page = readPage(context.query)
  if (page.page * page.perPage > depth) throw new BadQuery(deep)
  const visible = (one: Pipeline) => (pipeline ? one === pipeline : !truth.hidden.has(one))
  return paged(context, selectBuilds(truth.buildsOf(organization), query, visible), (build) => {
    const { jobs, pipeline: owner, ...rest } = build
    return {
      ...rest,
      ...(query.pipeline ? { pipeline: showPipeline(owner, token) } : {}),
      ...(query.jobs ? { jobs: showJobs(jobs, query.retriedJobs) } : {}),
    }
  })
}

const isRetried = (job: Job) => job.type === 'script' && job.retried
const showJobs = (jobs: readonly Job[], retried: boolean) => (retried ? jobs : jobs.filter((job) => !isRetried(job)))

function showBuild({ token, query }: Context, build: Build): Answer {
  const options = readBuildsQuery(query)
  const jobs = showJobs(build.jobs, options.retriedJobs)
  const states: Record<string, number> = {}
  for (const job of jobs) {
    const state = 'state' in job ? job.state : 'passed'
    states[state] = (states[state] ?? 0) + 1
  }
  const { jobs: _, pipeline, ...rest } = build
  return ok({
    ...rest,
    ...(options.pipeline ? { pipeline: showPipeline(pipeline, token) } : {}),
    ...(options.jobs ? { jobs } : {}),
    job_state_counts: { total: jobs.length, states },
  })
}

/** The newer style of list: a cursor instead of page numbers, and retried jobs shown unless refused. */
function listJobs({ query }: Context, build: Build): Answer {
  const states = query.getAll('state[]')
  const stepKey = query.get('step_key')
  const jobs = showJobs(build.jobs, query.get('include_retried_jobs') !== 'false').filter(
    (job) =>
      (states.length === 0 || states.includes('state' in job ? job.state : 'passed')) &&
      (stepKey === null || ('step_key' in job && job.step_key === stepKey)),
  )
  const perPage = Number(query.get('per_page') ?? 30)
  if (!Number.isInteger(perPage) || perPage < 1 || perPage > 100) throw new BadQuery('per_page must be from 1 to 100')
  const start = startOf(jobs, query, perPage)
  const items = jobs.slice(start, start + perPage)
  const link = (cursor: string) => `${build.url}/jobs?per_page=${perPage}${cursor}`
  const [first, last] = [items[0], items.at(-1)]
  return ok({
    items,
    links: {
      self: link(''),
      first: link(''),
      next: last && start + perPage < jobs.length ? link(`&after=${last.id}`) : null,
      prev: first && start > 0 ? link(`&before=${first.id}`) : null,
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
