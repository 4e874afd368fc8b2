import { and, eq, inArray, isNotNull, isNull, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builds, failures, jobs } from '../../src/database/schema.ts'
import { markDeleted } from '../../src/mirror/apply.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { followPipelines } from '../../src/reconcile/pipelines/changes.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import type { Pipeline } from '../../src/simulator/model/shapes.ts'
import { differences } from '../support/differences.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 4 })
})
afterEach(() => scene.close())

const db = () => scene.database.db
function pipelineOf(index: number): Pipeline {
  const pipeline = scene.simulation.truth.pipelines[index]
  if (!pipeline) throw new Error('The simulation has too few pipelines.')
  return pipeline
}
async function pass(minutes: number) {
  scene.simulation.clock.pass(minutes * MINUTE)
}
async function listAfter(minutes: number, deps: Partial<Scene['deps']> = {}) {
  await pass(minutes)
  return refreshPipelines({ ...scene.deps, ...deps }, scene.source)
}
async function cycleAfter(minutes: number) {
  await pass(minutes)
  return reconcileOnce(scene.deps, scene.source)
}
/** The builds of a pipeline and how they are marked. */
async function marksOf({ id }: Pipeline) {
  const rows = await db()
    .select({ reason: builds.deleted_reason, count: sql`count(*)`.mapWith(Number) })
    .from(builds)
    .where(eq(builds.pipeline_id, id))
    .groupBy(builds.deleted_reason)
  return Object.fromEntries(rows.map(({ reason, count }) => [String(reason), count]))
}
const buildsOf = (pipeline: Pipeline) => scene.simulation.truth.builds.filter((build) => build.pipeline === pipeline)
/** A new pipeline with that slug. */
function addPipeline(name: string, slug: string): Pipeline {
  const { truth, clock } = scene.simulation
  const pipeline = truth.addPipeline(truth.organizationOf(pipelineOf(0)), clock.now())
  truth.renamePipeline(pipeline, name, slug)
  return pipeline
}
async function live(pipeline: Pipeline, count: number) {
  for (let i = 0; i < count; i++) scene.simulation.startBuild({ pipeline })
  await scene.simulation.play()
}

it('a list that lags behind a rename shows builds of the pipeline that had the slug', async () => {
  const pipeline = pipelineOf(0)
  // The simulation records its past from the first answer on that lags.
  scene.api.listLagMs = 1
  await scene.complete({ builds: 20, days: 5 })
  await listAfter(1)
  await live(pipeline, 3)
  await pass(3)
  scene.simulation.truth.renamePipeline(pipeline, 'Renamed', 'renamed')
  scene.api.listLagMs = 0
  await listAfter(0)
  scene.api.listLagMs = 2 * MINUTE
  await cycleAfter(1)
  expect(await db().$count(builds, isNull(builds.pipeline_id))).toBe(0)
  expect(await db().$count(builds, eq(builds.pipeline_id, pipeline.id))).toBe(buildsOf(pipeline).length)
})

it('builds that were kept without their pipeline are given the one that had their slug', async () => {
  const pipeline = pipelineOf(0)
  await scene.complete({ builds: 20, days: 5 })
  await listAfter(1)
  await db().update(builds).set({ pipeline_id: null })
  scene.simulation.truth.renamePipeline(pipeline, 'Renamed', 'renamed')
  await listAfter(1)
  expect(await db().$count(builds, eq(builds.pipeline_id, pipeline.id))).toBe(buildsOf(pipeline).length)
})

describe('a slug that another pipeline had', () => {
  it('places the builds of a pipeline that was deleted and created again, within two cycles and one list', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    await listAfter(1)
    await cycleAfter(1)
    const old = pipelineOf(0)
    const held = (await marksOf(old)).null
    scene.simulation.truth.deletePipeline(old)
    const young = addPipeline(old.name, old.slug)
    await live(young, 3)
    await cycleAfter(3)
    await listAfter(1)
    await cycleAfter(1)
    const ids = buildsOf(young).map(({ id }) => id)
    const placed = await db().select().from(builds).where(inArray(builds.id, ids))
    expect(placed.map(({ pipeline_id }) => pipeline_id)).toEqual([young.id, young.id, young.id])
    expect(await marksOf(young)).toEqual({ null: 3 })
    expect(await marksOf(old)).toEqual({ pipeline_not_listed: held })
    expect(await differences(scene.url, scene.simulation.truth, { gone: true })).toEqual([])
  })

  it('that cannot be given its builds is recorded, while the list counts and other pipelines go on', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    await listAfter(1)
    await cycleAfter(1)
    const [old, hidden] = [pipelineOf(0), pipelineOf(1)]
    scene.simulation.truth.deletePipeline(old)
    const young = addPipeline(old.name, old.slug)
    await live(young, 3)
    await cycleAfter(3)
    // The cycle may have placed them already, if it listed the pipelines.
    await db().update(builds).set({ pipeline_id: old.id }).where(eq(builds.pipeline_id, young.id))
    await db().execute(sql`create function public.refuse() returns trigger language plpgsql as $$
      begin raise exception 'refused' using errcode = '23514'; end $$`)
    await db().execute(sql`create trigger refuse before update on buildkite.builds for each row
      when (new.pipeline_id = ${sql.raw(`'${young.id}'`)}) execute function public.refuse()`)
    scene.simulation.hide(hidden)
    await listAfter(1)
    expect(await db().select().from(failures)).toMatchObject([
      { kind: 'pipeline_change', subject: `builds created in ${young.slug} (${young.id})`, tries: 1 },
    ])
    expect(await marksOf(hidden)).not.toHaveProperty('null')
    await db().execute(sql`drop trigger refuse on buildkite.builds`)
    await listAfter(5)
    expect(await marksOf(young)).toEqual({ null: 3 })
    expect(await db().$count(failures)).toBe(0)
  })

  it('does not leave builds in the other pipeline when a known pipeline is renamed to it', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    await listAfter(1)
    await cycleAfter(1)
    const { truth } = scene.simulation
    const [one, other] = [pipelineOf(0), pipelineOf(1)]
    const slug = one.slug
    truth.renamePipeline(one, 'Elsewhere', 'elsewhere')
    truth.renamePipeline(other, 'Here', slug)
    await live(other, 3)
    await cycleAfter(3)
    await listAfter(1)
    const { rows } = await db().execute(sql`
      select 1 from analytics.data_coverage where pipeline_id = ${other.id} and complete_from is not null`)
    expect(rows).toEqual([])
    for (let round = 0; round < 3; round++) {
      await cycleAfter(1)
      await backfillOwed(scene.deps, scene.source)
    }
    await listAfter(1)
    expect(await scene.differences()).toEqual([])
  })
})

describe('a rename', () => {
  it('gives the builds and jobs of the pipeline their addresses under the new slug, in batches', async () => {
    scene.simulation.writeHistory({ builds: 700, days: 20, jobs: 1, pipelines: [pipelineOf(1)] })
    await scene.complete({ builds: 20, days: 10, jobs: 2 })
    const renamed = pipelineOf(1)
    const { slug } = renamed
    scene.simulation.truth.renamePipeline(renamed, 'Another', 'another')
    addPipeline('The next', slug)
    let passed = 0
    // Each look at the clock takes three seconds, so that each run ends after a batch.
    const clock = () => {
      passed += 3_000
      return scene.simulation.clock.now() + passed
    }
    const written = async () =>
      db().$count(builds, and(eq(builds.pipeline_id, renamed.id), sql`url like '%/another/%'`))
    await listAfter(1, { clock })
    expect(await written()).toBe(500)
    await listAfter(1, { clock })
    expect(await written()).toBe(buildsOf(renamed).length)
    expect(await scene.differences()).toEqual([])
  })

  it('is left after some seconds by a list, continued by a longer run, and stopped by a shutdown', async () => {
    await scene.complete({ builds: 120, days: 10, jobs: 1 })
    const renamed = pipelineOf(1)
    const batchSizes = new Map([[`builds of another (${renamed.id})`, 3]])
    let passed = 0
    const clock = () => {
      passed += 6_000
      return scene.simulation.clock.now() + passed
    }
    const written = async () =>
      db().$count(builds, and(eq(builds.pipeline_id, renamed.id), sql`url like '%/another/%'`))
    scene.simulation.truth.renamePipeline(renamed, 'Another', 'another')
    await listAfter(1, { clock, batchSizes })
    expect(await written()).toBe(3)
    const deps = { ...scene.deps, clock, batchSizes }
    await expect(followPipelines(deps, scene.source, AbortSignal.abort(new Error('stopping')), MINUTE)).rejects.toThrow(
      'stopping',
    )
    expect(await written()).toBe(3)
    expect(await db().$count(failures)).toBe(0)
    await followPipelines(deps, scene.source, undefined, 1_000 * MINUTE)
    expect(await written()).toBe(buildsOf(renamed).length)
  })

  it('is repeated once lists no longer lag behind it', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    const renamed = pipelineOf(0)
    const [stale] = await db().select().from(builds).where(eq(builds.pipeline_id, renamed.id)).limit(1)
    scene.simulation.truth.renamePipeline(renamed, 'Another', 'another')
    await listAfter(1)
    expect(await scene.differences()).toEqual([])
    await db()
      .update(builds)
      .set({ url: stale?.url ?? null })
      .where(eq(builds.id, stale?.id ?? ''))
    await listAfter(3)
    expect(await scene.differences()).toEqual([])
  })
})

describe('a pipeline with many jobs', () => {
  /** Counts how many jobs each update changes. */
  async function countUpdates() {
    await db().execute(sql`create table public.updates (jobs integer)`)
    await db().execute(sql`create function public.count_updates() returns trigger language plpgsql as $$
      begin insert into public.updates select count(*) from changed; return null; end $$`)
    await db().execute(sql`create trigger count_updates after update on buildkite.jobs referencing new table as changed
      for each statement execute function public.count_updates()`)
  }
  async function counted() {
    const { rows } = await db().execute<{ jobs: number }>(sql`select jobs from public.updates order by jobs desc`)
    return rows.map((row) => row.jobs)
  }
  async function addJobs(pipeline: Pipeline, count: number) {
    await db().execute(sql`
      insert into buildkite.jobs select (jsonb_populate_record(job, jsonb_build_object('id', gen_random_uuid()))).*
      from buildkite.jobs as job join buildkite.builds as build on build.id = job.build_id, generate_series(1, ${count})
      where build.pipeline_id = ${pipeline.id}`)
  }

  it('is renamed in batches that end after about 5,000 jobs', async () => {
    scene.simulation.writeHistory({ builds: 40, days: 20, jobs: 1, pipelines: [pipelineOf(1)] })
    await scene.complete({ builds: 20, days: 10, jobs: 2 })
    const renamed = pipelineOf(1)
    const { slug } = renamed
    await addJobs(renamed, 200)
    scene.simulation.truth.renamePipeline(renamed, 'Another', 'another')
    await countUpdates()
    await listAfter(1)
    const sizes = await counted()
    expect(sizes.length).toBeGreaterThan(2)
    expect(sizes[0]).toBeLessThan(8_000)
    expect(sizes.reduce((sum, size) => sum + size)).toBeGreaterThan(8_000)
    expect(await db().$count(jobs, sql`web_url like ${`%/${slug}/%`}`)).toBe(0)
  })

  it('does not touch its jobs when it is hidden, nor builds that are as they should be', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    await listAfter(1)
    const [hidden, kept] = [pipelineOf(0), pipelineOf(1)]
    scene.simulation.truth.renamePipeline(kept, 'Another', 'another')
    await listAfter(1)
    scene.simulation.hide(hidden)
    const locked = await lockedBy(async () => {
      await listAfter(5)
    })
    expect(locked).toBe(0)
    expect(await marksOf(hidden)).not.toHaveProperty('null')
  })

  /** How many rows of jobs were locked meanwhile; Postgres writes the last locker into xmax. */
  async function lockedBy(work: () => Promise<void>) {
    const state = async () =>
      (
        await db().execute<{ id: string; mark: string }>(
          sql`select id, xmax::text || ' ' || ctid::text as mark from buildkite.jobs order by id`,
        )
      ).rows
    const before = new Map((await state()).map(({ id, mark }) => [id, mark]))
    await work()
    return (await state()).filter(({ id, mark }) => before.get(id) !== mark).length
  }

  it('goes on with the size of batch that succeeded', async () => {
    scene.simulation.writeHistory({ builds: 700, days: 20, jobs: 1, pipelines: [pipelineOf(1)] })
    await scene.complete({ builds: 20, days: 10, jobs: 2 })
    const renamed = pipelineOf(1)
    // A statement that updates more than 100 builds fails, as a slow one would by its time limit.
    await db().execute(sql`create function public.refuse() returns trigger language plpgsql as $$
      begin if (select count(*) from changed) > 100 then
        perform nextval('public.refused'); raise exception 'slow' using errcode = '57014';
      end if; return null; end $$`)
    await db().execute(sql`create sequence public.refused minvalue 0`)
    await db().execute(sql`create trigger refuse after update on buildkite.builds referencing new table as changed
      for each statement execute function public.refuse()`)
    scene.simulation.truth.renamePipeline(renamed, 'Another', 'another')
    const deps = { batchSizes: new Map<string, number>() }
    await listAfter(1, deps)
    const kind = eq(failures.kind, 'pipeline_change')
    expect(await db().$count(failures, kind)).toBe(1)
    await listAfter(5, deps)
    expect(await db().$count(failures, kind)).toBe(0)
    expect(await scene.differences()).toEqual([])
    const { rows } = await db().execute(sql`select last_value::int as refused from public.refused`)
    expect(rows).toEqual([{ refused: 0 }])
  })
})

describe('a pipeline that is no longer listed', () => {
  it('has its builds marked with the next list, and unmarked when it is listed again', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    const hidden = pipelineOf(0)
    const [first] = buildsOf(hidden)
    const { null: held = 0 } = await marksOf(hidden)
    await markDeleted(db(), 'builds', [first?.id ?? ''], 'retention', new Date(scene.simulation.clock.now()))
    scene.simulation.hide(hidden)
    await listAfter(5)
    expect(await marksOf(hidden)).toEqual({ pipeline_not_listed: held - 1, retention: 1 })
    expect(await db().$count(builds, isNotNull(builds.deleted_at))).toBe(held)
    scene.simulation.show(hidden)
    await listAfter(5)
    expect(await marksOf(hidden)).toEqual({ null: held - 1, retention: 1 })
  })

  it('keeps builds unmarked that webhooks showed since', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    const hidden = pipelineOf(0)
    const { null: held = 0 } = await marksOf(hidden)
    const later = new Date(scene.simulation.clock.now() + 9 * MINUTE)
    await db()
      .update(builds)
      .set({ observed_at: later })
      .where(eq(builds.id, buildsOf(hidden)[0]?.id ?? ''))
    scene.simulation.hide(hidden)
    await listAfter(5)
    expect(await marksOf(hidden)).toEqual({ null: 1, pipeline_not_listed: held - 1 })
  })

  it('is not one that PIPELINES_EXCLUDE excludes', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    const excluded = pipelineOf(0)
    const before = await marksOf(excluded)
    const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [excluded.slug] })
    await listAfter(5, { filter })
    expect(await marksOf(excluded)).toEqual(before)
  })

  it('whose builds cannot be marked is recorded, and holds up no other', async () => {
    await scene.complete({ builds: 60, days: 10, jobs: 2 })
    const [one, other] = [pipelineOf(0), pipelineOf(1)]
    const { null: held } = await marksOf(other)
    await db().execute(sql`create function public.refuse() returns trigger language plpgsql as $$
      begin raise exception 'refused' using errcode = '23514'; end $$`)
    await db().execute(sql`create trigger refuse before update on buildkite.builds for each row
      when (old.pipeline_id = ${sql.raw(`'${one.id}'`)}) execute function public.refuse()`)
    scene.simulation.hide(one)
    scene.simulation.hide(other)
    await listAfter(5)
    expect(await marksOf(other)).toEqual({ pipeline_not_listed: held })
    const kind = eq(failures.kind, 'pipeline_change')
    expect(await db().select().from(failures).where(kind)).toMatchObject([
      { subject: `builds of ${one.slug} (${one.id})`, tries: 1 },
    ])
    await db().execute(sql`drop trigger refuse on buildkite.builds`)
    await listAfter(5)
    expect(await marksOf(one)).not.toHaveProperty('null')
    expect(await db().$count(failures, kind)).toBe(0)
  })
})
