import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Truth } from '../model/state.ts'
import type { Random } from '../random.ts'
import type { ApiResponse } from './answer.ts'
import type { Api, LoggedRequest } from './api.ts'
import type { Fault, Troubles } from './faults.ts'
import { type Counted, limitBody, limitHeaders } from './limits.ts'
import { BadQuery } from './query.ts'
import { findRoute, type Route } from './routes.ts'
import { demoToken, type Token } from './tokens.ts'

/** The dependencies of every response. */
export interface Server {
  api: Api
  truth: Truth
  now: () => number
  random: Random
  troubles: Troubles
}

/** Answers one request, or fails it according to the API's faults. */
export async function answerRequest(server: Server, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { api } = server
  const url = new URL(request.url ?? '/', api.url)
  const path = url.pathname.replace(/^\/v2(?=\/|$)/, '')
  const method = request.method ?? 'GET'
  const route = findRoute(path, method)
  const kind = route?.kind ?? 'other'
  const logged: LoggedRequest = { method, path, query: url.searchParams, kind, status: 0, bytes: 0, at: Date.now() }
  api.requests.push(logged)
  const sent = await readBody(request)
  const faults = [api.beforeAnswer?.(logged), ...server.troubles.meet(kind)].filter((fault) => fault !== undefined)
  if (faults.some((fault) => fault.kind === 'hang')) return
  for (const fault of faults) {
    if (fault.kind === 'delay') await new Promise((resolve) => setTimeout(resolve, fault.ms))
  }
  const answer = decide(server, {
    url,
    path,
    method,
    route,
    faults,
    sent,
    authorization: request.headers.authorization,
  })
  logged.status = answer.status
  logged.bytes = send(server, response, answer, faults)
}

interface Asked {
  url: URL
  path: string
  method: string
  route: Route | undefined
  faults: readonly Fault[]
  /** The JSON body of the request. */
  sent: unknown
  authorization: string | undefined
}

interface FullAnswer extends ApiResponse {
  headers?: Record<string, string>
}

function decide(server: Server, asked: Asked): FullAnswer {
  const { api, truth, now, random } = server
  const { url, path, method, route, faults } = asked
  for (const fault of faults) {
    if (fault.kind === 'html') return { status: fault.status, body: htmlPage(fault.status) }
    if (fault.kind === 'status') return { status: fault.status, body: { message: fault.message } }
  }
  const token = api.tokens.find((one) => asked.authorization === `Bearer ${one.token}`)
  const valid = token && (token.expiresAt === undefined || token.expiresAt > now())
  if (!valid && !route?.open) return { status: 401, body: { message: unauthorized } }
  const holder = token ?? demoToken
  const counted = count(api, route, holder, faults)
  const headers = headersOf(counted, holder, route)
  if (counted.exceeded) {
    const state = counted.exceeded === 'rest' ? counted.organization : counted.user
    return { status: 429, body: limitBody(counted.exceeded, state), headers }
  }
  if (!route || (method !== 'GET' && route.organization === undefined))
    return { status: 404, body: { message: `No route matches ${path}` }, headers }
  if (route.scopes && !route.scopes.some((scope) => holder.scopes.includes(scope))) {
    return { status: 403, body: { message: `Your access token doesn't have the ${route.scopes[0]} scope` }, headers }
  }
  const lag = typeof api.listLagMs === 'number' ? api.listLagMs : random.int(api.listLagMs[0], api.listLagMs[1])
  const lists = lag > 0 ? truth.at(Math.max(truth.record().since, now() - lag)) : truth
  const { query, depth } = { query: url.searchParams, depth: api.depth }
  const answer = refuseBadQueries(() =>
    route.answer({ truth, lists, token: holder, query, depth, now: now(), counted, body: asked.sent }),
  )
  const link = answer.pages ? linkHeader(url, answer.pages.page, answer.pages.pages) : ''
  return { ...answer, headers: link ? { ...headers, Link: link } : headers }
}

const unauthorized =
  'Authentication required. Please supply a valid API Access Token: https://buildkite.com/docs/apis/rest-api#authentication'
const htmlPage = (status: number) => `<html><body><h1>${status} Bad Gateway</h1></body></html>`

function count(api: Api, route: Route | undefined, holder: Token, faults: readonly Fault[]): Counted {
  const counted = api.limits.count(route?.organization, holder.user)
  const fault = faults.find((one) => one.kind === 'limit')
  if (fault) {
    const limited = fault.scope === 'rest' ? counted.organization : counted.user
    limited.reset = fault.reset
    limited.current = limited.limit + 1
    counted.exceeded = fault.scope
  }
  return counted
}

const headersOf = (counted: Counted, { scopes }: Token, route: Route | undefined) => ({
  ...limitHeaders(counted),
  'X-OAuth-Scopes': scopes.join(', '),
  ...(route?.scopes ? { 'X-Accepted-OAuth-Scopes': route.scopes.join(', ') } : {}),
})

/** Writes the response and returns the size of its body. A text body is HTML, as from a proxy in front of Buildkite. */
function send(
  { api, now, random }: Server,
  response: ServerResponse,
  answer: FullAnswer,
  faults: readonly Fault[],
): number {
  const { status, body, headers } = answer
  const html = typeof body === 'string'
  const text = html ? body : JSON.stringify(body)
  const bytes = Buffer.byteLength(text)
  const wrong = faults.reduce((sum, fault) => sum + (fault.kind === 'date' ? fault.ms : 0), 0)
  const off = random.choose(api.serverClocksMs) ?? 0
  response.writeHead(status, {
    'Content-Type': html ? 'text/html' : 'application/json; charset=utf-8',
    'Content-Length': bytes,
    'Cache-Control': 'max-age=0, private, must-revalidate',
    Date: new Date(now() + off + wrong).toUTCString(),
    'X-Request-Id': randomUUID(),
    ...headers,
  })
  if (!faults.some(({ kind }) => kind === 'cut')) response.end(text)
  else response.write(text.slice(0, text.length / 2), () => response.destroy())
  return bytes
}

/** The JSON of a request; undefined if there is none. */
async function readBody(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk)
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function refuseBadQueries(work: () => ApiResponse): ApiResponse {
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
