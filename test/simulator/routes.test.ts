import { afterAll, beforeAll, expect, test } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { type Asking, type Json, openAsking } from './ask.ts'

let asking: Asking
let build: Build

beforeAll(async () => {
  const scopes = [...demoToken.scopes, 'read_user', 'read_accounts', 'write_builds']
  asking = await openAsking({}, { tokens: [{ ...demoToken, scopes }] })
  asking.simulation.writeHistory({ builds: 20, days: 3 })
  const one = asking.simulation.truth.builds.find(({ state }) => state === 'passed')
  if (!one) throw new Error('no build')
  build = one
})
afterAll(() => asking.simulation.stop())

const own = () => `/pipelines/${build.pipeline.slug}/builds/${build.number}`
const json = async (response: Promise<Response>): Promise<Json> => JSON.parse(await (await response).text())

test('the API itself answers without a token, and says the time', async () => {
  for (const address of [asking.api.url, `${asking.api.url}/`, asking.api.url.replace('/v2', '/')]) {
    const answer = await json(fetch(address))
    expect(answer).toEqual({ message: '🛠', timestamp: Math.floor(asking.simulation.clock.now() / 1_000) })
  }
})

test('the user of the token is shown', async () => {
  const headers = { Authorization: `Bearer ${demoToken.token}` }
  expect(await json(fetch(`${asking.api.url}/user`, { headers }))).toMatchObject({ email: 'adabyron@example.com' })
})

test('an agent and a job can be read individually, a job also by its id only', async () => {
  const [agent] = asking.simulation.truth.agents
  expect(await json(asking.ask(`/agents/${agent?.id}`))).toMatchObject({ id: agent?.id, job: null })
  expect(await asking.status('/agents/unknown')).toBe(404)
  const [job] = build.jobs
  expect(await json(asking.ask(`${own()}/jobs/${job?.id}`))).toEqual(JSON.parse(JSON.stringify(job)))
  expect(await json(asking.ask(`/jobs/${job?.id}`))).toEqual(JSON.parse(JSON.stringify(job)))
  expect(await asking.status('/jobs/unknown')).toBe(404)
})

test('the limits of the organization are shown, including the request itself', async () => {
  const before = await json(asking.ask('/rate_limit'))
  const after = await json(asking.ask('/rate_limit'))
  const current = ({ scopes }: Json) => ((scopes as Json).rest as Json).current
  expect(current(after)).toBe(Number(current(before)) + 1)
  expect(after).toMatchObject({ scopes: { rest: { limit: 1_000_000, enforced: true }, graphql: { limit: 20_000 } } })
})

test('a finished build can be rebuilt', async () => {
  const { id, number, url } = build
  const answer = await json(asking.ask(`${own()}/rebuild`, undefined, 'PUT'))
  expect(answer).toMatchObject({ state: 'scheduled', rebuilt_from: { id, number, url } })
  expect(asking.simulation.truth.build(String(answer.id))?.commit).toBe(build.commit)
  await asking.simulation.play()
})

test('jobs by cursor: 30 a page, filtered by state, and 400 for what makes no sense', async () => {
  const large = asking.simulation.startBuild({ jobs: 250 })
  const path = `/pipelines/${large.pipeline.slug}/builds/${large.number}/jobs`
  const page = await json(asking.ask(path))
  expect((page.items as Json[]).length).toBe(30)
  const waiting = await json(asking.ask(`${path}?state[]=waiting&per_page=100`))
  expect(new Set((waiting.items as Json[]).map(({ state }) => state))).toEqual(new Set(['waiting']))
  const links = page.links as Json
  const second = await json(asking.ask(path + String(links.next).split('/jobs')[1]))
  expect((second.items as Json[])[0]?.id).toBe(large.jobs[30]?.id)
  const back = await json(asking.ask(path + String((second.links as Json).prev).split('/jobs')[1]))
  expect(back.items).toEqual(page.items)
  for (const query of ['per_page=101', 'after=unknown', 'state[]=odd']) {
    expect(await asking.status(`${path}?${query}`)).toBe(400)
  }
})

test('a build of 4,000 jobs is planned and listed within a second', async () => {
  const started = performance.now()
  const large = asking.simulation.startBuild({ jobs: 4_000, pipeline: build.pipeline })
  expect(large.jobs.length).toBe(4_000)
  expect(performance.now() - started).toBeLessThan(1_000)
  const bare = await json(asking.ask(`/pipelines/${large.pipeline.slug}/builds/${large.number}?exclude_jobs=true`))
  expect(bare).toMatchObject({ job_state_counts: { total: 4_000 } })
  expect(bare).not.toHaveProperty('jobs')
})
