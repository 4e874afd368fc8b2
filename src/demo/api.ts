import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createLimits, type LimitOptions, type Limits, limitBody, limitHeaders } from './limits.ts'
import { BadQuery } from './query.ts'
import { type Answer, findRoute } from './routes.ts'
import type { Truth } from './truth.ts'

export interface Token {
  token: string
  uuid: string
  scopes: string[]
  /** Slugs of the organizations that the token was made for; all when not given. */
  organizations?: string[]
  /** Milliseconds since the epoch; never when not given. */
  expiresAt?: number
  /** Tokens of one user share its limit. */
  user: string
  /** Whether the user may change notification services; so where not given. */
  admin?: boolean
}

/** What goes wrong with a request, instead of or before its answer. */
export type Fault =
  | { kind: 'delay'; ms: number }
  | { kind: 'status'; status: number; message: string }
  | { kind: 'html'; status: number }
  /** The connection ends in the middle of the body. */
  | { kind: 'cut' }
  /** No answer ever comes. */
  | { kind: 'hang' }
  | { kind: 'limit'; scope: 'rest' | 'rest_user'; reset: number }

/** A request as it came, and how it was answered. `status` is 0 until then, and stays so when it hangs. */
export interface LoggedRequest {
  method: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  kind: string
  status: number
  /** Milliseconds since the epoch on the wall's clock. */
  at: number
}

export interface ApiOptions {
  port?: number
  tokens?: Token[]
  limits?: LimitOptions
  /** Lists of builds go no deeper than this many; default 5,000. */
  depth?: number
  /** Called for every request before it is answered. */
  beforeAnswer?: (request: LoggedRequest) => Fault | undefined
}

/** The simulated REST API while it runs. Its fields may be changed meanwhile: they count from the next request on. */
export interface Api {
  /** What BUILDKITE_API_URL is set to. */
  readonly url: string
  tokens: Token[]
  depth: number
  limits: Limits
  beforeAnswer: ((request: LoggedRequest) => Fault | undefined) | undefined
  /** Every request since the start or the last `forget`. */
  readonly requests: LoggedRequest[]
  /** How many of the requests were of that kind: access-token, organizations, pipelines, builds, build, … */
  count(kind: string): number
  forget(): void
  stop(): Promise<void>
}

/** A token that may read all the mirror needs, and register its webhook. */
export const demoToken: Token = {
  token: 'demo-token',
  uuid: '0198f3c1-0000-7000-8000-000000000001',
  scopes: [
    'read_builds',
    'read_pipelines',
    'read_organizations',
    'read_clusters',
    'view_teams',
    'read_agents',
    'read_artifacts',
    'read_notification_services',
    'write_notification_services',
  ],
  user: 'ada',
}

/** Starts the API on 127.0.0.1. `now` is the simulation's clock, which the `Date` header tells. */
export async function startApi(truth: Truth, now: () => number, options: ApiOptions = {}): Promise<Api> {
  const requests: LoggedRequest[] = []
  const server = createServer((request, response) => {
    void answer(api, truth, now, request, response).catch((error: unknown) => response.destroy(toError(error)))
  })
  // Clients keep connections open between requests; a close from this side in just that moment would look like a fault.
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const api: Api = {
    url: `http://127.0.0.1:${port}/v2`,
    tokens: options.tokens ?? [demoToken],
    depth: options.depth ?? 5_000,
    limits: createLimits(options.limits),
    beforeAnswer: options.beforeAnswer,
    requests,
    count: (kind) => requests.filter((request) => request.kind === kind).length,
    forget() {
      requests.length = 0
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return api
}

const toError = (error: unknown) => (error instanceof Error ? error : new Error(String(error)))

async function answer(
  api: Api,
  truth: Truth,
  now: () => number,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', api.url)
  const path = url.pathname.replace(/^\/v2/, '')
  const method = request.method ?? 'GET'
  const route = findRoute(path, method)
  const logged: LoggedRequest = {
    method,
    path,
    query: url.searchParams,
    kind: route?.kind ?? 'other',
    status: 0,
    at: Date.now(),
  }
  api.requests.push(logged)
  const sent = await readBody(request)
  const fault = api.beforeAnswer?.(logged)
  if (fault?.kind === 'hang') return
  if (fault?.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms))

  const send = (status: number, body: unknown, headers: Record<string, string> = {}) => {
    logged.status = status
    const html = fault?.kind === 'html'
    const text = html ? `<html><body><h1>${status} Bad Gateway</h1></body></html>` : JSON.stringify(body)
    response.writeHead(status, {
      'Content-Type': html ? 'text/html' : 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(text),
      'Cache-Control': 'max-age=0, private, must-revalidate',
      Date: new Date(now()).toUTCString(),
      'X-Request-Id': randomUUID(),
      ...headers,
    })
    if (fault?.kind === 'cut') response.write(text.slice(0, text.length / 2), () => response.destroy())
    else response.end(text)
  }

  if (fault?.kind === 'html') return send(fault.status, undefined)
  if (fault?.kind === 'status') return send(fault.status, { message: fault.message })
  const token = api.tokens.find((one) => request.headers.authorization === `Bearer ${one.token}`)
  const valid = token && (token.expiresAt === undefined || token.expiresAt > now())
  if (!valid && route?.kind !== 'meta') {
    return send(401, {
      message:
        'Authentication required. Please supply a valid API Access Token: https://buildkite.com/docs/apis/rest-api#authentication',
    })
  }
  const holder = token ?? demoToken
  const counted = api.limits.count(route?.organization, holder.user)
  if (fault?.kind === 'limit') {
    const limited = fault.scope === 'rest' ? counted.organization : counted.user
    limited.reset = fault.reset
    limited.current = limited.limit + 1
    counted.exceeded = fault.scope
  }
  const headers = {
    ...limitHeaders(counted),
    'X-OAuth-Scopes': holder.scopes.join(', '),
    ...(route?.scopes ? { 'X-Accepted-OAuth-Scopes': route.scopes.join(', ') } : {}),
  }
  if (counted.exceeded) {
    const state = counted.exceeded === 'rest' ? counted.organization : counted.user
    return send(429, limitBody(counted.exceeded, state), headers)
  }
  if (!route || (method !== 'GET' && route.organization === undefined))
    return send(404, { message: `No route matches ${path}` }, headers)
  if (route.scopes && !route.scopes.some((scope) => holder.scopes.includes(scope))) {
    return send(403, { message: `Your access token doesn't have the ${route.scopes[0]} scope` }, headers)
  }
  const { status, body, pages } = answerRoute(() =>
    route.answer({ truth, token: holder, query: url.searchParams, depth: api.depth, now: now(), body: sent }),
  )
  const link = pages ? linkHeader(url, pages.page, pages.pages) : ''
  send(status, body, link ? { ...headers, Link: link } : headers)
}

/** The JSON of a request; undefined where there is none. */
async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function answerRoute(work: () => Answer): Answer {
  try {
    return work()
  } catch (error) {
    if (error instanceof BadQuery) return { status: 400, body: { message: error.message } }
    throw error
  }
}

function linkHeader(url: URL, page: number, pages: number): string {
  const to = (number: number, rel: string) => {
    const target = new URL(url)
    target.searchParams.set('page', String(number))
    return `<${target}>; rel="${rel}"`
  }
  const links: string[] = []
  if (page > 1) links.push(to(1, 'first'), to(page - 1, 'prev'))
  if (page < pages) links.push(to(page + 1, 'next'), to(pages, 'last'))
  return links.join(', ')
}
