import type { Agent, Build, Organization, Pipeline } from '../model/shapes.ts'
import { type ApiResponse, type Context, notFound, type OrganizationRoute, ok, paged, showPipeline } from './answer.ts'
import { listBuilds, rebuildBuild, showBuild } from './build-routes.ts'
import { findCompanyRoute, listAnnotations, listArtifacts, listSchedules } from './company-routes.ts'
import { listJobs, showJob, showJobOf } from './job-routes.ts'
import { findServicesRoute } from './service-routes.ts'
import { showMeta, showRateLimit, showRoot, showToken, showUser } from './token-routes.ts'
import type { Token } from './tokens.ts'

/** The kind of a request, the organization whose limit it counts against, and the scopes that it needs. */
export interface Route {
  kind: string
  organization?: string
  /** The token needs one of these scopes. */
  scopes?: readonly string[]
  /** Whether no token is needed. */
  open?: boolean
  answer: (context: Context) => ApiResponse
}

const isAllowed = (token: Token, organization: Organization) =>
  !token.organizations || token.organizations.includes(organization.slug)

/** Finds the route of a path under /v2, or undefined. The only writes are changes of services and rebuilds of builds. */
export function findRoute(path: string, method = 'GET'): Route | undefined {
  const [first = '', slug, ...parts] = path.split('/').slice(1).map(decodeURIComponent)
  if (slug === undefined && method === 'GET') {
    if (first === '') return { kind: 'root', open: true, answer: showRoot }
    if (first === 'meta') return { kind: 'meta', open: true, answer: showMeta }
    if (first === 'access-token') return { kind: 'access-token', answer: showToken }
    if (first === 'user') return { kind: 'user', scopes: ['read_user'], answer: showUser }
    if (first === 'organizations')
      return { kind: 'organizations', scopes: ['read_organizations'], answer: listOrganizations }
  }
  if (first !== 'organizations' || slug === undefined) return undefined
  const found = findServicesRoute(method, parts) ?? findOrganizationRoute(method, parts)
  return (
    found && {
      kind: found.kind,
      scopes: found.scopes,
      organization: slug,
      answer(context) {
        const organization = context.truth.organization(slug)
        return organization && isAllowed(context.token, organization)
          ? found.answer(context, organization)
          : notFound('organization')
      },
    }
  )
}

const within = (kind: string, scope: string, answer: OrganizationRoute['answer']): OrganizationRoute => ({
  kind,
  scopes: [scope],
  answer,
})

function findOrganizationRoute(method: string, parts: readonly string[]): OrganizationRoute | undefined {
  const [first, id, ...more] = parts
  if (first === 'pipelines' && id !== undefined) return findPipelineRoute(method, id, more)
  if (method !== 'GET') return undefined
  const company = findCompanyRoute(parts)
  if (company || more.length > 0) return company
  if (id === undefined) {
    if (first === undefined) return within('organization', 'read_organizations', (_, found) => ok(found))
    if (first === 'builds') return within('builds', 'read_builds', listBuilds)
    if (first === 'agents') return within('agents', 'read_agents', listAgents)
    if (first === 'pipelines') return within('pipelines', 'read_pipelines', listPipelines)
    return first === 'rate_limit' ? within('rate-limit', 'read_accounts', showRateLimit) : undefined
  }
  if (first === 'agents') return within('agent', 'read_agents', (context, of) => showAgent(context, of, id))
  return first === 'jobs' ? within('job', 'read_builds', (context, of) => showJobOf(context, of, id)) : undefined
}

function findPipelineRoute(method: string, slug: string, parts: readonly string[]): OrganizationRoute | undefined {
  const [first, number, ...more] = parts
  const inside = (
    kind: string,
    scope: string,
    answer: (context: Context, pipeline: Pipeline, organization: Organization) => ApiResponse,
  ) =>
    within(kind, scope, (context, organization) => {
      const found = context.truth.pipeline(organization, slug, context.token.token)
      return found ? answer(context, found, organization) : notFound('pipeline')
    })
  if (first === 'builds' && number !== undefined) {
    const route = findBuildRoute(method, more)
    return (
      route &&
      inside(route.kind, route.scope, (context, found) => {
        const build = context.truth.buildByNumber(found, Number(number))
        return build ? route.answer(context, build) : notFound('build')
      })
    )
  }
  if (method !== 'GET' || number !== undefined) return undefined
  if (first === undefined)
    return inside('pipeline', 'read_pipelines', ({ token }, found) => ok(showPipeline(found, token)))
  if (first === 'schedules') return inside('schedules', 'read_pipelines', listSchedules)
  if (first !== 'builds') return undefined
  return inside('pipeline-builds', 'read_builds', (context, found, of) => listBuilds(context, of, found))
}

interface BuildRoute {
  kind: string
  scope: string
  answer: (context: Context, build: Build) => ApiResponse
}

/** Routes below a build's URL. */
function findBuildRoute(method: string, [first, id, ...more]: readonly string[]): BuildRoute | undefined {
  if (more.length > 0) return undefined
  const route = (kind: string, answer: BuildRoute['answer'], scope = 'read_builds') => ({ kind, scope, answer })
  if (method === 'PUT' && first === 'rebuild' && id === undefined) return route('rebuild', rebuildBuild, 'write_builds')
  if (method !== 'GET') return undefined
  if (first === undefined) return route('build', showBuild)
  if (first === 'jobs') {
    return id === undefined ? route('jobs', listJobs) : route('job', (context, build) => showJob(context, build, id))
  }
  if (id !== undefined) return undefined
  if (first === 'annotations') return route('annotations', listAnnotations)
  return first === 'artifacts' ? route('artifacts', listArtifacts, 'read_artifacts') : undefined
}

const listOrganizations = (context: Context) =>
  paged(
    context,
    context.truth.organizations.filter((organization) => isAllowed(context.token, organization)),
    (organization) => organization,
  )

function listPipelines(context: Context, organization: Organization): ApiResponse {
  const { lists, query, token } = context
  const name = query.get('name')?.toLowerCase() ?? ''
  const repository = query.get('repository')?.toLowerCase() ?? ''
  const all = lists
    .pipelinesOf(organization)
    .filter((one) => lists.isVisible(one, token.token))
    .filter((one) => one.name.toLowerCase().includes(name) && one.repository.toLowerCase().includes(repository))
  return paged(context, all, (pipeline) => showPipeline(pipeline, token))
}

const shown = ['connected', 'stopping']

function listAgents(context: Context, organization: Organization): ApiResponse {
  const agents = context.truth.agentsOf(organization).filter((agent) => shown.includes(agent.connection_state))
  return paged(context, agents, (agent) => withJob(context, agent))
}

function showAgent(context: Context, organization: Organization, id: string): ApiResponse {
  const agent = context.truth.agentsOf(organization).find((one) => one.id === id)
  return agent ? ok(withJob(context, agent)) : notFound('agent')
}

function withJob({ truth }: Context, agent: Agent) {
  const job = truth.running.get(agent)
  return { ...agent, job: job ? { ...job, agent: undefined } : null }
}
