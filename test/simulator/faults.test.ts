import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { type Asking, idsOf, openAsking } from './ask.ts'

let asking: Asking
let build: Build

beforeEach(async () => {
  asking = await openAsking({ record: true })
  asking.simulation.writeHistory({ builds: 30, days: 3 })
  const one = asking.simulation.truth.builds[20]
  if (!one) throw new Error('no build')
  build = one
})
afterEach(() => asking.simulation.stop())

const own = () => `/pipelines/${build.pipeline.slug}/builds/${build.number}`

describe('a build that no list can show', () => {
  test('with its jobs, makes every page that contains it time out, but no other page', async () => {
    asking.simulation.failReads(build, { list: 'with_jobs' })
    const statuses = await Promise.all([1, 2, 3].map((page) => asking.status(`/builds?per_page=10&page=${page}`)))
    expect(statuses).toEqual([504, 200, 200])
    expect(await asking.status(`/pipelines/${build.pipeline.slug}/builds`)).toBe(504)
    expect(await asking.status('/builds?per_page=10&exclude_jobs=true')).toBe(200)
    expect(await asking.status(own())).toBe(200)
  })

  test('even without its jobs, can still be read individually', async () => {
    asking.simulation.failReads(build, { list: 'always' })
    const response = await asking.ask('/builds?per_page=10&exclude_jobs=true')
    expect([response.status, await response.text()]).toEqual([504, expect.stringContaining('<html>')])
    expect(await asking.status(own())).toBe(200)
    asking.simulation.failReads(build)
    expect(await asking.status('/builds?per_page=10')).toBe(200)
  })

  test('is forbidden individually too', async () => {
    asking.simulation.failReads(build, { list: 'always', get: 'forbidden' })
    expect(await asking.status(own())).toBe(403)
    expect(await asking.status(`${own()}/jobs`)).toBe(403)
  })

  test('can be read without its jobs, which come by cursor', async () => {
    asking.simulation.failReads(build, { get: 'with_jobs' })
    expect(await asking.status(own())).toBe(504)
    expect(await asking.status(`${own()}?exclude_jobs=true`)).toBe(200)
    expect(await asking.status(`${own()}/jobs?per_page=100`)).toBe(200)
  })
})

describe('trouble with the pipelines list', () => {
  test('ends after a number of requests, at a given time, or when it is ended', async () => {
    const { api, simulation } = asking
    const fault = { kind: 'status', status: 500, message: 'Internal Server Error' } as const
    api.addTrouble({ kinds: ['pipelines'], fault, times: 2 })
    const statuses = async (count: number) => {
      const found: number[] = []
      for (let i = 0; i < count; i++) found.push(await asking.status('/pipelines'))
      return found
    }
    expect(await statuses(3)).toEqual([500, 500, 200])
    api.addTrouble({
      kinds: ['pipelines'],
      fault: { kind: 'html', status: 504 },
      until: simulation.clock.now() + 5_000,
    })
    expect(await statuses(1)).toEqual([504])
    simulation.clock.pass(5_000)
    expect(await statuses(1)).toEqual([200])
    const end = api.addTrouble({ kinds: ['pipelines'], fault })
    expect(await statuses(2)).toEqual([500, 500])
    end()
    expect(await statuses(1)).toEqual([200])
    expect(await asking.status('/builds')).toBe(200)
  })

  test('affects a share of the requests, chosen by the seed', async () => {
    const run = async (seed: number) => {
      const fault = { kind: 'html', status: 502 } as const
      const other = await openAsking({}, { seed, troubles: [{ kinds: ['pipelines'], fault, share: 0.5 }] })
      const statuses: number[] = []
      for (let i = 0; i < 12; i++) statuses.push(await other.status('/pipelines'))
      await other.simulation.stop()
      return statuses.join()
    }
    expect(await run(1)).toBe(await run(1))
    expect(await run(1)).not.toBe(await run(2))
    expect(await run(1)).toMatch(/200.*502|502.*200/)
  })
})

describe('clocks', () => {
  const dateOf = (response: Response) => Date.parse(response.headers.get('date') ?? '') - asking.simulation.clock.now()

  test('of several servers are seconds apart', async () => {
    asking.api.serverClocksMs = [-4_000, 0, 9_000]
    const off = new Set<number>()
    for (let i = 0; i < 30; i++) off.add(Math.round(dateOf(await asking.ask('/pipelines')) / 1_000))
    expect(off.size).toBeGreaterThanOrEqual(3)
    expect(Math.max(...off) - Math.min(...off)).toBeLessThanOrEqual(14)
  })

  test('may be wrong in a single answer that is otherwise correct', async () => {
    asking.api.addTrouble({ kinds: ['builds'], fault: { kind: 'date', ms: 36_000_000 }, times: 1 })
    const [wrong, right] = [await asking.ask('/builds'), await asking.ask('/builds')]
    expect([wrong.status, Math.round(dateOf(wrong) / 3_600_000)]).toEqual([200, 10])
    expect(Math.abs(dateOf(right))).toBeLessThan(1_001)
  })
})

describe('lists that lag behind writes', () => {
  test('show a past state, while a single GET shows the current one', async () => {
    const { simulation, api } = asking
    api.listLagMs = 5_000
    await asking.list('/builds')
    simulation.clock.pass(10_000)
    const added = simulation.startBuild()
    const old = added.message
    expect(idsOf(await asking.list('/builds?per_page=100'))).not.toContain(added.id)
    simulation.clock.pass(5_000)
    expect(idsOf(await asking.list('/builds?per_page=100'))).toContain(added.id)
    simulation.truth.edit(added, { message: 'Edited' })
    const listed = (await asking.list('/builds?per_page=100')).find(({ id }) => id === added.id)
    expect(listed?.message).toBe(old)
    const single = await asking.ask(`/pipelines/${added.pipeline.slug}/builds/${added.number}`)
    expect(await single.json()).toMatchObject({ message: 'Edited' })
    simulation.clock.pass(5_000)
    expect((await asking.list('/builds?per_page=100')).find(({ id }) => id === added.id)?.message).toBe('Edited')
  })

  test('still show pipelines and builds that were deleted, renamed or hidden a moment ago', async () => {
    const { simulation, api } = asking
    api.listLagMs = 5_000
    simulation.clock.pass(60_000)
    const [gone, renamed, hidden] = simulation.truth.pipelines
    if (!gone || !renamed || !hidden) throw new Error('no pipelines')
    const [before, builds] = [await asking.list('/pipelines'), await asking.list('/builds?per_page=100')]
    simulation.truth.deletePipeline(gone)
    simulation.truth.renamePipeline(renamed, 'New', 'new')
    simulation.hide(hidden)
    simulation.clock.pass(4_000)
    expect(await asking.list('/pipelines')).toEqual(before)
    expect(await asking.list('/builds?per_page=100')).toEqual(builds)
    simulation.clock.pass(1_000)
    const slugs = (await asking.list('/pipelines')).map(({ slug }) => slug)
    expect(slugs).toContain('new')
    expect(slugs).not.toContain(hidden.slug)
    expect(slugs.length).toBe(before.length - 2)
  })

  test('lag by a different time in each request, chosen by the seed', async () => {
    const { simulation, api } = asking
    api.listLagMs = [0, 10_000]
    await asking.list('/builds')
    simulation.clock.pass(20_000)
    simulation.startBuild()
    simulation.clock.pass(5_000)
    const counts = new Set<number>()
    for (let i = 0; i < 20; i++) counts.add((await asking.list('/builds?per_page=100')).length)
    expect([...counts].sort()).toEqual([30, 31])
  })
})
