import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { BuildkiteClient, BuildsFilter, BuildsPage } from '../../src/buildkite/client.ts'
import {
  type Answered,
  clientOf,
  closeAll,
  gatewayTimeout,
  listBuilds,
  type Seen,
  type StubBuild,
  startStub,
} from './stub.ts'

const now = Date.parse('2026-03-01T12:00:00.000Z')

afterEach(closeAll)

type Kind = 'listable' | 'with jobs' | 'always'

interface History {
  readonly builds: StubBuild[]
  /** The server fails on more builds with jobs at a time. */
  readonly most: number
  readonly jobs: boolean
}

/** No more unlistable builds in a row than a walk passes over. */
const IN_A_ROW = 4

const kinds = fc.array(
  fc.oneof(
    { weight: 40, arbitrary: fc.constant<Kind>('listable') },
    { weight: 1, arbitrary: fc.constant<Kind>('with jobs') },
    { weight: 1, arbitrary: fc.constant<Kind>('always') },
  ),
  { maxLength: 180, size: 'max' },
)

function historyOf(kindsOf: readonly Kind[], gaps: readonly number[]): StubBuild[] {
  let at = now - 1
  let inRow = 0
  return kindsOf.map((kind, index) => {
    at -= gaps[index % gaps.length] ?? 1
    inRow = kind === 'always' ? inRow + 1 : 0
    const unlistable = kind === 'listable' || inRow > IN_A_ROW ? {} : { unlistable: kind }
    if (inRow > IN_A_ROW) inRow = 0
    const id = `build-${String(index).padStart(4, '0')}`
    return { id, created_at: new Date(at).toISOString(), state: 'passed', ...unlistable }
  })
}

const at = ({ created_at }: StubBuild) => Date.parse(created_at)
const idOf = (build: unknown) => (typeof build === 'object' && build !== null && 'id' in build ? String(build.id) : '')
const idsOf = (pages: readonly BuildsPage[]) => pages.flatMap(({ value }) => value.map(idOf))
const rangesOf = (pages: readonly BuildsPage[]) => pages.flatMap(({ unlistable }) => unlistable)

async function walk(client: BuildkiteClient, filter: Partial<BuildsFilter>): Promise<BuildsPage[]> {
  const pages: BuildsPage[] = []
  for await (const page of client.builds('acme', { created_to: new Date(now), ...filter }, 'hot')) pages.push(page)
  return pages
}

function expectEveryBuild(pages: readonly BuildsPage[], { builds, jobs }: History): void {
  const listable = builds.filter(({ unlistable }) => unlistable !== 'always')
  expect(idsOf(pages)).toEqual(listable.map(({ id }) => id))
  const ranges = rangesOf(pages)
  const holding = (build: StubBuild) =>
    ranges.filter(({ from, to }) => at(build) >= from.getTime() && at(build) < to.getTime()).length
  for (const build of builds)
    expect([build.id, holding(build)]).toEqual([build.id, build.unlistable === 'always' ? 1 : 0])
  expect(pages.at(-1)).toMatchObject({ last: true, walkedTo: new Date(0) })
  if (!jobs) return
  // A build that is listed with jobs may still come without them where others that fail made it fail.
  const without = new Set(idsOf(pages.filter((page) => !page.jobs)))
  for (const { id, unlistable } of listable) if (unlistable === 'with jobs') expect(without).toContain(id)
}

/**
 * The most requests of a walk: full pages of the size that the server can do, where each repeats one build of the previous one; a
 * first page of 25 and the way down to that size; and for each build that cannot be listed the way down to it, past it and up again.
 */
function mostRequests({ builds, most }: History): number {
  const bad = builds.filter(({ unlistable }) => unlistable !== undefined).length
  return Math.ceil(builds.length / (most - 1)) + 6 + 40 * bad
}

function answerOf({ builds, most }: History): (seen: Seen) => Answered {
  return ({ query }) => {
    if (Number(query.get('per_page')) > most) return gatewayTimeout
    return listBuilds(builds, query)
  }
}

describe('a walk over a list with unlistable builds', () => {
  it('yields every other build once and in order, and reports each unlistable build in one range without others', async () => {
    let history: History = { builds: [], most: 100, jobs: true }
    const stub = await startStub((seen) => answerOf(history)(seen))
    const gaps = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 30 })
    const property = fc.asyncProperty(kinds, gaps, fc.constantFrom(100, 50, 25, 5), fc.boolean(), async (...given) => {
      const [kindsOf, between, most, jobs] = given
      history = { builds: historyOf(kindsOf, between), most, jobs }
      const client = clientOf(stub.url)
      stub.seen.length = 0
      const pages = await walk(client, { jobs })
      expectEveryBuild(pages, history)
      expect(stub.seen.length).toBeLessThanOrEqual(mostRequests(history))
      expect(pages.reduce((sum, { requests }) => sum + requests, 0)).toBe(stub.seen.length)

      // The next walk knows the ranges: it asks for nothing in them, and nothing fails.
      const avoid = rangesOf(pages)
      stub.seen.length = 0
      const again = await walk(client, { jobs, avoid })
      expect(idsOf(again)).toEqual(idsOf(pages))
      expect(rangesOf(again)).toEqual([])
      // Only a check of whether the API is up asks for the newest build at any time.
      for (const { query } of stub.seen.filter((seen) => seen.query.has('created_to'))) {
        const from = Date.parse(query.get('created_from') ?? '0001-01-01')
        const to = Date.parse(query.get('created_to') ?? '')
        for (const range of avoid) expect(from >= range.to.getTime() || to <= range.from.getTime()).toBe(true)
      }
      await client.close()
    })
    await fc.assert(property, { numRuns: 25 })
  })

  it('does so while some requests fail', async () => {
    let history: History = { builds: [], most: 100, jobs: true }
    let failing: ReadonlySet<number> = new Set()
    let index = 0
    const stub = await startStub((seen) => {
      index += 1
      return failing.has(index) ? { status: 502 } : answerOf(history)(seen)
    })
    const gaps = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 30 })
    // A build counts as unlistable when it fails twice within a few requests: faults by chance are further apart here.
    const faults = fc.array(fc.integer({ min: 12, max: 60 }), { maxLength: 4 })
    const property = fc.asyncProperty(kinds, gaps, faults, fc.boolean(), async (kindsOf, between, apart, jobs) => {
      let sum = 0
      failing = new Set(apart.map((next) => (sum += next)))
      index = 0
      history = { builds: historyOf(kindsOf, between), most: 100, jobs }
      const client = clientOf(stub.url)
      expectEveryBuild(await walk(client, { jobs }), history)
      expect(index).toBeLessThanOrEqual(mostRequests(history) + 2 * history.builds.length + 40 * failing.size)
      await client.close()
    })
    await fc.assert(property, { numRuns: 20 })
  })

  it('loses no build and reports no wrong range if builds share a millisecond, or the server drops milliseconds', async () => {
    let history: History = { builds: [], most: 100, jobs: true }
    let [written, effective] = [(build: unknown) => build, (to: string) => to]
    const stub = await startStub((seen) => {
      const to = seen.query.get('created_to')
      if (to !== null) seen.query.set('created_to', effective(to))
      const answered = answerOf(history)(seen)
      if (typeof answered === 'function' || !Array.isArray(answered.json)) return answered
      return { ...answered, json: answered.json.map(written) }
    })
    const gaps = fc.array(fc.oneof(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 1_500 })), {
      minLength: 1,
      maxLength: 30,
    })
    const property = fc.asyncProperty(kinds, gaps, fc.boolean(), fc.boolean(), fc.boolean(), async (...given) => {
      const [kindsOf, between, jobs, seconds, floors] = given
      const inSeconds = (build: unknown) =>
        typeof build === 'object' && build !== null && 'created_at' in build
          ? { ...build, created_at: `${String(build.created_at).slice(0, 19)}Z` }
          : build
      written = seconds ? inSeconds : (build) => build
      effective = floors ? (to) => `${to.slice(0, 19)}.000Z` : (to) => to
      history = { builds: historyOf(kindsOf, between), most: 100, jobs }
      const client = clientOf(stub.url)
      const pages = await walk(client, { jobs })
      const ids = idsOf(pages)
      expect(new Set(ids).size).toBe(ids.length)
      const yielded = new Set(ids)
      const ranges = rangesOf(pages)
      for (const build of history.builds) {
        const holding = ranges.filter(({ from, to }) => at(build) >= from.getTime() && at(build) < to.getTime()).length
        if (build.unlistable === 'always') expect([build.id, holding]).toEqual([build.id, 1])
        else if (floors) expect([build.id, yielded.has(build.id) || holding === 1]).toEqual([build.id, true])
        else expect([build.id, yielded.has(build.id)]).toEqual([build.id, true])
      }
      await client.close()
    })
    await fc.assert(property, { numRuns: 25 })
  })

  it('does so in a list that shows few builds of the organization, with ranges that hold no other', async () => {
    let history: History = { builds: [], most: 100, jobs: true }
    let effective = (to: string) => to
    const stub = await startStub((seen) => {
      const to = seen.query.get('created_to')
      if (to !== null) seen.query.set('created_to', effective(to))
      const from = seen.query.get('created_from')
      if (from !== null) seen.query.set('created_from', effective(from))
      return answerOf(history)(seen)
    })
    const gaps = fc.array(fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: 900_000 })), {
      minLength: 1,
      maxLength: 30,
    })
    const running = fc.array(fc.boolean(), { minLength: 7, maxLength: 20 })
    const property = fc.asyncProperty(kinds, gaps, running, fc.boolean(), async (kindsOf, between, states, floors) => {
      effective = floors ? (to) => `${to.slice(0, 19)}.000Z` : (to) => to
      const builds = historyOf(kindsOf, between).map((build, index) => ({
        ...build,
        state: states[index % states.length] ? 'running' : 'passed',
      }))
      history = { builds, most: 100, jobs: true }
      const client = clientOf(stub.url)
      const pages = await walk(client, { state: ['running'] })
      const ids = idsOf(pages)
      expect(new Set(ids).size).toBe(ids.length)
      const yielded = new Set(ids)
      const ranges = rangesOf(pages)
      for (const build of builds) {
        const holding = ranges.filter(({ from, to }) => at(build) >= from.getTime() && at(build) < to.getTime()).length
        const isWanted = build.state === 'running'
        if (build.unlistable === 'always') {
          if (isWanted) expect([build.id, holding]).toEqual([build.id, 1])
        } else if (floors) {
          if (isWanted) expect([build.id, yielded.has(build.id) || holding === 1]).toEqual([build.id, true])
        } else expect([build.id, yielded.has(build.id), holding]).toEqual([build.id, isWanted, 0])
      }
      expect(pages.at(-1)).toMatchObject({ last: true, walkedTo: new Date(0) })
      await client.close()
    })
    await fc.assert(property, { numRuns: 25 })
  })
})
