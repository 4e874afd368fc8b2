import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buildOf, jobOf, organization, pipelines } from './company.ts'

// Buildkite's API over a history of any length, without limits and without holding any of it in memory: build n of N was created
// n * spacing after the first. With <per minute> it has a limit, and its history goes on after its end with a build every <live> ms:
// each is shown once it is a minute old, when all its webhooks have been sent. A process of its own:
// node --import tsx test/bench/api.ts <builds> <jobs> <from ms> <to ms> [<per minute> <live ms>]
const [builds = 0, jobs = 0, from = 0, to = 0, perMinute = 0, live = 0] = process.argv.slice(2).map(Number)
const limit = perMinute || 999_999
const spacing = (to - from) / builds
const createdAt = (n: number) => Math.round(n < builds ? from + n * spacing : to + (n - builds) * live)
const numberAt = (ms: number) => Math.ceil(ms < to || !live ? (ms - from) / spacing : builds + (ms - to) / live)
const shownTo = () => (live ? Math.max(to, Date.now() - 60_000) : to)
let listRequests = 0
let minute = { number: 0, requests: 0 }

/** The builds that a list with these bounds and filters holds, newest first, by number: all of them ended long ago. */
function page(query: URLSearchParams): number[] {
  if (builds === 0 || query.has('finished_from') || query.has('state[]')) return []
  const until = Math.min(Date.parse(query.get('created_to') ?? '') || to, shownTo())
  const since = Date.parse(query.get('created_from') ?? '') || from
  const size = Number(query.get('per_page') ?? 30)
  let n = live ? numberAt(until) : Math.min(builds - 1, numberAt(until))
  while (n >= 0 && createdAt(n) >= until) n--
  n -= (Number(query.get('page') ?? 1) - 1) * size
  const found: number[] = []
  for (; n >= 0 && found.length <= size && createdAt(n) >= since; n--) found.push(n)
  return found
}

/** What one build's JSON comes to. */
function textOf(n: number): string {
  const at = createdAt(n)
  const build = buildOf(n, at)
  return JSON.stringify({ ...build, jobs: Array.from({ length: jobs }, (_, j) => jobOf(build, n, at, j)) })
}

function answer(request: IncomingMessage): { body: string; link?: string } {
  const url = new URL(request.url ?? '/', 'http://api')
  if (url.pathname === '/count') return { body: JSON.stringify({ listRequests }) }
  if (url.pathname === '/access-token') {
    const scopes = ['read_builds', 'read_pipelines', 'read_organizations']
    return {
      body: JSON.stringify({ uuid: organization.id, scopes, user: { name: 'Bench', email: 'bench@example.com' } }),
    }
  }
  if (url.pathname === '/organizations') return { body: JSON.stringify([organization]) }
  if (/^\/organizations\/\w+\/pipelines$/.test(url.pathname)) return { body: JSON.stringify(pipelines) }
  if (/^\/organizations\/\w+\/builds$/.test(url.pathname)) {
    listRequests += 1
    const size = Number(url.searchParams.get('per_page') ?? 30)
    const found = page(url.searchParams)
    const body = `[${found.slice(0, size).map(textOf).join(',')}]`
    if (found.length <= size) return { body }
    url.searchParams.set('page', String(Number(url.searchParams.get('page') ?? 1) + 1))
    return { body, link: `<http://${request.headers.host}${url.pathname}${url.search}>; rel="next"` }
  }
  return { body: '[]' }
}

/** What is left of this minute's requests, this one counted; negative when it is one too many. */
function remaining(): number {
  const number = Math.floor(Date.now() / 60_000)
  minute = { number, requests: minute.number === number ? minute.requests + 1 : 1 }
  return limit - minute.requests
}

const server = createServer((request, response) => {
  const left = request.url === '/count' ? limit : remaining()
  const { body, link } = left < 0 ? { body: '{"message":"Too many requests"}' } : answer(request)
  if (left < 0) response.statusCode = 429
  const limits = ['', 'User-'].flatMap((whose) => [
    [`RateLimit-${whose}Scope`, whose ? 'rest_user' : 'rest'],
    [`RateLimit-${whose}Limit`, String(limit)],
    [`RateLimit-${whose}Remaining`, String(Math.max(0, left))],
    [`RateLimit-${whose}Reset`, String(60 - (Math.floor(Date.now() / 1_000) % 60))],
  ])
  for (const [name = '', value = ''] of limits) response.setHeader(name, value)
  if (link) response.setHeader('link', link)
  response.setHeader('content-type', 'application/json').end(body)
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port))
