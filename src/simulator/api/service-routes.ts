import type { Service } from '../model/services.ts'
import { graphqlId, iso, type Organization } from '../model/shapes.ts'
import { type ApiResponse, type Context, notFound, type OrganizationRoute, ok } from './answer.ts'
import { forbidden } from './read-faults.ts'

/** Buildkite's maximum number of webhooks per organization. */
export const MOST_WEBHOOKS = 15

const events = [
  'ping',
  ...['scheduled', 'running', 'failing', 'finished', 'skipped'].map((name) => `build.${name}`),
  ...['scheduled', 'started', 'finished', 'activated', 'promised_exit_status'].map((name) => `job.${name}`),
  ...['connected', 'lost', 'disconnected', 'stopping', 'stopped', 'blocked'].map((name) => `agent.${name}`),
  'cluster_token.registration_blocked',
]
const scopes = ['all', 'some_projects', 'some_teams', 'some_clusters']

const reading = ['read_notification_services']
const writing = ['write_notification_services']

/** Finds the route of `method` and a path below an organization's services, or undefined. */
export function findServicesRoute(
  method: string,
  [first, id, verb, ...more]: readonly (string | undefined)[],
): OrganizationRoute | undefined {
  if (first !== 'services' || more.some((part) => part !== undefined)) return undefined
  const route = (kind: string, needs: readonly string[], answer: OrganizationRoute['answer']): OrganizationRoute => ({
    kind,
    scopes: needs,
    // In addition to the scope, the token's user needs the permission to change notification services.
    answer: (context, organization) => (context.token.admin === false ? forbidden : answer(context, organization)),
  })
  const onOne = (kind: string, needs: readonly string[], answer: (context: Context, found: Service) => ApiResponse) =>
    route(kind, needs, (context, organization) => {
      const found = context.truth.servicesOf(organization).all.find((one) => one.id === id)
      return found ? answer(context, found) : notFound('service')
    })
  if (id === undefined) {
    if (method === 'GET') return route('services', reading, listServices)
    return method === 'POST' ? route('create-service', writing, createService) : undefined
  }
  if (verb === undefined) {
    if (method === 'GET') return onOne('service', reading, (_, found) => ok(found))
    return method === 'PATCH' ? onOne('change-service', writing, changeService) : undefined
  }
  if (method !== 'PUT' || !['enable', 'disable'].includes(verb)) return undefined
  return onOne(`${verb}-service`, writing, (context, found) => {
    found.enabled = verb === 'enable'
    context.truth.servicesOf(organizationOf(context, found)).changed(found)
    return ok(found)
  })
}

function organizationOf({ truth }: Context, service: Service): Organization {
  const found = truth.organizations.find((one) => truth.servicesOf(one).all.includes(service))
  if (!found) throw new Error(`The service ${service.id} belongs to no organization.`)
  return found
}

/** Uses cursors; oldest first. */
function listServices({ truth, query }: Context, organization: Organization): ApiResponse {
  const { all } = truth.servicesOf(organization)
  const perPage = Math.min(100, Number(query.get('per_page') ?? 30))
  const after = query.get('after')
  const start = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1
  const items = all.slice(start, start + perPage)
  const home = `${organization.url}/services`
  const last = items.at(-1)
  const next = last && start + perPage < all.length ? `${home}?after=${last.id}&per_page=${perPage}` : null
  return ok({ items, links: { self: `${home}?per_page=${perPage}`, next } })
}

function createService(context: Context, organization: Organization): ApiResponse {
  const { truth, now } = context
  const services = truth.servicesOf(organization)
  const given = objectOf(context.body)
  const faults = faultsOf(context, organization, given)
  if (given.provider !== 'webhook') faults.push({ field: 'provider', code: 'invalid' })
  if (typeof objectOf(given.settings).url !== 'string') faults.push({ field: 'settings.url', code: 'missing' })
  if (services.all.length >= MOST_WEBHOOKS) faults.push({ field: 'base', code: 'too_many_webhooks' })
  if (faults.length > 0) return invalid(faults)
  const id = services.random.uuid(now)
  const service: Service = {
    id,
    graphql_id: graphqlId('NotificationServiceWebhook', id),
    url: `${organization.url}/services/${id}`,
    provider: { id: 'webhook', name: 'Webhook' },
    description: '',
    enabled: true,
    scope: 'all',
    scope_uuids: [],
    branch_configuration: '',
    build_states: {},
    settings: {
      url: '',
      version: 3,
      token: services.random.hex(32),
      token_mode: 'token',
      events: [],
      tls_verify: true,
    },
    created_at: iso(now),
    created_by: truth.people[0],
  }
  take(service, given)
  services.add(service)
  return { status: 201, body: service }
}

function changeService(context: Context, service: Service): ApiResponse {
  const organization = organizationOf(context, service)
  const given = objectOf(context.body)
  const faults = faultsOf(context, organization, given)
  if (faults.length > 0) return invalid(faults)
  take(service, given)
  context.truth.servicesOf(organization).changed(service)
  return ok(service)
}

interface FieldFault {
  field: string
  code: string
}

const invalid = (errors: FieldFault[]): ApiResponse => ({ status: 422, body: { message: 'Validation Failed', errors } })

/** Validates the body, so that `take` can use it unchecked. */
function faultsOf({ truth }: Context, organization: Organization, given: Json): FieldFault[] {
  const { url, token_mode, events: asked, token } = objectOf(given.settings)
  const faults: FieldFault[] = []
  const expect = (right: boolean, field: string) => right || faults.push({ field, code: 'invalid' })
  expect(url === undefined || (typeof url === 'string' && /^https?:\/\/./.test(url)), 'settings.url')
  expect(token === undefined || (typeof token === 'string' && token !== ''), 'settings.token')
  expect(token_mode === undefined || token_mode === 'token' || token_mode === 'signature', 'settings.token_mode')
  expect(asked === undefined || textsOf(asked)?.every((one) => events.includes(one)) === true, 'settings.events')
  expect(given.scope === undefined || scopes.some((one) => one === given.scope), 'scope')
  const known = truth.pipelinesOf(organization).map(({ id }) => id)
  const ids = given.scope_uuids === undefined ? [] : textsOf(given.scope_uuids)
  expect(ids !== undefined && (given.scope !== 'some_projects' || ids.every((id) => known.includes(id))), 'scope_uuids')
  expect(given.scope !== 'some_projects' || (ids?.length ?? 0) > 0, 'scope_uuids')
  return faults
}

function take(service: Service, given: Json): void {
  const settings = objectOf(given.settings)
  if (typeof given.description === 'string') service.description = given.description
  if (typeof given.scope === 'string') service.scope = given.scope
  service.scope_uuids = service.scope === 'all' ? [] : (textsOf(given.scope_uuids) ?? service.scope_uuids)
  if (typeof given.branch_configuration === 'string') service.branch_configuration = given.branch_configuration
  if (typeof settings.url === 'string') service.settings.url = settings.url
  if (typeof settings.token === 'string') service.settings.token = settings.token
  if (typeof settings.token_mode === 'string') service.settings.token_mode = settings.token_mode
  service.settings.events = textsOf(settings.events) ?? service.settings.events
}

type Json = Record<string, unknown>

const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const objectOf = (value: unknown): Json => (isJson(value) ? value : {})

function textsOf(value: unknown): string[] | undefined {
  if (!Array.isArray(value)) return undefined
  const texts = value.filter((one) => typeof one === 'string')
  return texts.length === value.length ? texts : undefined
}
