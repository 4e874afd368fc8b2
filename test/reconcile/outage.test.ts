import { asc, eq } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { build_attempts, builds, jobs } from '../../src/database/schema.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { retryFailed, unblock } from '../../src/simulator/lifecycle/interventions.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import type { SimulationOptions } from '../../src/simulator/simulation.ts'
import { openScene, type Scene } from './scene.ts'

// No webhook ever comes in this file: whatever the mirror knows, a cycle has found.

let scene: Scene

afterEach(() => scene.close())

async function open(history: { builds: number; days: number; jobs?: number }, options: SimulationOptions = {}) {
  scene = await openScene(options)
  await scene.complete(history)
}

const cycle = () => reconcileOnce(scene.deps, scene.source)
const now = () => scene.simulation.clock.now()

/** Puts aside what a build looked like, to tell later whether it has changed. */
function remember(): () => number {
  const seen = new Map(scene.simulation.truth.builds.map((build) => [build.id, JSON.stringify(build)]))
  return () => scene.simulation.truth.builds.filter((build) => seen.get(build.id) !== JSON.stringify(build)).length
}

describe('an outage of all webhooks', () => {
  it.each([
    ['minutes', 40, 5 * MINUTE],
    ['hours', 330, 4 * HOUR],
    ['days', 740, 3 * DAY],
  ])('of %s heals in one cycle of at most ceil(changed builds / 100) + 3 list requests', async (_, played, lasted) => {
    await open({ builds: 600, days: 60, jobs: 4 }, { stepMs: [5, 60] })
    const { truth, mix } = scene.simulation
    await scene.expectWebhooks()
    const changed = remember()
    const old = truth.builds.filter(({ state, blocked }) => state === 'failed' && !blocked).slice(0, 25)
    for (const build of old) retryFailed(truth, build, now(), mix)
    await scene.simulation.play({ builds: played, jobs: 4 })
    scene.simulation.clock.pass(lasted)
    for (let i = 0; i < 8; i++) scene.simulation.startBuild()
    scene.simulation.step(10)
    scene.simulation.clock.pass(MINUTE)
    scene.api.forget()
    const report = await cycle()
    expect(changed()).toBeGreaterThan(played)
    expect(scene.api.count('builds')).toBeLessThanOrEqual(Math.ceil(changed() / 100) + 3)
    expect(report?.builds_missing).toBeGreaterThanOrEqual(played)
    expect(report?.builds_healed).toBeGreaterThanOrEqual(old.length)
    await refreshPipelines(scene.deps, scene.source)
    expect(await scene.differences()).toEqual([])
  })
})

describe('a cycle after a long outage that is ended midway', () => {
  it('is begun again by the next one, which finds in the mirror what the first one has read', async () => {
    await open({ builds: 100, days: 30, jobs: 2 }, { stepMs: [1, 5] })
    await scene.simulation.play({ builds: 900, jobs: 2 })
    scene.simulation.clock.pass(3 * DAY)
    const stop = new AbortController()
    scene.api.forget()
    scene.api.beforeAnswer = () => {
      if (scene.api.count('builds') > 6) stop.abort(new Error('The service ends.'))
      return undefined
    }
    await expect(reconcileOnce(scene.deps, scene.source, 'hot', stop.signal)).rejects.toThrow('The service ends.')
    scene.api.beforeAnswer = undefined
    const before = await scene.database.db.$count(builds)
    expect(before).toBeGreaterThanOrEqual(500)
    scene.api.forget()
    const report = await cycle()
    // Each page is stored as it comes: only the requests are made again, a hundred builds each.
    expect(report?.builds_confirmed).toBeGreaterThanOrEqual(before - 100)
    expect(report?.builds_missing).toBe(0)
    expect(scene.api.count('builds')).toBeLessThanOrEqual(9 + 3)
    expect(await scene.differences()).toEqual([])
  })
})

describe('a build that runs again, with all webhooks dropped', () => {
  const attemptsOf = ({ id }: Build) =>
    scene.database.db
      .select()
      .from(build_attempts)
      .where(eq(build_attempts.build_id, id))
      .orderBy(asc(build_attempts.finished_at))
  const stateOf = async ({ id }: Build) => {
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, id))
    return row && { state: row.state, blocked: row.blocked, finished_at: row.finished_at?.toISOString() ?? null }
  }
  const shown = ({ state, blocked, finished_at }: Build) => ({ state, blocked, finished_at })

  it.each([0, 1])(
    'because it was retried: both attempts stay, its jobs are linked (finish kept: %d)',
    async (keepFinish) => {
      await open({ builds: 0, days: 1 }, { mix: { ...calmMix, fail: 1, keepFinish }, agents: 20 })
      const { truth, clock } = scene.simulation
      const build = scene.simulation.startBuild({ jobs: 5 })
      while (!build.finished_at) scene.simulation.step()
      const first = build.finished_at
      clock.pass(HOUR)
      await cycle()
      expect(await attemptsOf(build)).toMatchObject([{ state: 'failed', finished_at: new Date(first) }])
      scene.simulation.mix.fail = 0
      retryFailed(truth, build, now(), { ...calmMix, keepFinish })
      clock.pass(MINUTE)
      await cycle()
      expect(await stateOf(build)).toEqual(shown(build))
      expect(await stateOf(build)).toMatchObject({ state: 'running' })
      while (truth.alive.size > 0) scene.simulation.step()
      clock.pass(HOUR)
      await cycle()
      expect(await stateOf(build)).toEqual(shown(build))
      expect(await attemptsOf(build)).toMatchObject([
        { state: 'failed', finished_at: new Date(first) },
        { state: 'passed', finished_at: new Date(build.finished_at ?? 0) },
      ])
      const rows = await scene.database.db.select().from(jobs).where(eq(jobs.build_id, build.id))
      const retried = rows.filter((job) => job.retried)
      expect(retried.length).toBeGreaterThan(0)
      for (const { id, retried_in_job_id } of retried) {
        const retry = rows.find((job) => job.id === retried_in_job_id)
        expect(retry).toMatchObject({ retry_source_job_id: id, state: 'passed' })
      }
    },
  )

  it('because it was unblocked after weeks: the pause is its first attempt', async () => {
    await open({ builds: 0, days: 1 }, { mix: { ...calmMix, block: 1 } })
    const { truth, clock } = scene.simulation
    const build = scene.simulation.startBuild({ jobs: 6 })
    while (!build.blocked) scene.simulation.step()
    clock.pass(HOUR)
    await cycle()
    expect(await attemptsOf(build)).toMatchObject([{ blocked: true }])
    clock.pass(20 * DAY)
    await cycle()
    unblock(truth, build, now(), calmMix)
    clock.pass(MINUTE)
    await cycle()
    expect(await stateOf(build)).toEqual(shown(build))
    while (truth.alive.size > 0) scene.simulation.step()
    clock.pass(MINUTE)
    await cycle()
    expect(await stateOf(build)).toEqual(shown(build))
    expect(await attemptsOf(build)).toMatchObject([
      { blocked: true, state: 'passed' },
      { blocked: false, state: 'passed', finished_at: new Date(build.finished_at ?? 0) },
    ])
  })

  it('again, after the open builds were listed and before the finished ones were', async () => {
    await open({ builds: 100, days: 10 })
    const { truth, clock } = scene.simulation
    const build = truth.builds.find(({ state, blocked }) => state === 'failed' && !blocked) ?? expect.fail()
    clock.pass(5 * MINUTE)
    await cycle()
    truth.begin(now())
    build.finished_at = new Date(now()).toISOString()
    clock.pass(SECOND)
    const { client } = scene.source
    const slow: typeof client = Object.assign(Object.create(client), {
      async *builds(...given: Parameters<typeof client.builds>) {
        yield* client.builds(...given)
        if (build.state === 'running' || !given[1].state) return
        retryFailed(truth, build, now(), calmMix)
        clock.pass(6 * SECOND)
      },
    })
    await reconcileOnce(scene.deps, { ...scene.source, client: slow })
    expect(await stateOf(build)).toEqual(shown(build))
  })
})
