import { sql } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { coverage } from '../../src/coverage/coverage.ts'
import { builds } from '../../src/database/schema.ts'
import { runAudit } from '../../src/reconcile/audit/audit.ts'
import { backfillOwed, backfillSpan } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { retryFailed } from '../../src/simulator/lifecycle/interventions.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

afterEach(() => scene.close())

interface Claim extends Record<string, unknown> {
  pipeline: string
  complete_from: Date | null
  complete_to: Date | null
  as_of: Date | null
}

/** What is claimed of a pipeline up to now; undefined where nothing is. */
async function claimOf(slug: string): Promise<Claim | undefined> {
  const { rows } = await scene.database.db.execute<Claim>(sql`
    select pipeline, complete_from::timestamptz, complete_to, as_of from analytics.data_coverage
    where pipeline = ${slug} and is_current`)
  const [row] = rows
  const time = (value: unknown) => (value === null ? null : new Date(String(value)))
  return (
    row && {
      ...row,
      complete_from: time(row.complete_from),
      complete_to: time(row.complete_to),
      as_of: time(row.as_of),
    }
  )
}

function pipelineOf(index: number) {
  const pipeline = scene.simulation.truth.pipelines[index]
  if (!pipeline) throw new Error('The simulation has too few pipelines.')
  return pipeline
}

/** How many builds of a pipeline Buildkite has, and how many the mirror. */
async function counts(index: number): Promise<{ buildkite: number; mirror: number }> {
  const { id } = pipelineOf(index)
  const mirror = await scene.database.db.$count(builds, sql`pipeline_id = ${id}`)
  return { buildkite: scene.simulation.truth.builds.filter(({ pipeline }) => pipeline.id === id).length, mirror }
}

/** What the tasks of the service do within a few minutes. */
async function fewMinutes(deps = scene.deps): Promise<void> {
  for (const work of [refreshPipelines, reconcileOnce, backfillOwed, reconcileOnce]) {
    await work(deps, scene.source)
    scene.simulation.clock.pass(MINUTE)
  }
  await refreshPipelines(deps, scene.source)
}

async function cyclesFor(minutes: number): Promise<void> {
  for (let i = 0; i < minutes; i++) {
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, scene.source)
  }
}

/** A cycle in which the list of open builds is current and that of finished ones lags by a minute. */
async function cycleOfUnequalLags(): Promise<void> {
  const { client } = scene.source
  const unequal: typeof client = Object.assign(Object.create(client), {
    async *builds(...given: Parameters<typeof client.builds>) {
      scene.api.listLagMs = given[1].finished_from ? MINUTE : 0
      yield* client.builds(...given)
      scene.api.listLagMs = 0
    },
  })
  await reconcileOnce(scene.deps, { ...scene.source, client: unequal })
}

async function stateOf(id: string): Promise<string | null | undefined> {
  const [row] = await scene.database.db.select({ state: builds.state }).from(builds).where(sql`id = ${id}`)
  return row?.state
}

const history = { builds: 120, days: 60, jobs: 2 }
const wholeHistory = () => scene.simulation.clock.now() - 85 * DAY

async function expectWhole(index: number): Promise<void> {
  const { buildkite, mirror } = await counts(index)
  expect(mirror).toBe(buildkite)
  const claim = await claimOf(pipelineOf(index).slug)
  expect(claim?.complete_from?.getTime()).toBeLessThan(wholeHistory())
}

it('the history of an organization is claimed two minutes after it is read', async () => {
  scene = await openScene({ pipelines: 2 })
  await scene.complete(history)
  scene.simulation.clock.pass(2 * MINUTE)
  await backfillOwed(scene.deps, scene.source)
  const [said] = await coverage(scene.database.db, new Date(scene.simulation.clock.now()))
  expect(said?.claim).toMatchObject({ pipelines: 2, pipelines_complete: 2 })
  expect(said?.backfill).toMatchObject({ progress: 1, done: true })
})

describe('the history of a pipeline that becomes visible', () => {
  it('is not claimed with jobs that were never read, although its builds were known before', async () => {
    scene = await openScene({ pipelines: 2 })
    await scene.complete(history)
    const { truth } = scene.simulation
    const build = scene.simulation.startBuild({ jobs: 3 })
    scene.simulation.failReads(build, { list: 'with_jobs', get: 'forbidden' })
    await cyclesFor(2)
    await scene.simulation.play()
    await cyclesFor(2)
    truth.hidden.add(build.pipeline)
    await fewMinutes()
    await reconcileOnce(scene.deps, scene.source, 'warm')
    scene.simulation.clock.pass(10 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    truth.hidden.delete(build.pipeline)
    await fewMinutes()
    await fewMinutes()
    const { rows } = await scene.database.db.execute<{ is_before: boolean }>(sql`
      select jobs_as_of < ${build.created_at}::timestamptz as is_before from analytics.data_coverage
      where pipeline_id = ${build.pipeline.id} and is_current`)
    expect(rows).toEqual([{ is_before: true }])
  })

  it('is read through its own list, and not claimed before', async () => {
    scene = await openScene({ pipelines: 4 })
    const hidden = pipelineOf(0)
    scene.simulation.truth.hidden.add(hidden)
    await scene.complete(history)
    await fewMinutes()
    expect(await counts(0)).toMatchObject({ mirror: 0 })
    expect(await claimOf(hidden.slug)).toBeUndefined()
    scene.simulation.truth.hidden.delete(hidden)
    await refreshPipelines(scene.deps, scene.source)
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, scene.source)
    const early = await claimOf(hidden.slug)
    expect(early?.complete_from?.getTime() ?? Number.POSITIVE_INFINITY).toBeGreaterThan(wholeHistory())
    const [said] = await coverage(scene.database.db, new Date(scene.simulation.clock.now()))
    expect(said?.claim).toMatchObject({ pipelines: 4, pipelines_complete: 3 })
    await fewMinutes()
    await expectWhole(0)
    expect(await scene.differences()).toEqual([])
    scene.api.forget()
    expect(await backfillOwed(scene.deps, scene.source)).toBeUndefined()
    expect(scene.api.count('builds')).toBe(0)
  })

  it('is read by a manual backfill if none is scheduled', async () => {
    scene = await openScene({ pipelines: 3 })
    const hidden = pipelineOf(0)
    scene.simulation.truth.hidden.add(hidden)
    await scene.complete(history)
    await fewMinutes()
    scene.simulation.truth.hidden.delete(hidden)
    const deps = { ...scene.deps, backfillDays: 0 }
    await fewMinutes(deps)
    expect((await counts(0)).mirror).toBe(0)
    const now = scene.simulation.clock.now()
    const read = await backfillSpan(deps, scene.source, new Date(now - 90 * DAY), new Date(now))
    expect(read?.done).toBe(true)
    scene.simulation.clock.pass(2 * MINUTE)
    await fewMinutes(deps)
    await expectWhole(0)
  })

  it('is claimed after a backfill that a person asks for and that takes long, without a service that lists the pipelines', async () => {
    scene = await openScene({ pipelines: 2 })
    await scene.complete({ builds: 400, days: 60, jobs: 1 })
    await refreshPipelines(scene.deps, scene.source)
    await scene.database.db.execute(sql`delete from sync.windows`)
    const now = scene.simulation.clock.now()
    let pages = 0
    const takeTime = () => {
      pages += 1
      if (pages <= 3) scene.simulation.clock.pass(6 * MINUTE)
    }
    const read = await backfillSpan(scene.deps, scene.source, new Date(now - 90 * DAY), new Date(now), takeTime)
    expect(pages).toBeGreaterThan(3)
    expect(read?.done).toBe(true)
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    await expectWhole(0)
  })

  it.each([1, 30])('is read by a backfill of some days in these days alone, also of %i pipelines', async (count) => {
    scene = await openScene({ pipelines: count + 2 })
    const later = scene.simulation.truth.pipelines.slice(0, count)
    for (const one of later) scene.simulation.truth.hidden.add(one)
    await scene.complete(history)
    await fewMinutes()
    for (const one of later) scene.simulation.truth.hidden.delete(one)
    const deps = { ...scene.deps, backfillDays: 0 }
    await fewMinutes(deps)
    const now = scene.simulation.clock.now()
    const [from, to] = [new Date(now - 50 * DAY), new Date(now - 20 * DAY)]
    scene.api.forget()
    expect(await backfillSpan(deps, scene.source, from, to)).toMatchObject({ done: true })
    const asked = scene.api.requests.filter(({ kind }) => kind === 'builds' || kind === 'pipeline-builds')
    expect(asked.length).toBeGreaterThan(0)
    for (const { query } of asked) {
      expect(Date.parse(query.get('created_from') ?? '')).toBeGreaterThanOrEqual(from.getTime())
      expect(Date.parse(query.get('created_to') ?? '')).toBeLessThanOrEqual(to.getTime())
    }
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(deps, scene.source)
    const { rows } = await scene.database.db.execute(sql`
      select pipeline_id from sync.pipeline_coverage as listed where not exists (
        select from analytics.data_coverage as claim where claim.pipeline_id = listed.pipeline_id
          and complete_from <= ${from} and complete_to >= ${to})`)
    expect(rows).toEqual([])
  })

  it('is read again from where it was lost, when access was lost for hours and came back', async () => {
    scene = await openScene({ pipelines: 3 })
    await scene.complete(history)
    await fewMinutes()
    const lost = pipelineOf(1)
    const before = await claimOf(lost.slug)
    scene.simulation.truth.hidden.add(lost)
    await fewMinutes()
    const [frozen] = (
      await scene.database.db.execute<{ as_of: string; is_listed: boolean }>(sql`
        select as_of, is_listed from analytics.data_coverage where pipeline = ${lost.slug}`)
    ).rows
    expect(frozen?.is_listed).toBe(false)
    expect(new Date(frozen?.as_of ?? '').getTime()).toBeGreaterThanOrEqual(before?.as_of?.getTime() ?? Number.NaN)
    for (let i = 0; i < 12; i++) scene.simulation.startBuild()
    await scene.simulation.play()
    scene.simulation.clock.pass(6 * HOUR)
    await fewMinutes()
    scene.simulation.truth.hidden.delete(lost)
    await fewMinutes()
    await expectWhole(1)
    expect(await scene.differences()).toEqual([])
  })

  it('is read when the pipeline is renamed into scope', async () => {
    scene = await openScene({ pipelines: 3 })
    const outside = pipelineOf(2)
    const deps = {
      ...scene.deps,
      filter: mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [outside.slug] }),
    }
    Object.assign(scene.deps, deps)
    await scene.complete(history)
    await fewMinutes()
    expect(await counts(2)).toMatchObject({ mirror: 0 })
    scene.simulation.truth.renamePipeline(outside, 'Inside', 'inside')
    await fewMinutes()
    await expectWhole(2)
  })

  it('is read when another token sees the pipeline, before that token moves the watermark', async () => {
    scene = await openScene({ pipelines: 3 })
    const hidden = pipelineOf(0)
    scene.simulation.truth.hidden.add(hidden)
    await scene.complete(history)
    await fewMinutes()
    scene.simulation.truth.hidden.delete(hidden)
    const client = Object.create(scene.source.client, { fingerprint: { value: 'another user' } })
    const other = { ...scene.source, client }
    scene.api.forget()
    await reconcileOnce(scene.deps, other)
    expect(scene.api.count('pipelines')).toBe(1)
    scene.simulation.clock.pass(3 * MINUTE)
    await backfillOwed(scene.deps, other)
    await reconcileOnce(scene.deps, other)
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(scene.deps, other)
    await expectWhole(0)
  })

  it('is read through the list of the organization if many pipelines appear at once', async () => {
    scene = await openScene({ pipelines: 60 })
    const crowd = scene.simulation.truth.pipelines.slice(0, 50)
    for (const one of crowd) scene.simulation.truth.hidden.add(one)
    await scene.complete({ builds: 300, days: 60, jobs: 1 })
    await fewMinutes()
    for (const one of crowd) scene.simulation.truth.hidden.delete(one)
    await refreshPipelines(scene.deps, scene.source)
    scene.simulation.clock.pass(3 * MINUTE)
    scene.api.forget()
    await backfillOwed(scene.deps, scene.source)
    expect(scene.api.count('builds')).toBeGreaterThan(0)
    expect(scene.api.count('builds')).toBeLessThan(50)
    await fewMinutes()
    for (const index of [0, 10, 49]) await expectWhole(index)
    expect(await scene.differences()).toEqual([])
  })
})

describe('what is claimed', () => {
  it('is never later than the last list of pipelines', async () => {
    scene = await openScene({ pipelines: 2 })
    await scene.complete(history)
    await fewMinutes()
    const before = (await claimOf(pipelineOf(0).slug))?.as_of
    for (let i = 0; i < 5; i++) {
      scene.simulation.clock.pass(MINUTE)
      await reconcileOnce(scene.deps, scene.source)
    }
    const listedAt = (await claimOf(pipelineOf(0).slug))?.as_of
    await refreshPipelines(scene.deps, scene.source)
    const after = (await claimOf(pipelineOf(0).slug))?.as_of
    expect(listedAt?.getTime()).toBeGreaterThanOrEqual(before?.getTime() ?? Number.NaN)
    expect(after?.getTime()).toBeGreaterThan(listedAt?.getTime() ?? Number.NaN)
  })

  it('does not count cycles of a token that could no longer see a pipeline, once another token lists it', async () => {
    scene = await openScene({ pipelines: 2 })
    await scene.complete(history)
    await fewMinutes()
    const listedAt = scene.simulation.clock.now()
    scene.simulation.truth.hidden.add(pipelineOf(0))
    await cyclesFor(6)
    scene.simulation.truth.hidden.delete(pipelineOf(0))
    const client = Object.create(scene.source.client, { fingerprint: { value: 'another user' } })
    const other = { ...scene.source, client }
    await refreshPipelines(scene.deps, other)
    // No cycle of the other token ends before its second list.
    scene.simulation.clock.pass(5 * MINUTE)
    await refreshPipelines(scene.deps, other)
    expect((await claimOf(pipelineOf(0).slug))?.as_of?.getTime()).toBeLessThanOrEqual(listedAt)
  })

  it('does not include a build that a cycle missed, because its list of finished builds lagged more than that of open ones', async () => {
    scene = await openScene({ pipelines: 1 })
    await scene.complete(history)
    await fewMinutes()
    const { truth, clock } = scene.simulation
    const build = truth.builds.find(({ state, blocked }) => state === 'failed' && !blocked) ?? expect.fail()
    truth.record()
    clock.pass(MINUTE)
    truth.begin(clock.now())
    retryFailed(truth, build, clock.now(), calmMix)
    clock.pass(3 * MINUTE)
    truth.edit(build, { state: 'canceled', finished_at: new Date(clock.now()).toISOString() })
    const canceledAt = clock.now()
    clock.pass(30 * SECOND)
    await cycleOfUnequalLags()
    expect(await stateOf(build.id)).toBe('failed')
    clock.pass(2.5 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    expect((await claimOf(pipelineOf(0).slug))?.as_of?.getTime()).toBeLessThan(canceledAt - 3 * MINUTE)
    await cyclesFor(3)
    clock.pass(2 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    expect(await stateOf(build.id)).toBe('canceled')
    expect((await claimOf(pipelineOf(0).slug))?.as_of?.getTime()).toBeGreaterThan(canceledAt)
  })

  it('does not grow by cycles between lists of pipelines that lie far apart, for a pipeline may have been hidden', async () => {
    scene = await openScene({ pipelines: 2 })
    await scene.complete(history)
    await fewMinutes()
    const listedAt = scene.simulation.clock.now()
    const claimedAt = async () => (await claimOf(pipelineOf(0).slug))?.as_of?.getTime() ?? Number.NaN
    const before = await claimedAt()
    scene.simulation.truth.hidden.add(pipelineOf(0))
    await cyclesFor(20)
    scene.simulation.truth.hidden.delete(pipelineOf(0))
    await refreshPipelines(scene.deps, scene.source)
    expect(await claimedAt()).toBe(before)
    // Builds lists may lag behind the list of pipelines.
    await cyclesFor(1)
    scene.simulation.clock.pass(4 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    expect(await claimedAt()).toBeLessThanOrEqual(listedAt)
    await cyclesFor(5)
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    expect(await claimedAt()).toBeGreaterThan(scene.simulation.clock.now() - 10 * MINUTE)
    expect(await scene.differences()).toEqual([])
  })

  it('grows also where a list of pipelines takes longer than the time within which it confirms, and backfill goes on', async () => {
    scene = await openScene({ pipelines: 205 })
    await scene.complete({ builds: 60, days: 60, jobs: 1 })
    scene.api.beforeAnswer = ({ kind }) => {
      if (kind === 'pipelines') scene.simulation.clock.pass(MINUTE)
      return undefined
    }
    for (let round = 0; round < 3; round++) {
      await refreshPipelines(scene.deps, scene.source)
      const windows = await scene.database.db.$count(sql`sync.windows`)
      expect(windows).toBeGreaterThan(0)
      await cyclesFor(4)
    }
    await refreshPipelines(scene.deps, scene.source)
    const { as_of, complete_from } = (await claimOf(pipelineOf(0).slug)) ?? {}
    expect(complete_from?.getTime()).toBeLessThan(wholeHistory())
    expect(as_of?.getTime()).toBeGreaterThan(scene.simulation.clock.now() - HOUR)
  })

  it('does not grow by a cycle that was under way when the pipelines were listed after a long time', async () => {
    scene = await openScene({ pipelines: 2 })
    await scene.complete(history)
    await fewMinutes()
    const listedAt = scene.simulation.clock.now()
    scene.simulation.truth.hidden.add(pipelineOf(0))
    scene.simulation.clock.pass(20 * MINUTE)
    let isListed = false
    const builds: Scene['source']['client']['builds'] = async function* (...asked) {
      yield* scene.source.client.builds(...asked)
      if (isListed) return
      isListed = true
      scene.simulation.truth.hidden.delete(pipelineOf(0))
      await refreshPipelines(scene.deps, scene.source)
      scene.simulation.clock.pass(3 * MINUTE)
    }
    const client = Object.assign(Object.create(scene.source.client), { builds })
    await reconcileOnce(scene.deps, { ...scene.source, client })
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    expect((await claimOf(pipelineOf(0).slug))?.as_of?.getTime()).toBeLessThanOrEqual(listedAt)
  })

  it('does not count what an audit read while the pipeline was hidden', async () => {
    scene = await openScene({ pipelines: 3 })
    const hidden = pipelineOf(0)
    scene.simulation.truth.hidden.add(hidden)
    await scene.complete(history)
    await fewMinutes()
    scene.simulation.truth.hidden.delete(hidden)
    await refreshPipelines(scene.deps, scene.source)
    scene.simulation.truth.hidden.add(hidden)
    scene.simulation.clock.pass(8 * DAY)
    await runAudit(scene.deps, scene.source)
    await reconcileOnce(scene.deps, scene.source)
    const complete = (await claimOf(hidden.slug))?.complete_from?.getTime() ?? Number.POSITIVE_INFINITY
    expect(complete).toBeGreaterThan(wholeHistory())
    await refreshPipelines(scene.deps, scene.source)
    expect(await claimOf(hidden.slug)).toBeUndefined()
  })
})
