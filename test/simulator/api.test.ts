import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { createLimits } from '../../src/simulator/api/limits.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'

interface Shown {
  id: string
  state: string
  blocked: boolean
  created_at: string
  finished_at: string | null
  jobs?: { id: string; type: string; retried?: boolean }[]
  pipeline?: { provider: { webhook_url: string } }
}

let simulation: Simulation
let api: Api

beforeAll(async () => {
  simulation = createSimulation({ seed: 7 })
  simulation.writeHistory({ builds: 450, days: 30 })
  for (let i = 0; i < 12; i++) simulation.startBuild()
  simulation.step(20)
  api = await simulation.startApi()
})
afterAll(() => simulation.stop())
afterEach(() => {
  api.tokens = [demoToken]
  api.limits = createLimits()
  api.beforeAnswer = undefined
  api.depth = 5_000
})

const get = (path: string, token = demoToken.token) =>
  fetch(`${api.url}${path}`, { headers: { Authorization: `Bearer ${token}` } })

async function builds(query: string): Promise<Shown[]> {
  const response = await get(`/organizations/acme/builds?${query}`)
  expect(response.status).toBe(200)
  return JSON.parse(await response.text())
}

async function allBuilds(query: string): Promise<Shown[]> {
  const all: Shown[] = []
  for (let page = 1; ; page++) {
    const shown = await builds(`${query}&per_page=100&page=${page}`)
    all.push(...shown)
    if (shown.length < 100) return all
  }
}

const truthBuilds = () => simulation.truth.builds
const ids = (list: readonly { id: string }[]) => list.map(({ id }) => id)
const idsOf = (list: readonly { id: string }[]) => ids(list).sort()
const effective = (build: { state: string; blocked: boolean }) => (build.blocked ? 'blocked' : build.state)

describe('a list of builds', () => {
  test('shows every build once, newest first, and no more', async () => {
    expect(ids(await allBuilds('')).join()).toBe(ids(truthBuilds().reverse()).join())
  })

  test('has a half-open span of created_at', async () => {
    const [from, to] = [truthBuilds()[100]?.created_at ?? '', truthBuilds()[150]?.created_at ?? '']
    const shown = await allBuilds(`created_from=${from}&created_to=${to}`)
    expect(idsOf(shown)).toEqual(idsOf(truthBuilds().slice(100, 150)))
    expect((await allBuilds('created_from=2020-01-01')).length).toBe(truthBuilds().length)
  })

  test('filters by finished_at and by state together with created_to', async () => {
    const time = truthBuilds()[300]?.created_at ?? ''
    const since = await allBuilds(`finished_from=${time}&created_to=${time}`)
    expect(idsOf(since)).toEqual(
      idsOf(truthBuilds().filter(({ finished_at, created_at }) => (finished_at ?? '') >= time && created_at < time)),
    )
    const open = await allBuilds('state[]=scheduled&state[]=running&state[]=failing')
    expect(open.length).toBeGreaterThan(3)
    expect(idsOf(open)).toEqual(
      idsOf(truthBuilds().filter((build) => ['scheduled', 'running', 'failing'].includes(effective(build)))),
    )
  })

  test('counts blocked, but neither skipped nor not_run, as finished', async () => {
    const finished = await allBuilds('state=finished')
    expect(new Set(finished.map(effective))).toEqual(new Set(['passed', 'failed', 'blocked', 'canceled']))
    const blocked = await allBuilds('state=blocked')
    expect(blocked.length).toBeGreaterThan(0)
    expect(blocked.every(({ state, blocked: is }) => is && state === 'passed')).toBe(true)
  })

  test('leaves out what it is asked to, and retried jobs unless asked for them', async () => {
    const bare = await builds('exclude_jobs=true&exclude_pipeline=true')
    expect(bare[0]).not.toHaveProperty('jobs')
    expect(bare[0]).not.toHaveProperty('pipeline')
    const jobsIn = (list: Shown[]) => list.flatMap(({ jobs }) => jobs ?? [])
    const without = jobsIn(await allBuilds(''))
    expect(without.some(({ retried }) => retried)).toBe(false)
    expect(idsOf(jobsIn(await allBuilds('include_retried_jobs=true')))).toEqual(
      idsOf(simulation.truth.jobs.map(({ job }) => job)),
    )
    expect(without.find(({ type }) => type === 'waiter')).toEqual({
      id: expect.any(String),
      type: 'waiter',
      graphql_id: expect.any(String),
    })
  })

  test('never shows the delivery address of a pipeline to a token that may not edit it', async () => {
    const [first] = await builds('per_page=1')
    expect(first?.pipeline?.provider.webhook_url).toBe('')
  })

  test('gives 30 a page, 100 at most, and links to the next page until the last', async () => {
    expect((await builds('')).length).toBe(30)
    expect((await builds('per_page=500')).length).toBe(100)
    const pages = Math.ceil(truthBuilds().length / 100)
    const first = await get('/organizations/acme/builds?per_page=100')
    expect(first.headers.get('link')).toContain('page=2>; rel="next"')
    expect(first.headers.get('link')).toContain(`page=${pages}>; rel="last"`)
    const last = await get(`/organizations/acme/builds?per_page=100&page=${pages}`)
    expect(last.headers.get('link')).not.toContain('rel="next"')
  })

  test('refuses deep pages, bad dates and unknown states with 400', async () => {
    api.depth = 200
    expect((await get('/organizations/acme/builds?per_page=100&page=2')).status).toBe(200)
    const deep = await get('/organizations/acme/builds?per_page=100&page=3')
    expect(deep.status).toBe(400)
    expect(await deep.text()).toContain('Listing builds this deep is not supported.')
    expect((await get('/organizations/acme/builds?created_to=soon')).status).toBe(400)
    expect((await get('/organizations/acme/builds?state[]=running,failing')).status).toBe(400)
  })
})

test('a build is found by its number, a hidden or unknown one is not', async () => {
  const [build] = truthBuilds()
  if (!build) throw new Error('no build')
  const path = `/organizations/acme/pipelines/${build.pipeline.slug}/builds/${build.number}`
  expect(await (await get(path)).json()).toMatchObject({
    id: build.id,
    job_state_counts: { total: expect.any(Number) },
  })
  simulation.truth.hidden.add(build.pipeline)
  expect((await get(path)).status).toBe(404)
  const visible = await allBuilds('')
  simulation.truth.hidden.clear()
  expect(visible.length).toBe(truthBuilds().filter(({ pipeline }) => pipeline !== build.pipeline).length)
  expect((await get(`/organizations/acme/pipelines/${build.pipeline.slug}/builds/999999`)).status).toBe(404)
})

test('the jobs of a build come by cursor, retried ones too', async () => {
  const build = truthBuilds().find(({ jobs }) => jobs.some((job) => job.type === 'script' && job.retried))
  if (!build) throw new Error('no build with a retried job')
  const found: string[] = []
  for (
    let next = `/organizations/acme/pipelines/${build.pipeline.slug}/builds/${build.number}/jobs?per_page=2`;
    next;
  ) {
    const response = await get(next)
    const page: { items: { id: string }[]; links: { next: string | null } } = JSON.parse(await response.text())
    found.push(...ids(page.items))
    next = page.links.next?.replace('https://api.buildkite.com/v2', '') ?? ''
  }
  expect(found).toEqual(ids(build.jobs))
})

test('tokens: unknown, expired, without the scope, and for another organization', async () => {
  const message = async (response: Response) => `${response.status} ${await response.text()}`
  expect(await message(await get('/access-token', 'wrong'))).toContain('401 {"message":"Authentication required.')
  api.tokens = [{ ...demoToken, scopes: ['read_pipelines'], organizations: ['other'] }]
  expect(await message(await get('/organizations/acme/builds'))).toBe(
    `403 {"message":"Your access token doesn't have the read_builds scope"}`,
  )
  expect((await get('/organizations/acme/pipelines')).status).toBe(404)
  const shown = await (await get('/access-token')).json()
  expect(shown).toMatchObject({ uuid: demoToken.uuid, scopes: ['read_pipelines'], expires_at: null })
  api.tokens = [{ ...demoToken, expiresAt: simulation.clock.now() - 1 }]
  expect((await get('/access-token')).status).toBe(401)
  expect((await fetch(`${api.url}/meta`)).status).toBe(200)
})

test('both limits are counted in fixed windows, reported in headers, and enforced with the scope that ran out', async () => {
  let now = 0
  api.limits = createLimits({ organization: 5, user: 3, now: () => now })
  now = 18_500
  const first = await get('/organizations/acme')
  expect(Object.fromEntries(first.headers)).toMatchObject({
    'ratelimit-scope': 'rest',
    'ratelimit-limit': '5',
    'ratelimit-remaining': '4',
    'ratelimit-reset': '42',
    'ratelimit-user-limit': '3',
    'ratelimit-user-remaining': '2',
  })
  await get('/organizations/acme')
  await get('/organizations/acme')
  const refused = await get('/organizations/acme')
  expect(refused.status).toBe(429)
  expect(await refused.json()).toMatchObject({ scope: 'rest_user', limit: 3, current: 4, reset: 42 })
  now = 60_000
  expect((await get('/organizations/acme')).status).toBe(200)
})

test('faults are answered as they are ordered, and every request is counted', async () => {
  api.forget()
  api.beforeAnswer = () => ({ kind: 'html', status: 502 })
  expect(await (await get('/organizations')).text()).toContain('<html>')
  api.beforeAnswer = () => ({ kind: 'limit', scope: 'rest', reset: 9 })
  expect(await (await get('/organizations/acme/builds')).json()).toMatchObject({ scope: 'rest', reset: 9 })
  api.beforeAnswer = () => ({ kind: 'cut' })
  await expect(get('/organizations').then((response) => response.text())).rejects.toThrow()
  expect(api.count('organizations')).toBe(2)
  expect(api.requests.map(({ kind, status }) => [kind, status])).toEqual([
    ['organizations', 502],
    ['builds', 429],
    ['organizations', 200],
  ])
})
