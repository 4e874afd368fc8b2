import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { windows } from '../../src/database/schema.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import { backfillPausedAt, interruptibly, pauseBackfill, resumeBackfill } from '../../src/reconcile/backfill/pause.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { until } from '../support/until.ts'
import { openScene, type Scene } from './scene.ts'

const never = new AbortController().signal
const nobody = async () => false

describe('a backfill that a person pauses', () => {
  let scene: Scene

  beforeEach(async () => {
    scene = await openScene({ pipelines: 2 })
    scene.simulation.writeHistory({ builds: 400, days: 30 })
    await reconcileOnce(scene.deps, scene.source)
  })

  afterEach(() => scene.close())

  const run = (wanted: () => Promise<boolean> = nobody) =>
    interruptibly(scene.deps.db, scene.source.id, never, wanted, async (signal) => {
      await backfillOwed(scene.deps, scene.source, signal)
    })
  const statuses = async () => (await scene.database.db.select().from(windows)).map(({ status }) => status)

  it('does not begin', async () => {
    await pauseBackfill(scene.database.db, scene.source.id, new Date())
    expect(await run()).toBe('paused')
    expect(await statuses()).toEqual([])
  })

  it('stops within seconds though a page is under way, and goes on where it stopped', async () => {
    scene.api.beforeAnswer = ({ kind }) => (kind === 'builds' ? { kind: 'delay', ms: 60_000 } : undefined)
    const running = run()
    await until(async () => (await statuses()).includes('running'), 'a window is being read')
    // As another process would.
    await pauseBackfill(scene.database.db, scene.source.id, new Date())
    const begun = performance.now()
    expect(await running).toBe('paused')
    expect(performance.now() - begun).toBeLessThan(20_000)
    expect(await statuses()).not.toContain('done')
    scene.api.beforeAnswer = undefined
    await resumeBackfill(scene.database.db, scene.source.id)
    expect(await backfillPausedAt(scene.database.db, scene.source.id)).toBeNull()
    expect(await run()).toBeUndefined()
    expect(new Set(await statuses())).toEqual(new Set(['done']))
  })

  it('makes room for an errand that waits for the same worker', async () => {
    scene.api.beforeAnswer = ({ kind }) => (kind === 'builds' ? { kind: 'delay', ms: 60_000 } : undefined)
    expect(await run(async () => true)).toBe('wanted')
  })
})
