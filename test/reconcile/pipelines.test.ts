import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { coverage } from '../../src/coverage/coverage.ts'
import { builds, cycles, pipelines } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 120 })
  const access = accessOf(scene)
  await discover(scene.deps, access)
  await access.close()
})
afterEach(() => scene.close())

async function refresh() {
  scene.simulation.clock.pass(5 * MINUTE)
  return refreshPipelines(scene.deps, scene.source)
}
const rowOf = async ({ id }: { id: string }) =>
  (await scene.database.db.select().from(pipelines).where(eq(pipelines.id, id)))[0]
function somePipeline() {
  const [pipeline] = scene.simulation.truth.pipelines
  if (!pipeline) throw new Error('The simulation has no pipelines.')
  return pipeline
}

describe('reading the pipelines', () => {
  it('brings all of them, page by page, field by field', async () => {
    expect(await refresh()).toMatchObject({ requests: 2, read: 120, inserted: 120, unlisted: 0 })
    expect(await scene.differences()).toEqual([])
    expect(await refresh()).toMatchObject({ inserted: 0, updated: 0 })
  })

  it('follows a renamed and an archived pipeline as the same rows', async () => {
    await refresh()
    const [renamed, archived] = scene.simulation.truth.pipelines
    if (!renamed || !archived) throw new Error('The simulation has no pipelines.')
    scene.simulation.truth.renamePipeline(renamed, 'Another', 'another')
    scene.simulation.truth.archivePipeline(archived, scene.simulation.clock.now())
    expect(await refresh()).toMatchObject({ inserted: 0, updated: 2 })
    expect(await scene.differences()).toEqual([])
  })

  it('marks what is no longer listed, and unmarks it when it is seen again', async () => {
    await refresh()
    const pipeline = somePipeline()
    scene.simulation.truth.hidden.add(pipeline)
    expect(await refresh()).toMatchObject({ unlisted: 1 })
    expect(await rowOf(pipeline)).toMatchObject({ deleted_reason: 'not_listed', slug: pipeline.slug })
    expect(await refresh()).toMatchObject({ unlisted: 0 })
    scene.simulation.truth.hidden.delete(pipeline)
    await refresh()
    expect(await rowOf(pipeline)).toMatchObject({ deleted_at: null, deleted_reason: null })
  })

  it('marks nothing while the list holds something that cannot be read, for it may be just that one', async () => {
    await refresh()
    const pipeline = somePipeline()
    const { id } = pipeline
    pipeline.id = 'no uuid'
    expect(await refresh()).toMatchObject({ unlisted: 0 })
    expect(await rowOf({ id })).toMatchObject({ deleted_at: null })
    pipeline.id = id.toUpperCase()
    expect(await refresh()).toMatchObject({ unlisted: 0 })
  })

  it('marks nothing when the listing did not come to its end', async () => {
    await refresh()
    scene.simulation.truth.hidden.add(somePipeline())
    scene.api.beforeAnswer = ({ query }) =>
      query.get('page') === '2' ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
    await expect(refresh()).rejects.toMatchObject({ code: 'invalid_permissions' })
    expect(await rowOf(somePipeline())).toMatchObject({ deleted_at: null })
  })

  it('skips no pipeline when another is deleted while the list is read by page number', async () => {
    await refresh()
    const doomed = somePipeline()
    const { truth, clock } = scene.simulation
    // The first of the second page: new, or known and renamed since, so that its old slug answers 404.
    const next = truth.pipelines[100]
    if (!next) throw new Error('The simulation has too few pipelines.')
    truth.renamePipeline(next, 'Another', 'another')
    const added = truth.addPipeline(scene.simulation.truth.organizationOf(doomed), clock.now())
    truth.pipelines.splice(101, 0, ...truth.pipelines.splice(-1))
    scene.api.beforeAnswer = ({ kind, query }) => {
      const isSecond = kind === 'pipelines' && query.get('page') === '2'
      if (isSecond)
        for (const one of [doomed, truth.pipelines[1]])
          if (one && truth.pipelines.length > 119) truth.deletePipeline(one)
      return undefined
    }
    expect(await refresh()).toMatchObject({ inserted: 1, unlisted: 0 })
    expect(await rowOf(next)).toMatchObject({ deleted_at: null, slug: 'another' })
    expect(await rowOf(added)).toMatchObject({ deleted_at: null })
    scene.api.beforeAnswer = undefined
    expect(await refresh()).toMatchObject({ unlisted: 2 })
    expect(await rowOf(doomed)).toMatchObject({ deleted_reason: 'not_listed' })
  })

  it('happens by itself, once, when a cycle meets a build of a pipeline it does not know', async () => {
    for (let i = 0; i < 5; i++) scene.simulation.startBuild()
    const report = await reconcileOnce(scene.deps, scene.source)
    expect(report?.requests).toBe(3 + 2)
    const rows = await scene.database.db.select().from(builds)
    expect(rows.every(({ pipeline_id }) => pipeline_id !== null)).toBe(true)
    scene.api.forget()
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, scene.source)
    expect(scene.api.count('pipelines')).toBe(0)
  })

  it('does not happen over and over for a pipeline that the list never shows', async () => {
    await refresh()
    const build = scene.simulation.startBuild()
    const { id } = build.pipeline
    await scene.database.db.delete(pipelines).where(eq(pipelines.id, id))
    await scene.database.db.delete(cycles)
    scene.simulation.truth.hidden.add(build.pipeline)
    await reconcileOnce(scene.deps, scene.source)
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, scene.source)
    expect(await scene.database.db.$count(cycles, eq(cycles.kind, 'pipelines'))).toBeLessThanOrEqual(1)
  })
})

describe('a list of pipelines that fails', () => {
  const fails = () => {
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'pipelines' ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
    scene.api.forget()
  }
  const asked = () => {
    const count = scene.api.count('pipelines')
    scene.api.forget()
    return count
  }
  const other = () => ({
    ...scene.source,
    client: Object.create(scene.source.client, { fingerprint: { value: 'another user' } }) as Scene['source']['client'],
  })
  const saidOfIt = async () => (await coverage(scene.database.db, new Date(scene.simulation.clock.now())))[0]

  it('is left alone until its back-off is over, by cycles that meet an unknown pipeline', async () => {
    await refresh()
    await reconcileOnce(scene.deps, scene.source)
    scene.simulation.clock.pass(6 * MINUTE)
    const { id } = scene.simulation.startBuild().pipeline
    await scene.database.db.delete(pipelines).where(eq(pipelines.id, id))
    fails()
    await reconcileOnce(scene.deps, scene.source)
    expect(asked()).toBe(1)
    scene.simulation.clock.pass(MINUTE / 2)
    await reconcileOnce(scene.deps, scene.source)
    expect(asked()).toBe(0)
    scene.simulation.clock.pass(MINUTE)
    scene.api.beforeAnswer = undefined
    await reconcileOnce(scene.deps, scene.source)
    expect(asked()).toBe(2)
  })

  it('for another token is said by the cycles, which read no ever longer time, and by the backfill', async () => {
    await refresh()
    await reconcileOnce(scene.deps, scene.source)
    scene.simulation.clock.pass(5 * HOUR)
    fails()
    await reconcileOnce(scene.deps, other())
    expect(asked()).toBe(1)
    await expect(backfillOwed(scene.deps, other())).rejects.toMatchObject({ code: 'unavailable' })
    scene.simulation.clock.pass(MINUTE / 2)
    const now = scene.simulation.clock.now()
    const { watermark } = (await saidOfIt()) ?? {}
    await reconcileOnce(scene.deps, other())
    const created = scene.api.requests.flatMap(({ query }) => query.get('created_from') ?? [])
    expect(created.length).toBeGreaterThan(0)
    for (const from of created) expect(Date.parse(from)).toBeGreaterThanOrEqual(now - HOUR - MINUTE)
    expect(asked()).toBe(0)
    expect(await saidOfIt()).toMatchObject({
      watermark,
      last_error: { message: expect.stringContaining('The pipelines could not be listed for this token and filter') },
    })
    scene.api.beforeAnswer = undefined
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, other())
    scene.simulation.clock.pass(3 * MINUTE)
    await reconcileOnce(scene.deps, other())
    await backfillOwed(scene.deps, other())
    expect(await saidOfIt()).toMatchObject({ last_error: null })
    expect((await saidOfIt())?.watermark?.getTime()).toBeGreaterThan(now)
    expect(await scene.differences()).toEqual([])
  })
})
