import { asc } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { coverage } from '../../src/coverage/coverage.ts'
import { builds, watermarks, windows } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { type BackfillProgress, backfillOwed, backfillSpan } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import type { SimulationOptions } from '../../src/simulator/simulation.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

afterEach(() => scene.close())

async function open(history: { builds: number; days: number; jobs?: number }, options: SimulationOptions = {}) {
  scene = await openScene(options)
  scene.simulation.writeHistory(history)
  const access = accessOf(scene)
  await discover(scene.deps, access)
  await access.close()
}

/** The same, after a first cycle whose requests are not counted. */
async function openRunning(...options: Parameters<typeof open>) {
  await open(...options)
  await reconcileOnce(scene.deps, scene.source)
  scene.api.forget()
}

const span = () => {
  const to = scene.simulation.clock.now()
  return [new Date(to - 90 * DAY), new Date(to)] as const
}
const storedWindows = () => scene.database.db.select().from(windows).orderBy(asc(windows.created_from))
const listed = () => scene.api.count('builds')

describe('a backfill', () => {
  it('reads the whole span, newest first, within a tenth more requests than the builds fill pages', async () => {
    await openRunning({ builds: 3_000, days: 89, jobs: 1 }, { mix: calmMix })
    const reports: BackfillProgress[] = []
    const result = await backfillSpan(scene.deps, scene.source, ...span(), (progress) => reports.push(progress))
    const total = scene.simulation.truth.builds.length
    expect(result).toMatchObject({ done: true, buildsDone: total, requests: listed() })
    expect(listed()).toBeLessThanOrEqual(1.1 * Math.ceil(total / 100))
    expect(await scene.differences()).toEqual([])
    const reached = reports.map(({ coveredFrom }) => coveredFrom.getTime())
    expect(reached).toEqual(reached.toSorted((a, b) => b - a))
    const estimates = reports.flatMap(({ buildsExpected }) => buildsExpected ?? [])
    expect(Math.max(...estimates.slice(3))).toBeLessThan(total * 1.5)
  })

  it('leaves windows that cover the span without gap or overlap, all verified', async () => {
    await openRunning({ builds: 400, days: 89 })
    const [from, to] = span()
    await backfillSpan(scene.deps, scene.source, from, to)
    const rows = await storedWindows()
    expect(rows[0]?.created_from).toEqual(from)
    expect(rows.at(-1)?.created_to).toEqual(to)
    for (const [index, row] of rows.entries()) {
      expect(row).toMatchObject({ status: 'done', verified_at: expect.any(Date) })
      if (index > 0) expect(row.created_from).toEqual(rows[index - 1]?.created_to)
    }
  })

  it('goes on inside the window in which it was stopped, and reads nothing twice', async () => {
    await openRunning({ builds: 1_200, days: 10 })
    const stop = new AbortController()
    const until = (progress: BackfillProgress) => progress.buildsDone > 700 && stop.abort()
    const first = await backfillSpan(scene.deps, scene.source, ...span(), until, stop.signal)
    expect(first?.done).toBe(false)
    const running = (await storedWindows()).find(({ status }) => status !== 'done')
    expect(running?.scanned_to).not.toBeNull()
    const done = first?.buildsDone ?? 0
    scene.api.forget()
    const second = await backfillSpan(scene.deps, scene.source, ...span())
    expect(second?.done).toBe(true)
    expect(listed()).toBeLessThanOrEqual(Math.ceil((scene.simulation.truth.builds.length - done) / 99) + 4)
    expect(await scene.differences()).toEqual([])
  })

  it('costs nothing when its span is covered', async () => {
    await openRunning({ builds: 100, days: 10 })
    await backfillSpan(scene.deps, scene.source, ...span())
    scene.api.forget()
    expect(await backfillSpan(scene.deps, scene.source, ...span())).toMatchObject({ done: true })
    expect(scene.api.requests).toEqual([])
  })

  it('halves what Buildkite will not list that deep', async () => {
    await openRunning({ builds: 300, days: 20 })
    let refusals = 0
    scene.api.beforeAnswer = ({ kind, query }) => {
      const length = Date.parse(query.get('created_to') ?? '') - Date.parse(query.get('created_from') ?? '')
      if (kind !== 'builds' || length < 6 * DAY) return undefined
      refusals += 1
      return { kind: 'status', status: 400, message: 'Listing builds this deep is not supported. Please narrow' }
    }
    const result = await backfillSpan(scene.deps, scene.source, ...span())
    expect(result?.done).toBe(true)
    expect(refusals).toBeGreaterThan(3)
    expect((await storedWindows()).length).toBeGreaterThan(15)
    expect(await scene.differences()).toEqual([])
  })

  it('begins with a first cycle, so that a later one finds what finished again meanwhile', async () => {
    await open({ builds: 60, days: 40 })
    await backfillSpan(scene.deps, scene.source, ...span())
    scene.simulation.clock.pass(DAY)
    const again = scene.simulation.truth.builds.find(({ state }) => state === 'passed')
    if (!again) throw new Error('No build has passed.')
    scene.simulation.truth.edit(again, {
      state: 'failed',
      finished_at: new Date(scene.simulation.clock.now()).toISOString(),
    })
    scene.simulation.clock.pass(DAY)
    await reconcileOnce(scene.deps, scene.source)
    await backfillOwed(scene.deps, scene.source)
    expect(await scene.differences()).toEqual([])
  })

  it('ends where the first cycle began, and is then done for good', async () => {
    await open({ builds: 250, days: 40 })
    await reconcileOnce(scene.deps, scene.source)
    expect(await backfillOwed(scene.deps, scene.source)).toMatchObject({ done: true })
    expect(await backfillOwed(scene.deps, scene.source)).toBeUndefined()
    // A later list of pipelines confirms what was read.
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    const [organization] = await coverage(scene.database.db, new Date(scene.simulation.clock.now()))
    expect(organization).toMatchObject({ slug: 'acme', backfill: { done: true, progress: 1 }, last_error: null })
    expect(organization?.covered_from).toEqual(organization?.backfill.from)
    expect(organization?.builds).toBe(scene.simulation.truth.builds.length)
  })

  it('reaches further back when more days are wanted, without reading again what it has', async () => {
    await open({ builds: 600, days: 60 })
    await reconcileOnce(scene.deps, scene.source)
    await backfillOwed({ ...scene.deps, backfillDays: 10 }, scene.source)
    await backfillOwed({ ...scene.deps, backfillDays: 30 }, scene.source)
    const before = await scene.database.db.$count(builds)
    scene.api.forget()
    await backfillOwed({ ...scene.deps, backfillDays: 100 }, scene.source)
    const added = (await scene.database.db.$count(builds)) - before
    expect(listed()).toBeLessThanOrEqual(Math.ceil(added / 99) + 6)
    expect(await scene.differences()).toEqual([])
  })

  it('wants as many days before the present of Buildkite, wherever our clock was set', async () => {
    await open({ builds: 50, days: 30 })
    await reconcileOnce(scene.deps, scene.source)
    const [before] = await scene.database.db.select().from(watermarks)
    const clock = () => scene.simulation.clock.now() - 3 * 365 * DAY
    await backfillOwed({ ...scene.deps, clock }, scene.source)
    const [after] = await scene.database.db.select().from(watermarks)
    expect(after?.backfill_from).toEqual(before?.backfill_from)
  })

  it('stops while BACKFILL_DAYS is 0, also once it has begun, and goes on afterwards', async () => {
    await open({ builds: 300, days: 40 })
    await reconcileOnce(scene.deps, scene.source)
    const stop = new AbortController()
    const begun = await backfillOwed(scene.deps, scene.source, stop.signal, {}, () => stop.abort())
    expect(begun).toMatchObject({ done: false, requests: 1 })
    scene.api.forget()
    expect(await backfillOwed({ ...scene.deps, backfillDays: 0 }, scene.source)).toBeUndefined()
    expect(listed()).toBe(0)
    expect(await backfillOwed(scene.deps, scene.source)).toMatchObject({ done: true })
    expect(await scene.differences()).toEqual([])
  })

  it('reads the history of pipelines that come into scope, up to now, and nothing when they leave it', async () => {
    await open({ builds: 300, days: 40 }, { pipelines: 3 })
    const [one, two] = scene.simulation.truth.pipelines.map(({ slug }) => slug)
    const wanting = (pipelinesInclude: string[], pipelinesExclude: string[] = []) => ({
      ...scene.deps,
      filter: mirrorFilter({ organizations: [], pipelinesInclude, pipelinesExclude }),
    })
    const turn = async (deps: Scene['deps']) => {
      scene.simulation.clock.pass(SECOND)
      await reconcileOnce(deps, scene.source)
      // Longer than lists may lag behind the list of pipelines.
      scene.simulation.clock.pass(3 * MINUTE)
      await refreshPipelines(deps, scene.source)
      const [said] = await coverage(scene.database.db, new Date(scene.simulation.clock.now()))
      scene.api.forget()
      await backfillOwed(deps, scene.source)
      return { wasDone: said?.claim.pipelines_complete === said?.claim.pipelines, requests: listed() }
    }
    const narrow = wanting([one ?? '', two ?? ''])
    await turn(narrow)
    expect(await turn(narrow)).toEqual({ wasDone: true, requests: 0 })
    // What came while fewer were wanted was read by cycles.
    for (let i = 0; i < 9; i++) scene.simulation.startBuild()
    await scene.simulation.play()
    await turn(narrow)
    expect(await scene.differences()).not.toEqual([])
    expect(await turn(wanting([]))).toMatchObject({ wasDone: false })
    expect(await scene.differences()).toEqual([])
    expect(await turn(wanting([one ?? '']))).toEqual({ wasDone: true, requests: 0 })
    expect(await turn(wanting([], [two ?? '']))).toMatchObject({ wasDone: false })
    expect(await turn(wanting([], [two ?? '']))).toEqual({ wasDone: true, requests: 0 })
  })

  describe('while another process wants fewer pipelines', () => {
    const first = () => scene.simulation.truth.pipelines[0]?.slug ?? ''
    const narrow = () => ({
      ...scene.deps,
      filter: mirrorFilter({ organizations: [], pipelinesInclude: [first()], pipelinesExclude: [] }),
    })
    const wideCycle = () => reconcileOnce(scene.deps, { ...scene.source, client: scene.client() })
    const endsWhole = async () => {
      await wideCycle()
      scene.simulation.clock.pass(3 * MINUTE)
      await backfillOwed(scene.deps, scene.source)
      // As the task of that name does every five minutes: the other process may have read fewer since.
      await refreshPipelines(scene.deps, scene.source)
      expect(await backfillOwed(scene.deps, scene.source)).toBeUndefined()
      expect(await scene.differences()).toEqual([])
    }
    /** Does it once, before the answer to the nth list from now. */
    const atList = (n: number, work: () => Promise<unknown>) => {
      scene.api.forget()
      let begun: Promise<unknown> | undefined
      scene.api.beforeAnswer = () => {
        if (begun || listed() < n) return undefined
        begun = work()
        return { kind: 'delay', ms: 300 }
      }
      return async () => {
        scene.api.beforeAnswer = undefined
        expect(begun).toBeDefined()
        await begun
      }
    }

    it('is whole when that one was reading history', async () => {
      await open({ builds: 500, days: 40 }, { pipelines: 3 })
      await reconcileOnce(narrow(), scene.source)
      const begun = atList(2, wideCycle)
      await backfillOwed(narrow(), scene.source)
      await begun()
      await endsWhole()
    })

    it('is whole when that one was stopped in the middle of a page', async () => {
      await open({ builds: 500, days: 40 }, { pipelines: 3 })
      await reconcileOnce(narrow(), scene.source)
      const stop = new AbortController()
      const begun = atList(2, wideCycle)
      await backfillOwed(narrow(), scene.source, stop.signal, {}, ({ requests }) => {
        if (requests > 1) stop.abort()
      }).catch(() => {})
      await begun()
      await endsWhole()
    })

    it('is whole when a cycle of that one ended afterwards', async () => {
      await open({ builds: 100, days: 40 }, { pipelines: 3 })
      await reconcileOnce(narrow(), scene.source)
      await backfillOwed(narrow(), scene.source)
      scene.simulation.clock.pass(2 * HOUR)
      for (let i = 0; i < 9; i++) scene.simulation.startBuild()
      await scene.simulation.play()
      scene.simulation.clock.pass(2 * HOUR)
      const begun = atList(1, () => refreshPipelines(scene.deps, scene.source))
      await reconcileOnce(narrow(), scene.source)
      await begun()
      await endsWhole()
    })
  })

  it('is left to the process that is at it', async () => {
    await openRunning({ builds: 300, days: 10 })
    scene.api.beforeAnswer = () => ({ kind: 'delay', ms: 20 })
    const other = { ...scene.source, client: scene.client() }
    const both = await Promise.all([
      backfillSpan(scene.deps, scene.source, ...span()),
      backfillSpan(scene.deps, other, ...span()),
    ])
    expect(both.filter(Boolean).length).toBe(1)
  })

  it('keeps what it has read when Buildkite fails, says why, and goes on later', async () => {
    await openRunning({ builds: 500, days: 20 })
    scene.api.beforeAnswer = () => (listed() > 3 ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined)
    await expect(backfillSpan(scene.deps, scene.source, ...span())).rejects.toMatchObject({
      code: 'invalid_permissions',
    })
    expect((await storedWindows()).some(({ error }) => error !== null)).toBe(true)
    scene.api.beforeAnswer = undefined
    expect(await backfillSpan(scene.deps, scene.source, ...span())).toMatchObject({ done: true })
    expect((await storedWindows()).every(({ error }) => error === null)).toBe(true)
    expect(await scene.differences()).toEqual([])
  })
})
