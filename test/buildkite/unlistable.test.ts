import { afterEach, describe, expect, it } from 'vitest'
import type { BuildsFilter, BuildsPage } from '../../src/buildkite/client.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import {
  type Answered,
  closeAll,
  errorOf,
  gatewayTimeout,
  listBuilds,
  type Seen,
  type StubBuild,
  start,
} from './stub.ts'

const now = Date.parse('2026-03-01T12:00:00.000Z')
const created_to = new Date(now)

afterEach(closeAll)

/** Builds one after the other, newest first, a bit more than a second apart; `unlistable` by their place. */
function history(count: number, unlistable: Record<number, StubBuild['unlistable']> = {}): StubBuild[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `build-${String(index).padStart(4, '0')}`,
    created_at: new Date(now - (index + 1) * 1_001).toISOString(),
    state: 'passed',
    ...(unlistable[index] ? { unlistable: unlistable[index] } : {}),
  }))
}

const createdAt = (builds: readonly StubBuild[], index: number) => Date.parse(builds[index]?.created_at ?? '')
const idsOf = (pages: readonly BuildsPage[]) => pages.flatMap(({ value }) => value.map((build) => idOf(build)))
const idOf = (build: unknown) => (typeof build === 'object' && build !== null && 'id' in build ? String(build.id) : '')
const rangesOf = (pages: readonly BuildsPage[]) =>
  pages.flatMap(({ unlistable }) => unlistable.map(({ from, to }) => [from.getTime(), to.getTime()]))
const sizesOf = (seen: readonly Seen[]) => seen.map(({ query }) => Number(query.get('per_page')))

/** A server and a client of it, and a way to walk. */
async function open(answer: (seen: Seen) => Answered) {
  let passed = 0
  const { client, stub } = await start(answer, { clock: () => Date.now() + passed })
  return {
    stub,
    client,
    pass: (ms: number) => {
      passed += ms
    },
    async walk(filter: Partial<BuildsFilter> = {}): Promise<BuildsPage[]> {
      stub.seen.length = 0
      const pages: BuildsPage[] = []
      for await (const page of client.builds('acme', { created_to, ...filter }, 'hot')) pages.push(page)
      return pages
    },
  }
}

describe('a build that cannot be listed with its jobs', () => {
  const builds = history(300, { 130: 'with jobs' })
  const answer = ({ query }: Seen) => listBuilds(builds, query)

  it('is listed without its jobs; all other builds are listed with theirs', async () => {
    const { walk } = await open(answer)
    const pages = await walk()
    expect(idsOf(pages)).toEqual(builds.map(({ id }) => id))
    expect(idsOf(pages.filter(({ jobs }) => !jobs))).toEqual(['build-0130'])
    expect(rangesOf(pages)).toEqual([])
    expect(pages.at(-1)).toMatchObject({ last: true, walkedTo: new Date(0) })
  })

  it('is remembered in the next walks, which do not fail and take two more requests', async () => {
    const { walk, stub } = await open(answer)
    await walk()
    const first = stub.seen.length
    await walk()
    const healthy = await open(({ query }) => listBuilds(history(300), query))
    await healthy.walk()
    await healthy.walk()
    expect(first).toBeLessThanOrEqual(35)
    expect(stub.seen.length).toBeLessThanOrEqual(healthy.stub.seen.length + 3)
    const pages = await walk()
    expect(idsOf(pages)).toEqual(builds.map(({ id }) => id))
    expect(idsOf(pages.filter(({ jobs }) => !jobs))).toEqual(['build-0130'])
  })

  it('is forgotten when it leaves the list', async () => {
    const changing = history(300, { 130: 'with jobs' }).map((build) => ({ ...build, state: 'running' }))
    const { walk, stub } = await open(({ query }) => listBuilds(changing, query))
    await walk({ state: ['running'] })
    for (const build of changing) if (build.unlistable) build.state = 'passed'
    expect(idsOf(await walk({ state: ['running'] })).length).toBe(299)
    await walk({ state: ['running'] })
    expect(stub.seen.length).toBe(4)
  })
})

describe('a build that no list shows', () => {
  it.each([true, false])('is skipped, and its range is reported exactly (jobs wanted: %s)', async (jobs) => {
    const builds = history(300, { 130: 'always' })
    const { walk } = await open(({ query }) => listBuilds(builds, query))
    const pages = await walk({ jobs })
    expect(idsOf(pages)).toEqual(builds.filter(({ unlistable }) => !unlistable).map(({ id }) => id))
    expect(pages.every((page) => page.jobs === jobs)).toBe(true)
    expect(rangesOf(pages)).toEqual([[createdAt(builds, 131) + 1, createdAt(builds, 129)]])
    const after = pages.find(({ unlistable }) => unlistable.length > 0)
    expect(idsOf(after ? [after] : [])[0]).toBe('build-0131')
    expect(after?.unlistable[0]?.error).toMatchObject({ code: 'unavailable', status: 504 })
  })

  it('costs a bounded number of requests, and few of them fail', async () => {
    const builds = history(300, { 130: 'always' })
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    await walk({ jobs: false })
    const failed = stub.seen.filter(({ query }) => listBuilds(builds, query) === gatewayTimeout)
    expect(failed.length).toBeLessThanOrEqual(7)
    expect(stub.seen.length).toBeLessThanOrEqual(4 + 40)
  })

  it.each([
    ['newest', 0, 20],
    ['oldest', 19, 20],
    ['only', 0, 1],
  ])('may be the %s', async (_name, index, count) => {
    const builds = history(count, { [index]: 'always' })
    const { walk } = await open(({ query }) => listBuilds(builds, query))
    const created_from = new Date(now - HOUR)
    const pages = await walk({ created_from })
    expect(idsOf(pages)).toEqual(builds.filter(({ unlistable }) => !unlistable).map(({ id }) => id))
    const from = index === count - 1 ? created_from.getTime() : createdAt(builds, index + 1) + 1
    const to = index === 0 ? now : createdAt(builds, index - 1)
    expect(rangesOf(pages)).toEqual([[from, to]])
    expect(pages.at(-1)).toMatchObject({ last: true, walkedTo: created_from })
  })

  it('takes four requests to check whether it is still unlistable', async () => {
    const builds = history(300, { 130: 'always' })
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const [range = expect.fail()] = (await walk()).flatMap(({ unlistable }) => unlistable)
    const filter = { created_from: range.from, created_to: range.to, jobs: false, maxPageSize: 1 }
    const pages = await walk(filter)
    expect(rangesOf(pages)).toEqual([[range.from.getTime(), range.to.getTime()]])
    expect(stub.seen.length).toBe(4)
    delete builds[130]?.unlistable
    expect(idsOf(await walk(filter))).toEqual(['build-0130'])
    expect(stub.seen.length).toBe(1)
  })

  it('may be the newest build: its range ends at the current time, so that future builds are listed', async () => {
    const builds = history(20, { 0: 'always' })
    const { walk } = await open(({ query }) => listBuilds(builds, query))
    const avoid = (await walk({ created_to: new Date('2100-01-01') })).flatMap(({ unlistable }) => unlistable)
    expect(avoid[0]?.to.getTime()).toBeGreaterThan(createdAt(builds, 0))
    expect(avoid[0]?.to.getTime()).toBeLessThan(Date.now() + MINUTE)
    builds.push({ id: 'new', created_at: new Date(Date.now() + MINUTE).toISOString(), state: 'running' })
    expect(idsOf(await walk({ created_to: new Date('2100-01-01'), avoid }))).toContain('new')
  })

  it('is skipped when its range is given, at the cost of one request and without a failure', async () => {
    const builds = history(300, { 130: 'always', 250: 'always' })
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const avoid = rangesOf(await walk()).map(([from, to]) => ({ from: new Date(from ?? 0), to: new Date(to ?? 0) }))
    expect(avoid.length).toBe(2)
    // Pages have grown back to their size.
    for (let round = 0; round < 5; round += 1) await walk({ avoid })
    const pages = await walk({ avoid })
    expect(idsOf(pages)).toEqual(builds.filter(({ unlistable }) => !unlistable).map(({ id }) => id))
    expect(rangesOf(pages)).toEqual([])
    expect(stub.seen.length).toBe(4 + 1)
    const walked = pages.map(({ walkedTo }) => walkedTo.getTime())
    expect(walked).toEqual(walked.toSorted((a, b) => b - a))
  })

  it('is not requested if the whole walk is to be avoided, and the walk still returns a time', async () => {
    const builds = history(20, { 3: 'always' })
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const created_from = new Date(now - MINUTE)
    const pages = await walk({ created_from, avoid: [{ from: created_from, to: created_to }] })
    expect(pages).toMatchObject([{ value: [], last: true, walkedTo: created_from }])
    expect(stub.seen.length).toBe(1)
  })

  it.each([
    ['five', 7, 5, 40],
    ['six', 7, 6, 40],
    ['twelve of the newest', 0, 12, 300],
    ['a hundred', 50, 100, 400],
    ['all', 0, 200, 200],
  ])('may be one of many in a row, in one range (%s)', async (_name, first, count, all) => {
    const row = Object.fromEntries(Array.from({ length: count }, (_, index) => [first + index, 'always' as const]))
    const builds = history(all, row)
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const pages = await walk()
    expect(idsOf(pages)).toEqual(builds.filter(({ unlistable }) => !unlistable).map(({ id }) => id))
    const from = first + count < all ? createdAt(builds, first + count) + 1 : 0
    expect(rangesOf(pages)).toEqual([[from, first > 0 ? createdAt(builds, first - 1) : now]])
    expect(stub.seen.length).toBeLessThanOrEqual(80)
  })

  it('may be one of many, with others between them: each is in a range, and all that no range holds are listed', async () => {
    const some = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => index).flatMap((index) =>
        index % 13 === 12 ? [] : [[20 + index, 'always' as const]],
      ),
    )
    const builds = history(200, some)
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const pages = await walk()
    const ranges = rangesOf(pages)
    const yielded = new Set(idsOf(pages))
    for (const [index, { id, unlistable }] of builds.entries()) {
      const at = createdAt(builds, index)
      const isHeld = ranges.some(([from = 0, to = 0]) => at >= from && at < to)
      expect([id, isHeld]).toEqual([id, unlistable ? true : !yielded.has(id)])
    }
    expect(stub.seen.length).toBeLessThanOrEqual(250)
  })

  it('has its millisecond included in the range if a listed build was created in the same millisecond', async () => {
    const builds = history(40, { 20: 'always' })
    for (const index of [19, 20, 21]) Object.assign(builds[index] ?? {}, { created_at: builds[20]?.created_at })
    const { walk } = await open(({ query }) => listBuilds(builds, query))
    const pages = await walk()
    expect(idsOf(pages)).toEqual(builds.filter(({ unlistable }) => !unlistable).map(({ id }) => id))
    expect(rangesOf(pages)).toEqual([[createdAt(builds, 20), createdAt(builds, 20) + 1]])
  })
})

describe('an API that is down', () => {
  it.each([true, false])('ends the walk, and is not taken for an unlistable build (jobs wanted: %s)', async (jobs) => {
    const builds = history(300)
    let down = false
    const { walk, stub } = await open(({ query }) => (down ? { status: 503 } : listBuilds(builds, query)))
    await walk({ jobs })
    down = true
    expect(await errorOf(walk({ jobs }))).toMatchObject({ code: 'unavailable', status: 503 })
    expect(stub.seen.length).toBeLessThanOrEqual(8)
  })

  it('ends it too when it goes down while an unlistable build is passed over', async () => {
    const builds = history(300, { 130: 'always' })
    for (let after = 0; after < 14; after++) {
      let failures = 0
      const { walk } = await open(({ query }) => {
        const answered = failures > after ? gatewayTimeout : listBuilds(builds, query)
        if (answered === gatewayTimeout) failures += 1
        return answered
      })
      const pages = await walk({ jobs: false }).catch(() => [])
      expect(rangesOf(pages).length).toBeLessThanOrEqual(1)
      for (const [from = 0, to = 0] of rangesOf(pages)) expect(to - from).toBeLessThan(3_000)
    }
  })

  it('for a moment costs a pause, and leaves the page size as it was', async () => {
    const builds = history(1_000)
    const { walk, stub, client } = await open(({ query, index }) =>
      index >= 3 && index < 8 ? { status: 502 } : listBuilds(builds, query),
    )
    const pages = await walk({ jobs: false })
    expect(idsOf(pages)).toEqual(builds.map(({ id }) => id))
    expect(rangesOf(pages)).toEqual([])
    expect(client.waited.length).toBeGreaterThan(0)
    expect(sizesOf(stub.seen).at(-1)).toBe(100)
    expect(sizesOf(stub.seen).filter((size) => size === 1).length).toBeLessThanOrEqual(4)
  })
})

describe('the page size', () => {
  /** A server that fails on more builds at a time than it can do. */
  const most = (limit: number, builds: readonly StubBuild[]) => (seen: Seen) =>
    Number(seen.query.get('per_page')) > limit ? gatewayTimeout : listBuilds(builds, seen.query)

  it('that failed is not tried again for an hour, by no walk of the same list', async () => {
    const { walk, stub, pass } = await open(most(25, history(400)))
    expect(idsOf(await walk({ jobs: false })).length).toBe(400)
    expect(sizesOf(stub.seen).slice(0, 4)).toEqual([100, 50, 1, 25])
    expect(sizesOf(stub.seen).filter((size) => size > 25)).toEqual([100, 50])
    pass(59 * MINUTE)
    await walk({ jobs: false })
    expect(new Set(sizesOf(stub.seen))).toEqual(new Set([25]))
    pass(2 * MINUTE)
    await walk({ jobs: false })
    expect(sizesOf(stub.seen).filter((size) => size > 25)).toEqual([50])
  })

  it('is remembered separately for each list', async () => {
    const { walk, stub } = await open(most(25, history(400)))
    await walk({ jobs: false })
    await walk({ jobs: false, pipeline: 'web' })
    expect(sizesOf(stub.seen)[0]).toBe(100)
    await walk({ jobs: false })
    expect(sizesOf(stub.seen)[0]).toBe(25)
  })

  it('with jobs follows the bytes of recent builds', async () => {
    const builds = history(400).map((build) => ({ ...build, jobs: ['x'.repeat(60_000)] }))
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    expect(idsOf(await walk()).length).toBe(400)
    expect(sizesOf(stub.seen).slice(0, 2)).toEqual([25, 50])
    for (const build of builds) build.jobs = []
    await walk()
    await walk()
    expect(sizesOf(stub.seen).at(-1)).toBe(100)
  })

  it('is not enough if single builds are too large: they are listed without jobs until they are smaller', async () => {
    const builds = history(300).map((build) => ({ ...build, jobs: ['x'.repeat(4_100_000)] }))
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const created_from = new Date(now - 3_500)
    await walk({ created_from })
    const pages = await walk()
    expect(idsOf(pages)).toEqual(builds.map(({ id }) => id))
    expect(pages.every(({ jobs }) => !jobs)).toBe(true)
    expect(stub.seen.length).toBe(4)
    for (const build of builds) build.jobs = []
    const small = await walk()
    expect(small.every(({ jobs }) => jobs)).toBe(true)
    expect(sizesOf(stub.seen)[0]).toBe(1)
  })

  it('decreases at once, without a pause, when a request times out', async () => {
    const builds = history(60)
    const { client, stub } = await start(
      ({ query }) => (Number(query.get('per_page')) > 5 ? () => {} : listBuilds(builds, query)),
      { timeoutMs: 1_000 },
    )
    for await (const _ of client.builds('acme', { created_to, jobs: false }, 'hot'));
    expect(client.waited).toEqual([])
    expect(sizesOf(stub.seen).slice(0, 5)).toEqual([100, 50, 1, 25, 5])
  })
})

describe('an unlistable build in a list that shows few builds of the organization', () => {
  /** Of 5,000 builds, a few run: one of them, without neighbours in its list, is unlistable. */
  function sparse(unlistable: readonly number[], running: readonly number[] = []): StubBuild[] {
    const builds = history(5_000)
    for (const index of [...unlistable, ...running]) Object.assign(builds[index] ?? {}, { state: 'running' })
    for (const index of unlistable) Object.assign(builds[index] ?? {}, { unlistable: 'always' })
    return builds
  }

  it.each([
    ['the only one', [2_000], []],
    ['between two others', [2_000], [10, 4_990]],
    ['one of two', [2_000, 3_000], [2_500]],
    ['one of two in a row', [2_000, 2_001], [4_000]],
    ['one of many', [100, 700, 1_500, 2_000, 2_001, 3_000, 4_990], []],
  ])('is reported between its neighbours in the list of the organization (%s)', async (_name, unlistable, running) => {
    const builds = sparse(unlistable, running)
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const pages = await walk({ state: ['running'] })
    expect(idsOf(pages)).toEqual(running.map((index) => builds[index]?.id))
    expect(pages.at(-1)).toMatchObject({ last: true, walkedTo: new Date(0) })
    const ranges = rangesOf(pages)
    for (const [index, build] of builds.entries()) {
      const at = createdAt(builds, index)
      const holding = ranges.filter(([from = 0, to = 0]) => at >= from && at < to).length
      expect([build.id, holding]).toEqual([build.id, unlistable.includes(index) ? 1 : 0])
    }
    const held = Math.max(...ranges.map(([from = 0, to = 0]) => to - from))
    expect(held).toBeLessThan(3 * 1_001)
    expect(stub.seen.length).toBeLessThanOrEqual(60 * unlistable.length + 10)
    expect(pages.reduce((sum, { requests }) => sum + requests, 0)).toBe(stub.seen.length)
  })

  it('is walked around when its range is given', async () => {
    const builds = sparse([2_000], [10, 4_990])
    const { walk, stub } = await open(({ query }) => listBuilds(builds, query))
    const avoid = (await walk({ state: ['running'] })).flatMap(({ unlistable }) => unlistable)
    const pages = await walk({ state: ['running'], avoid })
    expect(idsOf(pages)).toEqual(['build-0010', 'build-4990'])
    expect(rangesOf(pages)).toEqual([])
    expect(stub.seen.filter(({ query }) => listBuilds(builds, query) === gatewayTimeout)).toEqual([])
  })
})
