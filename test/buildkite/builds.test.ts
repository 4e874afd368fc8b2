import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  type BuildkiteClient,
  type BuildsFilter,
  type BuildsPage,
  DeepListingError,
} from '../../src/buildkite/client.ts'
import {
  type Answered,
  clientOf,
  closeAll,
  errorOf,
  listBuilds,
  type Seen,
  type Stub,
  type StubBuild,
  start,
  startStub,
} from './stub.ts'

const now = Date.parse('2026-03-01T12:00:00.000Z')
const created_to = new Date(now)

afterEach(closeAll)

/** Builds created `ago` milliseconds before now, in state `passed`. */
function buildsAt(agos: readonly number[]): StubBuild[] {
  return agos.map((ago, index) => ({
    id: `build-${String(index).padStart(5, '0')}`,
    created_at: new Date(now - ago).toISOString(),
    state: 'passed',
  }))
}

const evenly = (count: number, stepMs: number) => buildsAt(Array.from({ length: count }, (_, i) => (i + 1) * stepMs))

async function walk(answer: (seen: Seen) => Answered, filter: BuildsFilter = { created_to }) {
  const stub = await startStub(answer)
  const client = clientOf(stub.url)
  const pages = await pagesOf(client, { jobs: false, ...filter })
  return { pages, ids: idsOf(pages), stub }
}

async function pagesOf(client: BuildkiteClient, filter: BuildsFilter): Promise<BuildsPage[]> {
  const pages: BuildsPage[] = []
  for await (const page of client.builds('acme', filter, 'hot')) pages.push(page)
  return pages
}

const identified = z.object({ id: z.string() })

function idsOf(pages: readonly BuildsPage[]): string[] {
  return pages.flatMap(({ value }) => value.map((build) => identified.parse(build).id))
}

const sorted = (builds: readonly StubBuild[]) => builds.map(({ id }) => id).sort()
const pagesAsked = (stub: Stub) => stub.seen.map(({ query }) => query.get('page'))

describe('a walk over builds', () => {
  it('reads every build once, newest first, without ever asking for a second page', async () => {
    const builds = evenly(1_050, 7_001)
    const { ids, stub, pages } = await walk(({ query }) => listBuilds(builds, query))
    expect(ids).toEqual(sorted(builds))
    expect(new Set(pagesAsked(stub))).toEqual(new Set(['1']))
    expect(stub.seen.length).toBe(11)
    expect(pages.map(({ last }) => last)).toEqual([...Array(10).fill(false), true])
  })

  it('asks for all jobs, for no jobs where none are wanted, and never for the pipeline', async () => {
    const filter = {
      created_to,
      created_from: new Date(now - 5_000),
      finished_from: new Date(now - 9),
      state: ['a', 'b'],
    }
    const { stub, client } = await start(() => ({ json: [] }))
    const [withJobs] = await pagesOf(client, filter)
    const [without] = await pagesOf(client, { ...filter, jobs: false })
    expect([withJobs?.jobs, without?.jobs]).toEqual([true, false])
    const [first, second] = stub.seen
    expect(first?.path).toBe('/v2/organizations/acme/builds')
    const common = {
      created_from: '2026-03-01T11:59:55.000Z',
      created_to: '2026-03-01T12:00:00.000Z',
      finished_from: '2026-03-01T11:59:59.991Z',
      'state[]': 'b',
      exclude_pipeline: 'true',
      page: '1',
    }
    const query = (seen: Seen | undefined) => Object.fromEntries(seen?.query ?? [])
    expect(query(first)).toEqual({ ...common, include_retried_jobs: 'true', per_page: '25' })
    expect(query(second)).toEqual({ ...common, exclude_jobs: 'true', per_page: '100' })
    expect(first?.query.getAll('state[]')).toEqual(['a', 'b'])
  })

  it('tells after each page how far everything has been read, so that it can go on from there', async () => {
    const builds = evenly(450, 900)
    const stub = await startStub(({ query }) => listBuilds(builds, query))
    const client = clientOf(stub.url)
    const first: BuildsPage[] = []
    for await (const page of client.builds('acme', { created_to }, 'backfill')) {
      first.push(page)
      if (first.length === 2) break
    }
    const resumed: BuildsPage[] = []
    const walkedTo = first.at(-1)?.walkedTo ?? expect.fail()
    for await (const page of client.builds('acme', { created_to: walkedTo }, 'backfill')) resumed.push(page)
    const read = new Set([...idsOf(first), ...idsOf(resumed)])
    expect([...read].sort()).toEqual(sorted(builds))
    const below = builds.filter(({ created_at }) => Date.parse(created_at) >= walkedTo.getTime()).map(({ id }) => id)
    expect(idsOf(first)).toEqual(expect.arrayContaining(below))
  })

  it('ends at created_from, and says that all is read down to it', async () => {
    const created_from = new Date(now - 150_000)
    const { ids, pages } = await walk(({ query }) => listBuilds(evenly(400, 1_000), query), {
      created_from,
      created_to,
    })
    expect(ids.length).toBe(150)
    expect(pages.at(-1)).toMatchObject({ last: true, walkedTo: created_from })
  })

  it('ends with an empty list', async () => {
    const { pages } = await walk(() => ({ json: [] }))
    expect(pages).toMatchObject([{ value: [], last: true }])
  })

  it('does not take a short page for the last one', async () => {
    const builds = evenly(40, 1_000)
    const { ids } = await walk(({ query }) => {
      query.set('per_page', '7')
      return listBuilds(builds, query)
    })
    expect(ids).toEqual(sorted(builds))
  })

  it('reads 250 builds created in the same millisecond', async () => {
    const builds = buildsAt([...Array(30).fill(10), ...Array(250).fill(77), ...Array(130).fill(5_000)])
    const { ids, stub } = await walk(({ query }) => listBuilds(builds, query))
    expect([...ids].sort()).toEqual(sorted(builds))
    expect(stub.seen.length).toBeLessThanOrEqual(9)
  })

  it('misses and repeats nothing, however the builds lie in time', async () => {
    const agos = fc.array(fc.oneof(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 90_000 })), {
      maxLength: 320,
    })
    const inSeconds = (build: StubBuild) => ({ ...build, created_at: `${build.created_at.slice(0, 19)}Z` })
    let builds: StubBuild[] = []
    let written = (build: StubBuild) => build
    let effective = (to: string) => to
    const stub = await startStub(({ query }) => {
      query.set('created_to', effective(query.get('created_to') ?? ''))
      query.set('per_page', String(Math.min(25, Number(query.get('per_page')))))
      const answered = listBuilds(builds, query)
      if (typeof answered === 'function' || !Array.isArray(answered.json)) return answered
      return { ...answered, json: answered.json.map(written) }
    })
    const client = clientOf(stub.url)
    await fc.assert(
      fc.asyncProperty(agos, fc.boolean(), fc.boolean(), async (given, seconds, floors) => {
        builds = buildsAt(given)
        written = seconds ? inSeconds : (build) => build
        // A server that drops the milliseconds of created_to.
        effective = floors ? (to) => `${to.slice(0, 19)}.000Z` : (to) => to
        const pages: BuildsPage[] = []
        for await (const page of client.builds('acme', { created_to }, 'hot')) pages.push(page)
        expect(idsOf(pages).sort()).toEqual(sorted(builds))
      }),
      { numRuns: 60 },
    )
  })

  it('goes on when the builds at the seam leave the filter between two pages', async () => {
    const builds = evenly(300, 1_001).map((build) => ({ ...build, state: 'running' }))
    const { ids } = await walk(
      ({ query, index }) => {
        if (index === 1) for (const build of builds.slice(90, 100)) build.state = 'passed'
        return listBuilds(builds, query)
      },
      { created_to, state: ['running'] },
    )
    expect(ids).toEqual(sorted(builds))
  })

  it('skips no build when others leave the list at any moment, in pages of any size', async () => {
    const agos = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 40 })
    const leavings = fc.array(fc.tuple(fc.nat(120), fc.nat(39)), { maxLength: 12 })
    let builds: StubBuild[] = []
    let leaving: (readonly [number, number])[] = []
    let left = new Set<string>()
    let since = 0
    const stub = await startStub(({ query, index }) => {
      for (const [at, which] of leaving) if (at <= index - since) left.add(builds[which]?.id ?? '')
      const listed = builds.filter(({ id }) => !left.has(id))
      return listBuilds(listed, query)
    })
    const client = clientOf(stub.url)
    const steps = fc.constantFrom(1, 100, 1_000)
    await fc.assert(
      fc.asyncProperty(agos, leavings, fc.constantFrom(1, 5), steps, async (given, gone, maxPageSize, step) => {
        builds = buildsAt(given.map((ago) => ago * step))
        leaving = gone
        left = new Set()
        since = stub.seen.length
        const read = new Set(idsOf(await pagesOf(client, { created_to, maxPageSize })))
        const stayed = builds.filter(({ id }) => !left.has(id))
        expect(stayed.filter(({ id }) => !read.has(id))).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  it('does not read a build created after the walk began, and misses none because of it', async () => {
    const builds = evenly(250, 1_001)
    const { ids } = await walk(({ query, index }) => {
      builds.push({ id: `new-${index}`, created_at: new Date(now + index).toISOString(), state: 'passed' })
      return listBuilds(builds, query)
    })
    expect(ids.length).toBe(250)
  })

  it('falls back to page numbers when the list is not in order', async () => {
    const builds = evenly(320, 1_000)
    const reversed = builds.toReversed()
    const { ids, stub, pages } = await walk(({ query }) => {
      const start = (Number(query.get('page')) - 1) * 100
      return { json: reversed.slice(start, start + 100), headers: start < 300 ? { link: '<x>; rel="next"' } : {} }
    })
    expect(ids.sort()).toEqual(sorted(builds))
    expect(pagesAsked(stub)).toEqual(['1', '2', '3', '4'])
    expect(pages.map(({ walkedTo }) => walkedTo.getTime())).toEqual([now, now, now, 0])
  })

  it('does not go round in a circle when the server ignores created_to', async () => {
    const builds = evenly(320, 1_000)
    const { ids, stub } = await walk(({ query }) => {
      query.delete('created_to')
      return listBuilds(builds, query)
    })
    expect([...new Set(ids)].sort()).toEqual(sorted(builds))
    expect(stub.seen.length).toBeLessThanOrEqual(6)
  })

  it('throws DeepListingError when page numbers lead deeper than Buildkite lists', async () => {
    const message = 'Listing builds this deep is not supported. Please narrow your query using filters.'
    const builds = buildsAt(Array(500).fill(5))
    const deep = ({ query }: Seen): Answered =>
      Number(query.get('page')) > 3 ? { status: 400, json: { message } } : listBuilds(builds, query)
    expect(await errorOf(walk(deep))).toBeInstanceOf(DeepListingError)
  })
})
