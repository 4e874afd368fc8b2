import { describe, expect, test } from 'vitest'
import { cancel, retryFailed, unblock } from '../../src/simulator/lifecycle/interventions.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { createRandom, virtualClock } from '../../src/simulator/random.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { upheave } from '../support/admin-changes.ts'
import { wildMix } from '../support/wild-mix.ts'

const start = Date.UTC(2026, 0, 15, 12)
const create = (options: Parameters<typeof createSimulation>[0] = {}) =>
  createSimulation({ seed: 42, clock: virtualClock(start), record: true, mix: wildMix, ...options })

/** Without what lives a life of its own: a version refers to it. */
const shown = (builds: readonly Build[]) =>
  JSON.stringify(builds, (key, value: unknown) => (key === 'pipeline' || key === 'agent' ? undefined : value))

/** Lives `turns` turns of everything that can happen, and returns what the truth was after each. */
function liveWildly(simulation: Simulation, turns: number): { at: number; builds: string; pipelines: string }[] {
  const { truth, clock, mix } = simulation
  const random = createRandom('wild')
  const moments = []
  for (let turn = 0; turn < turns; turn++) {
    clock.pass(random.int(1, 3_000))
    const build = random.choose(truth.builds)
    if (random.chance(0.3)) simulation.startBuild()
    else if (random.chance(0.1)) upheave(truth, clock.now())
    else if (build?.blocked && random.chance(0.5)) unblock(truth, build, clock.now(), mix)
    else if (build?.blocked) cancel(truth, build, clock.now())
    else if (build?.state === 'failed') retryFailed(truth, build, clock.now(), mix)
    else simulation.step(2)
    if (turn % 5 === 0)
      moments.push({ at: clock.now(), builds: shown(truth.builds), pipelines: JSON.stringify(truth.pipelines) })
  }
  return moments
}

describe('a recorded simulation', () => {
  test('returns the exact state at any past time', () => {
    const simulation = create({ organizations: ['acme', 'globex'] })
    simulation.writeHistory({ builds: 40, days: 5 })
    const moments = liveWildly(simulation, 200)
    for (const { at, builds, pipelines } of moments) {
      expect(shown(simulation.truth.at(at).builds)).toBe(builds)
      expect(JSON.stringify(simulation.truth.at(at).pipelines)).toBe(pipelines)
    }
    expect(simulation.truth.record().unmarked()).toEqual([])
  })

  test('generates the same builds as one that does not record', () => {
    const live = (record: boolean) => {
      const simulation = create({ record })
      liveWildly(simulation, 100)
      return shown(simulation.truth.builds)
    }
    expect(live(true)).toBe(live(false))
  })

  test('has each version of a build, from its creation to its deletion', () => {
    const simulation = create()
    const build = simulation.startBuild()
    const created = simulation.clock.now()
    while (simulation.step() > 0);
    const versions = simulation.truth.versionsOf(build.id)
    expect(versions[0]).toMatchObject({ at: created, object: { state: expect.any(String) } })
    expect(versions.length).toBeGreaterThan(5)
    const times = versions.map(({ at }) => at)
    expect(times).toEqual([...new Set(times)].sort((a, b) => a - b))
    simulation.clock.pass(1_000)
    simulation.truth.deleteBuild(build)
    expect(simulation.truth.versionsOf(build.id).at(-1)).toEqual({ at: simulation.clock.now(), object: undefined })
    expect(simulation.truth.at(simulation.clock.now() - 1).builds.map(({ id }) => id)).toContain(build.id)
    expect(simulation.truth.at(simulation.clock.now()).builds.map(({ id }) => id)).not.toContain(build.id)
  })

  test('shares unchanged jobs between versions, so that a history costs a few megabytes', () => {
    const simulation = create()
    for (let i = 0; i < 200; i++) {
      simulation.startBuild()
      simulation.step(20)
    }
    while (simulation.step(100) > 0);
    const builds = simulation.truth.builds
    const versions = builds.flatMap(({ id }) => simulation.truth.versionsOf(id).map(({ object }) => object))
    const jobs = versions.flatMap((build) => build?.jobs ?? [])
    expect(versions.length).toBeGreaterThan(builds.length * 5)
    expect(new Set(jobs).size).toBeLessThan(jobs.length / 2)
  })

  test('finds builds that were changed without marking, and records changes made with edit', () => {
    const simulation = create()
    const build = simulation.startBuild()
    simulation.truth.edit(build, { message: 'Known' })
    expect(simulation.truth.record().unmarked()).toEqual([])
    build.message = 'Unknown'
    expect(simulation.truth.record().unmarked()).toEqual([build.id])
  })

  test('does not let the past change: objects inside a build cannot be changed in place', () => {
    const simulation = create()
    const build = simulation.startBuild()
    simulation.truth.at(simulation.clock.now())
    expect(() => Object.assign(build.meta_data, { late: 'yes' })).toThrow(TypeError)
  })

  test('has no data from before it began, or if it was not recording', () => {
    expect(() => create({ foundedAt: start }).truth.at(start - 1)).toThrow(RangeError)
    expect(() => create({ record: false }).truth.at(start)).toThrow('record: true')
  })
})
