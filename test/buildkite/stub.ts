import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http'
import { type BuildkiteClient, type ClientOptions, createClient } from '../../src/buildkite/client.ts'
import type { Budget } from '../../src/buildkite/http/budget.ts'
import { createLog } from '../../src/runtime/log.ts'
import { DeadlineError } from '../../src/runtime/time.ts'

/** One request as the stub saw it; `index` counts from 0. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly index: number
}

/** What to answer: an object is JSON with status 200; a function takes the raw response into its own hands. */
export type Answered =
  | { status?: number; headers?: Record<string, string>; json?: unknown; text?: string }
  | ((response: ServerResponse) => void)

export interface Stub {
  readonly url: string
  readonly port: number
  readonly seen: Seen[]
  close(): Promise<void>
}

/** A server that answers as the test says. */
export async function startStub(answer: (seen: Seen) => Answered): Promise<Stub> {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    const method = request.method ?? 'GET'
    const one = { method, path: url.pathname, query: url.searchParams, headers: request.headers, index: seen.length }
    seen.push(one)
    const answered = answer(one)
    if (typeof answered === 'function') return answered(response)
    response.writeHead(answered.status ?? 200, { 'content-type': 'application/json', ...answered.headers })
    response.end(answered.text ?? JSON.stringify(answered.json))
  })
  const port = await listen(server)
  return { url: `http://127.0.0.1:${port}/v2`, port, seen, close: () => shut(server) }
}

/** Lets a server listen on a free port of this machine until `closeAll`. */
export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push(() => shut(server))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server listens on no port.')
  return address.port
}

async function shut(server: Server): Promise<void> {
  if (!server.listening) return
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  await closed
}

const opened: (() => Promise<void>)[] = []

/** Closes every client and server that this file's tests opened. */
export async function closeAll(): Promise<void> {
  for (const close of opened.splice(0).reverse()) await close()
}

/** A stub and a client of it. */
export async function start(answer: (seen: Seen) => Answered, options: Partial<ClientOptions> = {}) {
  const stub = await startStub(answer)
  return { stub, client: clientOf(stub.url, options) }
}

/** An access token as the API describes it. */
export const me = {
  uuid: 'u',
  scopes: ['read_builds'],
  expires_at: '2027-01-02 03:04:05 UTC',
  user: { name: 'A', email: 'a@b' },
}

/** Any plain call. */
export const askBuild = (client: BuildkiteClient) => client.build('acme', 'web', 7, 'absent')

/** Any call whose failed answers are retried like network faults. */
export const askPipeline = (client: BuildkiteClient) => client.pipeline('acme', 'web', 'absent')

export const token = 'bkua_secret_token_0123456789'

/** Grants everything at once and records what is reported to it. */
export function openBudget(): Budget & { takes: (readonly string[])[]; reports: unknown[] } {
  const takes: (readonly string[])[] = []
  const reports: unknown[] = []
  return {
    takes,
    reports,
    async take(scopes, _priority, signal) {
      signal?.throwIfAborted()
      takes.push(scopes)
    },
    async report(_scopes, seen) {
      reports.push(seen)
    },
  }
}

export interface Waits {
  readonly waited: number[]
  readonly lines: string[]
}

/** A client of the stub that never really waits; `waited` holds the pauses it would have made, `lines` its log. */
export function clientOf(url: string, options: Partial<ClientOptions> = {}): BuildkiteClient & Waits {
  const waited: number[] = []
  const lines: string[] = []
  const client = createClient({
    token,
    apiUrl: url,
    budget: openBudget(),
    log: createLog('debug', { write: (line: string) => void lines.push(line) }),
    wait: async (ms) => void waited.push(ms),
    ...options,
  })
  opened.push(() => client.close())
  return Object.assign(Object.create(client), { waited, lines })
}

export interface StubBuild {
  id: string
  created_at: string
  state: string
  /** Which lists fail with a 504 on every page that holds the build: those with jobs, or all. */
  unlistable?: 'with jobs' | 'always'
  /** Shown unless the list excludes jobs. */
  jobs?: unknown
}

/** Answers a list of builds as Buildkite does: filtered, newest first, paged by number, with a Link header. */
export function listBuilds(builds: readonly StubBuild[], query: URLSearchParams): Answered {
  const from = Date.parse(query.get('created_from') ?? '0001-01-01')
  const to = Date.parse(query.get('created_to') ?? '9999-01-01')
  const states = query.getAll('state[]')
  const matching = builds
    .filter(({ created_at }) => Date.parse(created_at) >= from && Date.parse(created_at) < to)
    .filter(({ state }) => states.length === 0 || states.includes(state))
    .sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at) || a.id.localeCompare(b.id))
  const jobs = query.get('exclude_jobs') !== 'true'
  const { items, headers } = cut(matching, query)
  if (items.some(({ unlistable }) => unlistable === 'always' || (jobs && unlistable !== undefined)))
    return gatewayTimeout
  const shown = items.map(({ unlistable, jobs: held, ...build }) => (jobs ? { ...build, jobs: held ?? [] } : build))
  return { json: shown, headers }
}

/** A gateway's answer when the API behind it takes too long. */
export const gatewayTimeout = { status: 504, text: '<html>504 Gateway Time-out</html>' }

/** One page of a list, with the `Link` header of one that goes on. */
export function pageOf(items: readonly unknown[], query: URLSearchParams): Answered {
  const { items: json, headers } = cut(items, query)
  return { json, headers }
}

function cut<T>(items: readonly T[], query: URLSearchParams): { items: T[]; headers: Record<string, string> } {
  const page = Number(query.get('page') ?? 1)
  const size = Number(query.get('per_page') ?? 30)
  const more = items.length > page * size
  // As in Buildkite's own example, the link holds the token and need not point to where we asked.
  const next = `<https://elsewhere.invalid/v2/list?api_key=${token}&page=${page + 1}>; rel="next"`
  const last = `<https://elsewhere.invalid/v2/list?page=99>; rel="last"`
  return { items: items.slice((page - 1) * size, page * size), headers: { link: more ? `${next}, ${last}` : '' } }
}

/** All items of all pages. */
export async function collect<T>(pages: AsyncIterable<{ value: T[] }>): Promise<T[]> {
  const all: T[] = []
  for await (const page of pages) all.push(...page.value)
  return all
}

/** What a promise rejects with. */
export async function errorOf(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => new DeadlineError('nothing was thrown'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof Error) return error
  throw new Error(`Not an error: ${String(error)}`)
}
