import { afterEach, describe, expect, it } from 'vitest'
import { discover } from '../../src/reconcile/access/discover.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { cancel, retryFailed, unblock } from '../../src/simulator/lifecycle/interventions.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

afterEach(() => scene.close())

/** Something happens in Buildkite: builds start and go on; people retry, unblock and cancel what may be weeks old. */
function happen({ simulation }: Scene): void {
  const { truth, clock, mix } = simulation
  const { random } = truth
  if (random.chance(0.5) && truth.alive.size < 15) simulation.startBuild()
  simulation.step(random.int(0, 4))
  if (!random.chance(0.3)) return
  const build = random.choose(truth.builds)
  if (!build) return
  clock.pass(random.int(1, 3_000))
  if (build.blocked) {
    if (random.chance(0.7)) unblock(truth, build, clock.now(), mix)
    else cancel(truth, build, clock.now())
  } else if (build.state === 'failed') retryFailed(truth, build, clock.now(), mix)
}

describe('without any webhook', () => {
  it.each([1, 2, 3, 4])(
    'two cycles make the mirror equal, whatever happened between and during all before (seed %i)',
    async (seed) => {
      scene = await openScene({ seed })
      scene.simulation.writeHistory({ builds: 250, days: 40 })
      const access = accessOf(scene)
      await discover(scene.deps, access)
      await access.close()
      // Even while a list is being read the builds in it change.
      scene.api.beforeAnswer = () => {
        happen(scene)
        return undefined
      }
      for (let round = 0; round < 6; round++) {
        await reconcileOnce(scene.deps, scene.source)
        if (round % 2 === 0) await backfillOwed(scene.deps, scene.source)
        for (let i = 0; i < 8; i++) happen(scene)
        scene.simulation.clock.pass(scene.simulation.truth.random.int(1, 5 * MINUTE))
      }
      scene.api.beforeAnswer = undefined
      for (let cycle = 0; cycle < 2; cycle++) {
        await reconcileOnce(scene.deps, scene.source)
        scene.simulation.clock.pass(MINUTE)
      }
      await refreshPipelines(scene.deps, scene.source)
      expect(await scene.differences()).toEqual([])
    },
  )
})
