import { and, eq } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { recordFailure } from '../../src/database/failures.ts'
import { builds, failures, windows } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

afterEach(() => scene.close())

async function open(): Promise<void> {
  scene = await openScene({ pipelines: 3 })
  const access = accessOf(scene)
  await discover(scene.deps, access)
  await access.close()
}

const failed = (kind: 'build' | 'builds_list' | 'window' | 'pipelines_list') =>
  scene.database.db.select().from(failures).where(eq(failures.kind, kind))
const isMirrored = async ({ id }: Build) => (await scene.database.db.$count(builds, eq(builds.id, id))) === 1

function buildAt(share: number): Build {
  const all = scene.simulation.truth.builds
  const build = all[Math.floor(all.length * share)]
  if (!build) throw new Error('The history has no builds.')
  return build
}

async function minutes(count: number): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, scene.source)
  }
}

describe('a build of history that no list shows', () => {
  it.each(['with_jobs', 'always'] as const)('(%s) is read individually, and the rest as usual', async (list) => {
    await open()
    scene.simulation.writeHistory({ builds: 250, days: 20 })
    const poison = buildAt(0.4)
    scene.simulation.failReads(poison, { list })
    await refreshPipelines(scene.deps, scene.source)
    await reconcileOnce(scene.deps, scene.source)
    await backfillOwed(scene.deps, scene.source)
    await minutes(4)
    expect(await scene.differences()).toEqual([])
    expect(await isMirrored(poison)).toBe(true)
    expect(await scene.database.db.$count(windows, eq(windows.status, 'done'))).toBeGreaterThan(0)
    expect((await failed('builds_list')).length).toBe(list === 'always' ? 1 : 0)
    scene.simulation.failReads(poison)
    await minutes(10)
    expect(await failed('builds_list')).toEqual([])
  })

  it('may be one of thirty in a row: all are read individually, and older builds as before', async () => {
    await open()
    scene.simulation.writeHistory({ builds: 120, days: 20 })
    const sorted = scene.simulation.truth.builds.toSorted((a, b) => a.created_at.localeCompare(b.created_at))
    for (const build of sorted.slice(60, 90)) scene.simulation.failReads(build, { list: 'always' })
    await refreshPipelines(scene.deps, scene.source)
    await reconcileOnce(scene.deps, scene.source)
    await backfillOwed(scene.deps, scene.source)
    await minutes(20)
    expect(await scene.differences()).toEqual([])
    const { created_from, created_to } = (await failed('builds_list'))[0] ?? expect.fail()
    expect(created_from?.getTime()).toBeGreaterThanOrEqual(Date.parse(sorted[59]?.created_at ?? ''))
    expect(created_to?.getTime()).toBeLessThanOrEqual(Date.parse(sorted[90]?.created_at ?? ''))
  })

  it('stays named, and no more, when it cannot be read by itself either', async () => {
    await open()
    scene.simulation.writeHistory({ builds: 120, days: 20 })
    const poison = buildAt(0.5)
    scene.simulation.failReads(poison, { list: 'always', get: 'forbidden' })
    await refreshPipelines(scene.deps, scene.source)
    await reconcileOnce(scene.deps, scene.source)
    await backfillOwed(scene.deps, scene.source)
    await minutes(4)
    const left = (await scene.differences()).filter(
      (line) => !line.includes(poison.id) && !poison.jobs.some(({ id }) => line.includes(id)),
    )
    expect(left).toEqual([])
    const [range] = await failed('builds_list')
    expect(range?.created_from?.getTime()).toBeLessThanOrEqual(Date.parse(poison.created_at))
    expect(range?.created_to?.getTime()).toBeGreaterThan(Date.parse(poison.created_at))
    const named = await failed('build')
    expect(named.map(({ build_number, code }) => [build_number, code])).toContainEqual([poison.number, 'http_403'])
  })
})

describe('an open build that no list shows', () => {
  it('is read individually, and the watermark moves on', async () => {
    await open()
    await scene.complete({ builds: 60, days: 10 })
    const open_ = scene.simulation.startBuild()
    await reconcileOnce(scene.deps, scene.source)
    scene.simulation.failReads(open_, { list: 'always' })
    const before = await reconcileOnce(scene.deps, scene.source)
    await minutes(6)
    await scene.simulation.play()
    await minutes(12)
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, open_.id))
    expect(row?.state).toBe(open_.state)
    const last = await reconcileOnce(scene.deps, scene.source)
    expect(last?.watermark_to.getTime()).toBeGreaterThan(before?.watermark_to.getTime() ?? Number.NaN)
  })
})

describe('an old open build that becomes unlistable', () => {
  it('hides no other build: history is still read, and the stretch that is avoided holds only that build', async () => {
    await open()
    scene.simulation.writeHistory({ builds: 120, days: 20 })
    const poison = scene.simulation.startBuild({ jobs: 1 })
    scene.simulation.clock.pass(HOUR)
    const newer = scene.simulation.startBuild({ jobs: 1 })
    scene.simulation.clock.pass(HOUR)
    scene.simulation.failReads(poison, { list: 'always' })
    await refreshPipelines(scene.deps, scene.source)
    await minutes(2)
    const [row, ...others] = await failed('builds_list')
    expect(others).toEqual([])
    expect(row?.created_from?.getTime()).toBeLessThanOrEqual(Date.parse(poison.created_at))
    expect(row?.created_from?.getTime()).toBeGreaterThan(Date.parse(poison.created_at) - MINUTE)
    expect(row?.created_to?.getTime()).toBeGreaterThan(Date.parse(poison.created_at))
    expect(row?.created_to?.getTime()).toBeLessThanOrEqual(Date.parse(newer.created_at))
    await backfillOwed(scene.deps, scene.source)
    await minutes(4)
    expect(await scene.differences()).toEqual([])
  })
})

describe('a recorded stretch', () => {
  const wide = { from: new Date(0), to: new Date('2100-01-01') }
  async function record(): Promise<void> {
    const subject = `builds of ${scene.source.slug} created from ${wide.from.toISOString()} to ${wide.to.toISOString()}`
    const unit = { kind: 'builds_list', organizationId: scene.source.id, subject, range: wide } as const
    await recordFailure(scene.database.db, unit, new Error('Test.'), new Date(scene.simulation.clock.now()))
  }

  it('shrinks to what cannot be listed when it is tried again', async () => {
    await open()
    await scene.complete({ builds: 12, days: 10 })
    const poison = buildAt(0.5)
    scene.simulation.failReads(poison, { list: 'always' })
    await record()
    await minutes(4)
    const rows = await failed('builds_list')
    expect(rows.length).toBe(1)
    const [{ created_from, created_to } = expect.fail()] = rows
    const within = scene.simulation.truth.builds.filter(
      ({ created_at }) => new Date(created_at) >= (created_from ?? 0) && new Date(created_at) < (created_to ?? 0),
    )
    expect(within.map(({ id }) => id)).toEqual([poison.id])
  })

  it('takes a bounded number of requests at a time, however many builds it holds', async () => {
    await open()
    await scene.complete({ builds: 150, days: 10 })
    await minutes(1)
    const quiet = await reconcileOnce(scene.deps, scene.source)
    await record()
    let most = 0
    for (let minute = 0; minute < 8; minute++) {
      scene.simulation.clock.pass(MINUTE)
      const cycle = await reconcileOnce(scene.deps, scene.source)
      most = Math.max(most, cycle?.requests ?? 0)
    }
    expect(most - (quiet?.requests ?? 0)).toBeLessThanOrEqual(60)
    expect(await failed('builds_list')).toEqual([])
  })
})

describe('what fails for its own reason', () => {
  it('a list of pipelines that fails does not hold up builds, and their pipeline is found later', async () => {
    await open()
    const end = scene.api.addTrouble({ kinds: ['pipelines'], fault: { kind: 'status', status: 500, message: 'No.' } })
    const build = scene.simulation.startBuild()
    await minutes(2)
    expect(await isMirrored(build)).toBe(true)
    expect((await failed('pipelines_list')).length).toBe(1)
    end()
    await refreshPipelines(scene.deps, scene.source)
    expect(await failed('pipelines_list')).toEqual([])
    const placed = and(eq(builds.id, build.id), eq(builds.pipeline_id, build.pipeline.id))
    expect(await scene.database.db.$count(builds, placed)).toBe(1)
  })

  it('403 for one build is recorded and does not end the cycle', async () => {
    await open()
    await scene.complete({ builds: 40, days: 10 })
    const hidden = scene.simulation.startBuild()
    const other = scene.simulation.startBuild()
    await reconcileOnce(scene.deps, scene.source)
    scene.simulation.failReads(hidden, { list: 'always', get: 'forbidden' })
    await minutes(5)
    await scene.simulation.play()
    await minutes(5)
    expect((await failed('build')).map(({ code }) => code)).toEqual(['http_403'])
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, other.id))
    expect(row?.state).toBe(other.state)
  })
})
