import { afterEach, describe, expect, test } from 'vitest'
import { applyObservations } from '../../src/mirror/apply.ts'
import { combine, type Observations } from '../../src/mirror/observation.ts'
import { observeWebhook } from '../../src/mirror/observe.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { createRandom } from '../../src/simulator/random.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'
import { olderWebhook } from '../support/older-webhook.ts'
import { wildMix } from '../support/wild-mix.ts'

let scene: Scene
afterEach(() => scene.close())

describe('the mirror of a varied Buildkite', () => {
  test('equals it after a backfill', async () => {
    scene = await openScene({ variety: true, pipelines: 5, mix: wildMix })
    await scene.complete({ builds: 200, days: 30 })
    expect(await scene.differences()).toEqual([])
  })

  test.each([1, 2])('equals it after webhooks of an older shape, before and after REST (seed %i)', async (seed) => {
    scene = await openScene({ variety: true, pipelines: 5, seed, mix: wildMix })
    await scene.complete({ builds: 30, days: 30 })
    const { simulation, database, deps, source } = scene
    const random = createRandom(`older ${seed}`)
    const sent: Observations[] = []
    simulation.truth.onChange((change) => {
      const body = renderChange(simulation.truth, change, { id: 'sender', name: 'Sender' })
      const older = structuredClone(olderWebhook(body, random))
      const at = new Date(Math.floor(simulation.clock.now() / 1_000) * 1_000)
      sent.push(observeWebhook(change.event, older, at, { storeEnv: false }))
    })
    const deliver = async (share: number) => {
      const some = sent.filter(() => random.chance(share))
      for (let start = 0; start < some.length; start += 20)
        await applyObservations(database.db, combine(structuredClone(some.slice(start, start + 20))), new Date())
    }
    await simulation.play({ builds: 15 })
    await deliver(0.7)
    simulation.clock.pass(MINUTE)
    await reconcileOnce(deps, source)
    await deliver(0.5)
    simulation.clock.pass(MINUTE)
    await refreshPipelines(deps, source)
    await reconcileOnce(deps, source)
    expect(await scene.differences()).toEqual([])
  })
})
