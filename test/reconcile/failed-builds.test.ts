import { and, eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { recordFailure } from '../../src/database/failures.ts'
import { builds, failures, job_reads, pipelines, unlisted_builds } from '../../src/database/schema.ts'
import { markDeleted } from '../../src/mirror/apply.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene
beforeEach(async () => {
  scene = await openScene({ pipelines: 3 })
  await scene.complete({ builds: 40, days: 10 })
})
afterEach(() => scene.close())

const failed = () => scene.database.db.select().from(failures).where(eq(failures.kind, 'build'))
const isMirrored = async ({ id }: Build) => (await scene.database.db.$count(builds, eq(builds.id, id))) === 1

async function minutes(count: number): Promise<void> {
  for (let minute = 0; minute < count; minute++) {
    scene.simulation.clock.pass(MINUTE)
    await reconcileOnce(scene.deps, scene.source)
  }
}

/** Lists the pipelines, two minutes after what happened before. */
async function confirm(): Promise<void> {
  await minutes(2)
  await refreshPipelines(scene.deps, scene.source)
}

function someBuild(): Build {
  const build = scene.simulation.truth.builds.find(({ state }) => state === 'passed')
  return build ?? expect.fail('No build has passed.')
}

async function fail(subject: string, given: { pipelineSlug?: string; buildNumber?: number; buildId?: string } = {}) {
  const unit = { kind: 'build', organizationId: scene.source.id, subject, ...given } as const
  await recordFailure(scene.database.db, unit, new Error('Test.'), new Date(scene.simulation.clock.now()))
}

/** Records that a build could not be read, and takes it out of the mirror where no id is given. */
async function failToRead(build: Build, buildId?: string): Promise<void> {
  if (buildId === undefined) await scene.database.db.delete(builds).where(eq(builds.id, build.id))
  const { pipeline, number } = build
  const given = { pipelineSlug: pipeline.slug, buildNumber: number, ...(buildId ? { buildId } : {}) }
  await fail(`${pipeline.slug} #${number}`, given)
}

async function exceptionsOf({ pipeline }: Build): Promise<number> {
  const { rows } = await scene.database.db.execute<{ exceptions: string }>(
    sql`select max(exceptions) as exceptions from analytics.data_coverage where pipeline_id = ${pipeline.id}`,
  )
  return Number(rows[0]?.exceptions)
}

/** The claims of the build's pipeline, if any. */
async function claimed({ pipeline }: Build) {
  const { rows } = await scene.database.db.execute(sql`
    select complete_from, complete_to, exceptions from analytics.data_coverage
    where pipeline_id = ${pipeline.id} and complete_from is not null`)
  return rows
}

describe('a build that could not be read', () => {
  it.each([true, false])(
    'is an exception, and is found, when its pipeline is renamed (listed before: %s)',
    async (first) => {
      const build = someBuild()
      await failToRead(build)
      scene.simulation.truth.renamePipeline(build.pipeline, 'Renamed', 'renamed')
      if (first) await refreshPipelines(scene.deps, scene.source)
      expect(await exceptionsOf(build)).toBe(1)
      await minutes(2)
      expect(await isMirrored(build)).toBe(true)
      expect(await failed()).toEqual([])
    },
  )

  it('is no longer recorded when Buildkite does not show it under any slug', async () => {
    const build = someBuild()
    await failToRead(build)
    scene.simulation.truth.deleteBuild(build)
    await minutes(2)
    expect(await exceptionsOf(build)).toBe(1)
    await confirm()
    expect(await exceptionsOf(build)).toBe(0)
    expect(await failed()).toEqual([])
  })

  it('is marked as deleted when the mirror holds it', async () => {
    const build = someBuild()
    await failToRead(build, build.id)
    scene.simulation.truth.deleteBuild(build)
    await minutes(2)
    await confirm()
    expect(await failed()).toEqual([])
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, build.id))
    expect(row?.deleted_reason).toBe('deleted')
  })

  it('stays an exception if its 404 came from a pipeline that was hidden and whose disappearance the list shows late', async () => {
    const build = someBuild()
    scene.simulation.failReads(build, { list: 'always', get: 'forbidden' })
    await failToRead(build, build.id)
    await minutes(2)
    await refreshPipelines(scene.deps, scene.source)
    scene.api.listLagMs = 2 * MINUTE
    scene.simulation.truth.hidden.add(build.pipeline)
    await minutes(1)
    expect(await exceptionsOf(build)).toBeGreaterThan(0)
    await minutes(3)
    await refreshPipelines(scene.deps, scene.source)
    await minutes(3)
    await refreshPipelines(scene.deps, scene.source)
    expect(await claimed(build)).toEqual([])
  })

  it('stays an exception after a 404 if it was open, until a list of pipelines confirms it', async () => {
    const build = scene.simulation.startBuild({ jobs: 2 })
    await minutes(6)
    await refreshPipelines(scene.deps, scene.source)
    const { db } = scene.database
    const at = new Date(scene.simulation.clock.now())
    const absence = { build_id: build.id, organization_id: scene.source.id, last_status: 404 }
    await db.insert(unlisted_builds).values({ ...absence, last_read_at: at, next_read_at: at })
    await db.update(job_reads).set({ read_at: null }).where(eq(job_reads.build_id, build.id))
    await markDeleted(db, 'builds', [build.id], 'deleted', at)
    const { rows } = await db.execute(sql`
      select exceptions::int, jobs_as_of < ${build.created_at}::timestamptz as has_unread_jobs from analytics.data_coverage
      where pipeline_id = ${build.pipeline.id} and is_current`)
    expect(rows).toEqual([{ exceptions: 1, has_unread_jobs: true }])
    await reconcileOnce(scene.deps, scene.source)
    expect(await exceptionsOf(build)).toBe(1)
    scene.simulation.truth.deleteBuild(build)
    await confirm()
    expect(await exceptionsOf(build)).toBe(0)
  })

  it('is looked for again if pipelines were not listed for long before its 404 is confirmed', async () => {
    const build = someBuild()
    await failToRead(build, build.id)
    scene.simulation.truth.hidden.add(build.pipeline)
    scene.api.listLagMs = 2 * MINUTE
    await minutes(1)
    scene.api.listLagMs = 0
    scene.simulation.truth.hidden.delete(build.pipeline)
    scene.simulation.clock.pass(30 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
    await minutes(2)
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, build.id))
    expect(row?.deleted_reason).toBeNull()
    expect(await failed()).toEqual([])
  })

  it('is no longer recorded once it is read, although the record does not hold its id', async () => {
    await failToRead(someBuild())
    await minutes(2)
    expect(await failed()).toEqual([])
    scene.api.forget()
    await minutes(2)
    expect(scene.api.count('build')).toBe(0)
  })

  it('does not wait behind others that cannot be asked for', async () => {
    for (let n = 0; n < 8; n++) await fail(crypto.randomUUID())
    const build = someBuild()
    await failToRead(build)
    await minutes(2)
    expect(await isMirrored(build)).toBe(true)
  })

  it('does not wait behind others that fail again and again', async () => {
    const all = scene.simulation.truth.builds.filter(({ state }) => state === 'passed').slice(0, 12)
    for (const build of all.slice(0, 11)) scene.simulation.failReads(build, { get: 'forbidden' })
    for (const build of all) await failToRead(build)
    await minutes(4)
    expect((await failed()).length).toBe(11)
  })

  it('counts for all pipelines when its own is not known', async () => {
    await fail('strange #1', { pipelineSlug: 'strange', buildNumber: 1 })
    for (const { id } of await scene.database.db.select().from(pipelines)) {
      const { rows } = await scene.database.db.execute(
        sql`select exceptions::int from analytics.data_coverage where pipeline_id = ${id} limit 1`,
      )
      expect(rows).toEqual([{ exceptions: 1 }])
    }
  })
})

describe('the jobs of a build', () => {
  const unread = (build: Build) => scene.database.db.$count(job_reads, eq(job_reads.build_id, build.id))

  it('that cannot be read are tried less and less often, although a list shows the build', async () => {
    const build = scene.simulation.startBuild({ jobs: 2 })
    scene.simulation.failReads(build, { list: 'with_jobs', get: 'forbidden' })
    await minutes(12)
    const [row] = await failed()
    expect(row?.tries).toBeGreaterThan(2)
    scene.simulation.failReads(build)
    await minutes(20)
    expect(await failed()).toEqual([])
  })

  it('are not waited for when the finished build is gone', async () => {
    const build = scene.simulation.startBuild({ jobs: 2 })
    scene.simulation.failReads(build, { list: 'with_jobs', get: 'forbidden' })
    await minutes(4)
    await scene.simulation.play()
    await minutes(4)
    expect(await unread(build)).toBe(1)
    scene.simulation.truth.deleteBuild(build)
    scene.simulation.failReads(build)
    await minutes(12)
    await confirm()
    const gone = and(eq(builds.id, build.id), eq(builds.deleted_reason, 'deleted'))
    expect(await scene.database.db.$count(builds, gone)).toBe(1)
    const { rows } = await scene.database.db.execute(sql`
      select from analytics.data_coverage where pipeline_id = ${build.pipeline.id} and jobs_as_of < as_of`)
    expect(rows).toEqual([])
    expect(await failed()).toEqual([])
  })
})
