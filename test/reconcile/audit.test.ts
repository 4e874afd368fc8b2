import { asc, eq, gt, isNotNull } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { coverage } from '../../src/coverage/coverage.ts'
import { builds, cycles, drift, organizations, pipelines, windows } from '../../src/database/schema.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeWebhook } from '../../src/mirror/observe.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { runAudit } from '../../src/reconcile/audit/audit.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import type { Build, Pipeline } from '../../src/simulator/model/shapes.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 3 })
  await scene.complete({ builds: 200, days: 85 })
  // A list of pipelines confirms what was read: after the days that pass below, none would.
  pass(3 * MINUTE)
  await refreshPipelines(scene.deps, scene.source)
})
afterEach(() => scene.close())

const audit = () => runAudit(scene.deps, scene.source)
const pass = (ms: number) => scene.simulation.clock.pass(ms)
const markOf = async ({ id }: Build) => {
  const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, id))
  return row?.deleted_reason
}
const marksIn = async ({ id }: Pipeline) => {
  const there = await scene.database.db.select().from(builds).where(eq(builds.pipeline_id, id))
  return [...new Set(there.map(({ deleted_reason }) => deleted_reason))]
}
const truth = () => scene.simulation.truth

/** Days pass. Then the service lists the pipelines, and audits begin when builds lists have caught up with that. */
async function passDays(days: number) {
  pass(days * DAY)
  await refreshPipelines(scene.deps, scene.source)
  pass(3 * MINUTE)
}

/** Until nothing is due any more. */
async function auditAll() {
  const reports = []
  for (;;) {
    const turn = await audit()
    if (!turn || turn.length === 0) return reports
    reports.push(...turn)
  }
}

describe('the audit', () => {
  it('leaves windows alone that were verified lately, and reads each again when its time has come', async () => {
    expect(await audit()).toEqual([])
    pass(8 * DAY)
    const reports = await auditAll()
    expect(reports.flatMap(({ findings }) => findings)).toEqual([])
    expect(reports.reduce((sum, report) => sum + report.builds, 0)).toBe(truth().builds.length)
    expect(await audit()).toEqual([])
    const [summary] = await coverage(scene.database.db)
    expect(summary?.oldest_verification?.getTime()).toBeGreaterThan(scene.simulation.clock.now() - MINUTE)
    expect(summary?.drift).toEqual({ last_day: 0, unhealed: 0 })
  })

  it('reads recent windows that are due daily before old ones that are hardly overdue', async () => {
    const { db } = scene.database
    const now = scene.simulation.clock.now()
    const ago = (ms: number) => new Date(now - ms)
    await db.update(windows).set({ verified_at: ago(8 * DAY) })
    await db
      .update(windows)
      .set({ verified_at: ago(30 * HOUR) })
      .where(gt(windows.created_to, ago(7 * DAY)))
    const [oldest] = await db.select().from(windows).orderBy(asc(windows.created_from)).limit(1)
    if (!oldest) throw new Error('There is no window.')
    // By far the most overdue of all; and one of a single pipeline, which no audit reads.
    await db
      .update(windows)
      .set({ verified_at: ago(30 * DAY) })
      .where(eq(windows.id, oldest.id))
    const { id: _, ...other } = oldest
    await db
      .insert(windows)
      .values({ ...other, pipeline_id: truth().builds[0]?.pipeline.id ?? null, verified_at: ago(60 * DAY) })
    await auditAll()
    const read = await db.select().from(cycles).where(eq(cycles.kind, 'audit')).orderBy(asc(cycles.id))
    const isRecent = read.map(({ watermark_to }) => watermark_to !== null && watermark_to > ago(7 * DAY))
    expect(read[0]?.watermark_from).toEqual(oldest.created_from)
    const recent = isRecent.filter(Boolean).length
    expect(recent).toBeGreaterThan(0)
    expect(read.length).toBeGreaterThan(recent + 1)
    expect(isRecent.slice(1, recent + 1)).toEqual(Array.from({ length: recent }, () => true))
    expect(
      read.filter(({ watermark_from }) => watermark_from?.getTime() === oldest.created_from.getTime()),
    ).toHaveLength(1)
  })

  it('corrects silent edits, and records what it found', async () => {
    const [build] = truth().builds
    if (!build) throw new Error('The history is empty.')
    build.meta_data = { edited: 'later' }
    pass(8 * DAY)
    await auditAll()
    expect(await scene.database.db.select().from(drift)).toMatchObject([
      { build_id: build.id, kind: 'different', columns: ['meta_data'], found_by: 'audit', healed_at: expect.any(Date) },
    ])
    expect(await scene.differences()).toEqual([])
    const rows = await scene.database.db.select().from(cycles).where(eq(cycles.kind, 'audit'))
    expect(rows.reduce((sum, row) => sum + row.builds_healed, 0)).toBe(1)
  })

  it('comes in time to what the cycles brought after the backfill', async () => {
    const before = await scene.database.db.select().from(windows).orderBy(asc(windows.created_to))
    for (let day = 0; day < 3; day++) {
      await scene.simulation.play({ builds: 4 })
      pass(DAY)
      await reconcileOnce(scene.deps, scene.source)
    }
    await audit()
    const after = await scene.database.db.select().from(windows).orderBy(asc(windows.created_to))
    expect(after.length).toBeGreaterThan(before.length)
    for (const [index, window] of after.entries()) {
      if (index > 0) expect(window.created_from).toEqual(after[index - 1]?.created_to)
    }
    const newest = truth().builds.at(-1)
    if (!newest) throw new Error('No build was played.')
    newest.message = 'Edited'
    pass(8 * DAY)
    await reconcileOnce(scene.deps, scene.source)
    await auditAll()
    expect(await scene.differences()).toEqual([])
    expect(await backfillOwed(scene.deps, scene.source)).toBeUndefined()
    const [summary] = await coverage(scene.database.db)
    expect(summary?.backfill).toMatchObject({ done: true, progress: 1 })
  })

  it('does not run twice at once', async () => {
    pass(8 * DAY)
    const turns = await Promise.all([audit(), audit()])
    expect(turns.filter((turn) => turn === undefined)).toHaveLength(1)
  })
})

describe('what Buildkite shows no longer', () => {
  it('is marked with its reason: a deleted build, retention, a deleted pipeline, a hidden one; every row stays', async () => {
    const [deletedPipeline, hiddenPipeline, kept] = truth().pipelines
    if (!deletedPipeline || !hiddenPipeline || !kept) throw new Error('Too few pipelines.')
    const held = await scene.database.db.$count(builds)
    const daysAgo = (days: number) => new Date(scene.simulation.clock.now() - days * DAY).toISOString()
    const old = truth().builds.filter(({ created_at }) => created_at < daysAgo(60))
    for (const build of old) truth().deleteBuild(build)
    const [deleted] = truth().builds.filter(({ pipeline, created_at }) => pipeline === kept && created_at > daysAgo(20))
    if (!deleted) throw new Error('The history is too short.')
    truth().deleteBuild(deleted)
    truth().deletePipeline(deletedPipeline)
    truth().hidden.add(hiddenPipeline)
    await refreshPipelines(scene.deps, scene.source)
    // A webhook shows that the hidden one is there, whatever REST says.
    pass(MINUTE)
    const payload = { build: { id: crypto.randomUUID(), state: 'running' }, pipeline: structuredClone(hiddenPipeline) }
    const at = new Date(scene.simulation.clock.now())
    await applyObservations(scene.database.db, observeWebhook('build.running', payload, at, { storeEnv: false }), at)
    await passDays(8)
    scene.api.forget()
    await auditAll()

    expect(await markOf(deleted)).toBe('deleted')
    expect(new Set(await Promise.all(old.filter(({ pipeline }) => pipeline === kept).map(markOf)))).toEqual(
      new Set(['retention']),
    )
    expect(await marksIn(deletedPipeline)).toEqual(['pipeline_not_listed'])
    expect((await marksIn(hiddenPipeline)).filter((reason) => reason !== null)).toEqual(['hidden'])
    expect(await scene.database.db.$count(builds)).toBe(held + 1)
    // Nobody asks for the many one by one.
    expect(scene.api.count('build')).toBe(1)
    const reasons = await scene.database.db.select().from(drift).where(eq(drift.build_id, deleted.id))
    expect(reasons).toMatchObject([{ kind: 'unexpected', buildkite: { reason: 'deleted' } }])
    const marks = await scene.database.db.select().from(pipelines).where(isNotNull(pipelines.deleted_at))
    expect(new Map(marks.map((row) => [row.id, row.deleted_reason]))).toEqual(
      new Map([
        [deletedPipeline.id, 'not_listed'],
        [hiddenPipeline.id, 'hidden'],
      ]),
    )
  })

  it('is unmarked when it comes back', async () => {
    const [pipeline] = truth().pipelines
    if (!pipeline) throw new Error('The simulation has no pipelines.')
    truth().hidden.add(pipeline)
    await passDays(8)
    await auditAll()
    expect(await marksIn(pipeline)).toEqual(['pipeline_not_listed'])
    truth().hidden.delete(pipeline)
    await passDays(8)
    await auditAll()
    expect(await marksIn(pipeline)).toEqual([null])
    expect(await scene.differences()).toEqual([])
  })

  it('stays as it was in an organization that no token sees any more: only the organization is marked', async () => {
    const list = scene.api.tokens
    const look = async () => {
      const access = accessOf(scene)
      await discover(scene.deps, access)
      await access.close()
      const [row] = await scene.database.db.select().from(organizations).where(eq(organizations.id, scene.source.id))
      return row?.deleted_reason
    }
    pass(HOUR)
    scene.api.tokens = list.map((token) => ({ ...token, scopes: ['read_builds'] }))
    expect(await look()).toBeNull()
    scene.api.tokens = list.map((token) => ({ ...token, organizations: ['elsewhere'] }))
    expect(await look()).toBe('no_access')
    expect(await scene.database.db.$count(builds, isNotNull(builds.deleted_at))).toBe(0)
    pass(HOUR)
    scene.api.tokens = list
    expect(await look()).toBeNull()
  })
})
