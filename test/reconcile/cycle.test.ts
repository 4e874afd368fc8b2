import { and, desc, eq, ne, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builds, cycles, deliveries, unlisted_builds, watermarks } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { cancel, retryFailed } from '../../src/simulator/lifecycle/interventions.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

beforeEach(async () => {
  scene = await openScene()
})
afterEach(() => scene.close())

const cycle = () => reconcileOnce(scene.deps, scene.source)
const rowOf = async (build: Build) => (await scene.database.db.select().from(builds).where(eq(builds.id, build.id)))[0]
const watermark = async () => (await scene.database.db.select().from(watermarks))[0]?.watermark

async function knowOrganizations(): Promise<void> {
  const access = accessOf(scene)
  await discover(scene.deps, access)
  await access.close()
}

const completeMirror = (count = 150) => scene.complete({ builds: count, days: 30 })

function finishedBuild(state: string): Build {
  const before = scene.simulation.clock.now() - 5 * DAY
  const build = scene.simulation.truth.builds.find(
    (one) => one.state === state && !one.blocked && Date.parse(one.created_at) < before,
  )
  if (!build) throw new Error(`The history has no ${state} build.`)
  return build
}

describe('a cycle', () => {
  it('after the backfill leaves the mirror equal to Buildkite', async () => {
    await completeMirror()
    expect(await scene.differences()).toEqual([])
  })

  it('costs three requests when nothing has happened, however long the history', async () => {
    scene.simulation.writeHistory({ builds: 20_000, days: 90, jobs: 1 })
    await knowOrganizations()
    await cycle()
    scene.simulation.clock.pass(HOUR)
    await cycle()
    scene.simulation.clock.pass(MINUTE)
    scene.api.forget()
    const report = await cycle()
    expect(scene.api.requests.map(({ kind }) => kind)).toEqual(['builds', 'builds', 'builds'])
    expect(report).toMatchObject({ requests: 3, builds_missing: 0, builds_healed: 0, unlisted_read: 0 })
  })

  it('finds builds without any webhook, whatever happened to them', async () => {
    await completeMirror()
    await scene.expectWebhooks()
    for (let i = 0; i < 15; i++) {
      scene.simulation.startBuild()
      scene.simulation.step(40)
    }
    scene.simulation.clock.pass(3 * MINUTE)
    const report = await cycle()
    expect(report?.builds_missing).toBeGreaterThanOrEqual(15)
    expect(await scene.differences()).toEqual([])
  })

  it('counts nothing as lost for an organization without webhooks', async () => {
    await completeMirror()
    for (let i = 0; i < 5; i++) scene.simulation.startBuild()
    await scene.simulation.play()
    scene.simulation.clock.pass(3 * MINUTE)
    const report = await cycle()
    expect(report).toMatchObject({ builds_missing: 0, builds_healed: 0, jobs_missing: 0, jobs_healed: 0 })
    expect(report?.builds_completed).toBeGreaterThanOrEqual(5)
    expect(await scene.database.db.select().from(cycles).orderBy(desc(cycles.id)).limit(1)).toMatchObject([
      { builds_completed: report?.builds_completed, jobs_completed: report?.jobs_completed },
    ])
  })

  it('counts correct open builds as confirmed in every cycle', async () => {
    await completeMirror()
    await scene.expectWebhooks()
    for (let i = 0; i < 5; i++) scene.simulation.startBuild()
    scene.simulation.clock.pass(MINUTE)
    await cycle()
    for (let i = 0; i < 3; i++) {
      scene.simulation.clock.pass(MINUTE)
      const report = await cycle()
      const nothing = { builds_missing: 0, builds_healed: 0, builds_completed: 0, jobs_missing: 0, jobs_healed: 0 }
      expect(report).toMatchObject(nothing)
      expect(report?.builds_confirmed).toBeGreaterThanOrEqual(5)
    }
  })

  it('does not count a webhook as lost while the queue holds deliveries', async () => {
    await completeMirror()
    await scene.expectWebhooks()
    scene.simulation.startBuild()
    scene.simulation.clock.pass(MINUTE)
    const report = await reconcileOnce({ ...scene.deps, holdsDiverted: async () => true }, scene.source)
    expect(report).toMatchObject({ builds_missing: 0, builds_in_flight: 1 })
  })

  it('follows a build of long ago that runs again, and its second end', async () => {
    await completeMirror()
    const build = finishedBuild('failed')
    retryFailed(scene.simulation.truth, build, scene.simulation.clock.now(), calmMix)
    await cycle()
    expect((await rowOf(build))?.state).toBe('running')
    while (scene.simulation.truth.alive.has(build) && scene.simulation.step() > 0);
    scene.simulation.clock.pass(10 * MINUTE)
    await cycle()
    expect(await rowOf(build)).toMatchObject({ state: build.state })
    expect(await scene.differences()).toEqual([])
  })

  it('sees the end of builds that were open when it last looked', async () => {
    await completeMirror()
    for (let i = 0; i < 5; i++) scene.simulation.startBuild()
    scene.simulation.step(15)
    scene.simulation.clock.pass(DAY)
    await cycle()
    await scene.simulation.play()
    scene.simulation.clock.pass(DAY)
    await cycle()
    expect(await scene.differences()).toEqual([])
  })

  it('reads one by one what the mirror holds as open and no list shows', async () => {
    await completeMirror()
    const build = finishedBuild('passed')
    const lie = { state: 'running', finished_at: null, observed_at: new Date(scene.simulation.clock.now() - HOUR) }
    await scene.database.db
      .update(builds)
      .set({ ...lie, verified_at: lie.observed_at })
      .where(eq(builds.id, build.id))
    scene.api.forget()
    const report = await cycle()
    expect(report).toMatchObject({ unlisted_read: 1, requests: 4 })
    expect(scene.api.count('build')).toBe(1)
    expect(await scene.differences()).toEqual([])
  })

  it('confirms a webhook that took a finished build back, and stops asking', async () => {
    await completeMirror()
    const build = finishedBuild('passed')
    const at = new Date(scene.simulation.clock.now() - MINUTE)
    await scene.database.db.update(builds).set({ state: 'running', observed_at: at }).where(eq(builds.id, build.id))
    await cycle()
    expect((await rowOf(build))?.state).toBe('passed')
    scene.api.forget()
    await cycle()
    expect(scene.api.requests.length).toBe(3)
  })

  it('records a build that is gone, keeps its row, and asks for it no more', async () => {
    await completeMirror()
    for (let i = 0; i < 3; i++) scene.simulation.startBuild()
    await cycle()
    const [build] = [...scene.simulation.truth.alive]
    if (!build) throw new Error('No build is under way.')
    scene.simulation.clock.pass(10 * MINUTE)
    await cycle()
    scene.simulation.truth.deleteBuild(build)
    scene.simulation.clock.pass(10 * MINUTE)
    const report = await cycle()
    expect(report?.unlisted_read).toBe(1)
    expect(await rowOf(build)).toMatchObject({ deleted_reason: 'deleted', state: expect.any(String) })
    scene.api.forget()
    await cycle()
    expect(scene.api.count('build')).toBe(0)
  })

  it('marks the builds of a deleted pipeline with its reason, also those that ended long ago', async () => {
    await completeMirror()
    for (let i = 0; i < 8; i++) scene.simulation.startBuild()
    scene.simulation.clock.pass(10 * MINUTE)
    await cycle()
    const [build] = [...scene.simulation.truth.alive]
    if (!build) throw new Error('No build is under way.')
    scene.simulation.truth.deletePipeline(build.pipeline)
    scene.simulation.clock.pass(10 * MINUTE)
    await cycle()
    expect(await rowOf(build)).toMatchObject({ deleted_reason: 'pipeline_not_listed' })
    const all = await scene.database.db.select().from(builds).where(eq(builds.pipeline_id, build.pipeline.id))
    expect(new Set(all.map(({ deleted_reason }) => deleted_reason))).toEqual(new Set(['pipeline_not_listed']))
  })

  it('finds a build under the new slug of a renamed pipeline', async () => {
    await completeMirror()
    const build = finishedBuild('passed')
    const at = new Date(scene.simulation.clock.now() - MINUTE)
    await scene.database.db.update(builds).set({ state: 'running', observed_at: at }).where(eq(builds.id, build.id))
    scene.simulation.truth.renamePipeline(build.pipeline, 'Renamed', 'renamed')
    await cycle()
    expect(await rowOf(build)).toMatchObject({ state: 'passed', deleted_at: null, url: build.url })
  })

  it('waits longer and longer before it reads again a build that Buildkite does not settle', async () => {
    await completeMirror()
    const build = finishedBuild('passed')
    const at = new Date(scene.simulation.clock.now() - HOUR)
    await scene.database.db.update(builds).set({ state: 'running', observed_at: at }).where(eq(builds.id, build.id))
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'build' ? { kind: 'status', status: 500, message: 'no' } : undefined
    expect((await cycle())?.unlisted_read).toBe(1)
    expect((await cycle())?.unlisted_read).toBe(0)
    const [absence] = await scene.database.db.select().from(unlisted_builds)
    expect(absence).toMatchObject({ build_id: build.id, reads: 1, last_status: 500 })
    // A time that a clock of ours set while it was days ahead does not count.
    await scene.database.db
      .update(unlisted_builds)
      .set({ next_read_at: new Date(scene.simulation.clock.now() + 3 * DAY) })
    expect((await cycle())?.unlisted_read).toBe(1)
    scene.simulation.clock.pass(2 * MINUTE)
    scene.api.beforeAnswer = undefined
    expect((await cycle())?.unlisted_read).toBe(1)
    expect(await scene.database.db.select().from(unlisted_builds)).toEqual([])
  })

  it('keeps the watermark where it was when a list fails, and says why', async () => {
    await completeMirror()
    const before = await watermark()
    scene.simulation.startBuild()
    scene.api.beforeAnswer = ({ query }) =>
      query.has('finished_from') ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
    await expect(cycle()).rejects.toMatchObject({ code: 'invalid_permissions' })
    expect(await watermark()).toEqual(before)
    const [row] = await scene.database.db.select().from(cycles).orderBy(desc(cycles.id)).limit(1)
    expect(row?.error).toMatch(/403|allow|permission/i)
    scene.api.beforeAnswer = undefined
    await cycle()
    expect((await watermark())?.getTime()).toBeGreaterThan(before?.getTime() ?? 0)
  })

  it('whose lease another process took over no longer commits, and moves no watermark', async () => {
    await completeMirror()
    const before = await watermark()
    const build = scene.simulation.startBuild()
    let taken: Promise<unknown> | undefined
    scene.api.beforeAnswer = (request) => {
      if (!request.query.has('finished_from')) return undefined
      const query = sql`update sync.leases set fence = fence + 1 where name like 'hot:%'`
      taken ??= Promise.resolve(scene.database.db.execute(query))
      return { kind: 'delay', ms: 200 }
    }
    expect(await cycle()).toBeUndefined()
    await taken
    expect(await watermark()).toEqual(before)
    scene.api.beforeAnswer = undefined
    await scene.database.db.execute(sql`update sync.leases set expires_at = 'epoch'`)
    scene.simulation.clock.pass(SECOND)
    await cycle()
    expect((await watermark())?.getTime()).toBeGreaterThan(before?.getTime() ?? 0)
    expect(await rowOf(build)).toBeDefined()
  })

  it('keeps all other builds when Postgres refuses one, and names it', async () => {
    await completeMirror()
    await scene.database.db.execute(
      sql`alter table buildkite.builds add constraint no_poison check (message is distinct from 'poison')`,
    )
    const started = [1, 2, 3].map(() => scene.simulation.startBuild())
    const [poison] = started
    if (!poison) throw new Error('No build was started.')
    poison.message = 'poison'
    const before = await watermark()
    const report = await cycle()
    expect(report?.refused).toMatchObject([{ id: poison.id, reason: expect.stringContaining('23514') }])
    expect((await Promise.all(started.map(rowOf))).map(Boolean)).toEqual([false, true, true])
    expect((await watermark())?.getTime()).toBeGreaterThan(before?.getTime() ?? 0)
    const [row] = await scene.database.db.select().from(cycles).orderBy(desc(cycles.id)).limit(1)
    expect(row?.error).toContain(poison.id)
  })

  it('reports builds and jobs that cannot be stored, because the watermark passes them', async () => {
    await completeMirror()
    const [nameless, jobless, odd] = [1, 2, 3].map(() => scene.simulation.startBuild())
    if (!nameless || !jobless?.jobs[0] || !odd) throw new Error('No build was started.')
    nameless.id = 'no uuid'
    jobless.jobs[0].id = ''
    Object.assign(odd, { state: 7, url: null })
    const report = await cycle()
    expect(report?.refused.map(({ id }) => id)).toEqual(['without an id', jobless.id])
    const [row] = await scene.database.db.select().from(cycles).orderBy(desc(cycles.id)).limit(1)
    expect(row?.error).toContain(jobless.id)
    expect(await rowOf(odd)).toMatchObject({ state: null, extra: { state: 7 } })
  })

  it('runs only once for an organization, however many ask', async () => {
    await completeMirror()
    const other = { ...scene.source, client: scene.client() }
    scene.api.beforeAnswer = () => ({ kind: 'delay', ms: 30 })
    const reports = await Promise.all([cycle(), reconcileOnce(scene.deps, other), reconcileOnce(scene.deps, other)])
    expect(reports.filter(Boolean).length).toBe(1)
  })

  it('leaves out pipelines that are out of scope', async () => {
    const [kept] = scene.simulation.truth.pipelines
    if (!kept) throw new Error('The simulation has no pipelines.')
    await knowOrganizations()
    const filter = mirrorFilter({ organizations: [], pipelinesInclude: [kept.slug], pipelinesExclude: [] })
    for (let i = 0; i < 20; i++) scene.simulation.startBuild()
    await reconcileOnce({ ...scene.deps, filter }, scene.source)
    const rows = await scene.database.db.select().from(builds)
    expect(rows.length).toBeGreaterThan(0)
    expect(new Set(rows.map(({ pipeline_id }) => pipeline_id))).toEqual(new Set([kept.id]))
  })

  it('lets builds out of scope take no turn from those that are in it', async () => {
    await completeMirror()
    const [left] = scene.simulation.truth.pipelines
    const lie = { state: 'running', observed_at: new Date(scene.simulation.clock.now() - HOUR) }
    await scene.database.db.update(builds).set({ ...lie, verified_at: lie.observed_at })
    const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [left?.slug ?? ''] })
    const wrong = () =>
      scene.database.db.$count(builds, and(eq(builds.state, 'running'), ne(builds.pipeline_id, left?.id ?? '')))
    for (let i = 0; i < 10 && (await wrong()) > 0; i++) {
      await reconcileOnce({ ...scene.deps, filter }, scene.source)
      scene.simulation.clock.pass(MINUTE)
    }
    expect(await wrong()).toBe(0)
  })

  it('that is warm reads again what lies hours behind the watermark', async () => {
    await completeMirror()
    for (let i = 0; i < 3; i++) scene.simulation.startBuild()
    await scene.simulation.play()
    await cycle()
    scene.simulation.clock.pass(HOUR)
    await cycle()
    const [hidden] = scene.simulation.truth.builds.slice(-1)
    if (!hidden) throw new Error('No builds.')
    await scene.database.db.delete(builds).where(eq(builds.id, hidden.id))
    await scene.expectWebhooks()
    await scene.database.db.update(deliveries).set({ observed_at: new Date(0) })
    expect((await cycle())?.builds_read).toBe(0)
    const warm = await reconcileOnce(scene.deps, scene.source, 'warm')
    expect(warm?.builds_missing).toBe(1)
    expect(await scene.differences()).toEqual([])
  })

  it('misses nothing of a canceled build without webhooks', async () => {
    await completeMirror()
    const build = scene.simulation.startBuild()
    scene.simulation.clock.pass(HOUR)
    await cycle()
    cancel(scene.simulation.truth, build, scene.simulation.clock.now())
    await scene.simulation.play()
    scene.simulation.clock.pass(HOUR)
    await cycle()
    expect(await scene.differences()).toEqual([])
  })
})
