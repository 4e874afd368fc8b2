import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createClient } from '../../src/buildkite/client.ts'
import { buildkiteClock, builds, deliveries } from '../../src/database/schema.ts'
import { storeBuildkiteClock } from '../../src/reconcile/access/clock-store.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { followBuildkiteClock } from '../../src/webhooks/receive/receipt-clock.ts'
import { freeBudget, openScene, type Scene, silent } from '../reconcile/scene.ts'
import { until } from '../support/until.ts'
import { buildPayload, deliveriesOf, type Stage, secret, setStage } from './stage.ts'

let scene: Scene
const opened: (() => Promise<void> | void)[] = []

beforeEach(async () => {
  scene = await openScene({ clock: realClock })
  await scene.complete({ builds: 20, days: 5 })
})
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  await scene.close()
})

/** A reconciler on a machine whose clock is `ahead`. */
function machine(ahead: number) {
  const clock = () => Date.now() + ahead
  const client = createClient({
    token: demoToken.token,
    apiUrl: scene.api.url,
    budget: freeBudget,
    log: silent,
    clock,
    monotonic: () => performance.now(),
  })
  opened.push(() => client.close())
  return { deps: { ...scene.deps, clock }, source: { ...scene.source, client } }
}

/** A process in token mode that only receives, on a machine whose clock is `ahead`. */
async function receiver(ahead: number): Promise<Stage & { known: () => Date | undefined }> {
  const clock = () => Date.now() + ahead
  const follower = followBuildkiteClock({ db: scene.database.db, log: silent, clock })
  opened.push(() => follower.stop())
  const stage = await setStage({
    backend: 'postgres',
    databaseUrl: scene.url,
    settings: { auth: 'token' },
    clocks: { clock, buildkiteNow: follower.now },
  })
  opened.push(() => stage.close())
  return Object.assign(stage, { known: follower.now })
}

const token = { 'x-buildkite-signature': undefined, 'x-buildkite-token': secret }
const isRight = (at: Date | undefined) => at !== undefined && Math.abs(at.getTime() - Date.now()) < 3 * SECOND

describe('a delivery without a signature', () => {
  it.each([30 * MINUTE, -30 * MINUTE])('is dated by Buildkite’s clock when ours is %d ms ahead', async (ahead) => {
    const { deps, source } = machine(ahead)
    await reconcileOnce(deps, source)
    await storeBuildkiteClock(scene.database.db, [source])
    const stage = await receiver(ahead)
    await until(() => isRight(stage.known()), 'the clock is known')
    await stage.post('build.running', buildPayload(), token)
    const [row] = await deliveriesOf(stage)
    expect(isRight(row?.observed_at)).toBe(true)
  })

  it('does not prevent the next cycle from healing a lost finish', async () => {
    const ahead = 30 * MINUTE
    const { deps, source } = machine(ahead)
    await reconcileOnce(deps, source)
    await storeBuildkiteClock(scene.database.db, [source])
    const stage = await receiver(ahead)
    await until(() => isRight(stage.known()), 'the clock is known')
    stage.work()
    const { id, number, pipeline } = scene.simulation.startBuild({ jobs: 1 })
    const payload = buildPayload({ id, number, pipeline: pipeline.slug, org: source.slug })
    await stage.post('build.running', payload, token)
    await until(
      async () => (await stage.database.db.$count(deliveries, eq(deliveries.status, 'applied'))) === 1,
      'applied',
    )
    await scene.simulation.play({})
    await reconcileOnce(deps, source)
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, id))
    expect(row?.state).toBe(scene.simulation.truth.build(id)?.state)
  })

  it('is dated by our clock while Buildkite’s is unknown or was measured days ago', async () => {
    const { db } = scene.database
    await storeBuildkiteClock(db, [machine(0).source])
    expect(await db.$count(buildkiteClock)).toBe(0)
    await db.insert(buildkiteClock).values({ ahead_ms: 5 * HOUR, measured_at: new Date(Date.now() - 48 * HOUR) })
    const stage = await receiver(0)
    await stage.post('ping', {}, token)
    const [row] = await deliveriesOf(stage)
    expect(isRight(row?.observed_at)).toBe(true)
    expect(stage.known()).toBeUndefined()
  })
})

describe('the stored clock', () => {
  it('is one row, written again only when it has changed or is a minute old', async () => {
    const { db } = scene.database
    const { source } = machine(10 * MINUTE)
    await source.client.accessToken()
    for (let store = 0; store < 3; store += 1) await storeBuildkiteClock(db, [source])
    const stored = async () =>
      (await db.select().from(buildkiteClock)).map(({ ahead_ms, measured_at }) => ({
        ahead_ms,
        at: measured_at.getTime(),
      }))
    const [first, ...others] = await stored()
    if (!first) throw new Error('Nothing was stored.')
    expect(others).toEqual([])
    expect(Math.abs(first.ahead_ms)).toBeLessThan(2 * SECOND)
    await storeBuildkiteClock(db, [source])
    expect(await stored()).toEqual([first])
    await db.update(buildkiteClock).set({ ahead_ms: first.ahead_ms + HOUR })
    await storeBuildkiteClock(db, [source])
    expect(Math.abs((await stored())[0]?.ahead_ms ?? HOUR)).toBeLessThan(2 * SECOND)
  })
})
