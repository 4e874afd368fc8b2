import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import {
  agents,
  build_attempts,
  builds,
  jobs,
  organizations,
  pipeline_slugs,
  pipelines,
} from '../../src/database/schema.ts'
import { applyObservations, markDeleted } from '../../src/mirror/apply.ts'
import { combine } from '../../src/mirror/observation.ts'
import {
  observeAgents,
  observeBuilds,
  observeOrganizations,
  observePipelines,
  observeWebhook,
} from '../../src/mirror/observe.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { at, base, buildPayload, ids, jobPayload, organizationPayload, pipelinePayload } from './payloads.ts'

const options = { storeEnv: false }
let test: TestDatabase
let database: Database

beforeAll(async () => {
  test = await createTestDatabase()
  database = openDatabase(test.url, { name: 'test' })
})

afterAll(async () => {
  await database.close()
  await test.drop()
})

beforeEach(async () => {
  await database.db.execute(
    sql`truncate ${organizations}, ${pipelines}, ${builds}, ${jobs}, ${agents}, ${build_attempts}, ${pipeline_slugs}`,
  )
})

const apply = (observed: ReturnType<typeof observeWebhook>) => applyObservations(database.db, observed, at(1_000))

function jobWebhook(seconds: number, job: object = {}, build: object = {}) {
  const payload = {
    event: 'job.started',
    job: jobPayload(job),
    build: buildPayload(build),
    pipeline: pipelinePayload(),
  }
  return observeWebhook('job.started', payload, at(seconds), options)
}

/** JSON text, because the source of an object cannot have a key `__proto__`. */
const strange =
  '{"env": "1", "__proto__": "2", "constructor": "3", "prototype": {"__proto__": null}, "hasOwnProperty": "4"}'

describe('applying observations', () => {
  it.each(['webhook', 'rest'])('keeps keys that are named like properties of objects, by %s', async (via) => {
    const known = JSON.stringify(buildPayload()).slice(0, -1)
    const build: unknown = JSON.parse(`${known}, "meta_data": ${strange}, "env": ${strange}, "__proto__": ${strange}}`)
    const withEnv = { storeEnv: true }
    await apply(
      via === 'rest'
        ? observeBuilds([build], at(10), withEnv)
        : observeWebhook('build.running', { build, pipeline: pipelinePayload() }, at(10), withEnv),
    )
    const { rows } = await database.db.execute<{ meta_data: string; env: string; extra: string }>(
      sql`select meta_data::text, env::text, (extra -> '__proto__')::text as extra from ${builds}`,
    )
    for (const text of Object.values(rows[0] ?? {})) {
      expect(Object.entries(JSON.parse(text)).sort()).toEqual(Object.entries(JSON.parse(strange)).sort())
    }
    expect(Object.keys(rows[0] ?? {})).toHaveLength(3)
    expect(Object.getOwnPropertyNames(Object.prototype)).not.toContain('env')
    const again =
      via === 'rest'
        ? observeBuilds([build], at(20), withEnv)
        : observeWebhook('build.running', { build }, at(20), withEnv)
    expect((await apply(again)).builds.updated).toBe(0)
  })

  it('has in extra exactly what a whole object of REST has, and no less after its embedded forms', async () => {
    const extraOf = async (table: typeof builds | typeof pipelines | typeof agents) =>
      (await database.db.select({ extra: table.extra }).from(table))[0]?.extra
    await apply(observePipelines([pipelinePayload({ old: 1, kept: { a: 1 } })], at(10), options))
    const agent = { id: ids.agent, name: 'agent-1', url: `${base}/agents/${ids.agent}` }
    await apply(observeAgents([{ ...agent, old: 1 }], at(10), options))
    const embedded = buildPayload({ old: 1, pipeline: pipelinePayload({ kept: { b: 2 } }), jobs: [jobPayload()] })
    await apply(observeBuilds([embedded], at(20), options))
    expect(await extraOf(pipelines)).toEqual({ old: 1, kept: { a: 1, b: 2 } })
    expect(await extraOf(agents)).toEqual({ old: 1 })
    await apply(observePipelines([pipelinePayload({ kept: { a: 1 } })], at(30), options))
    await apply(observeAgents([{ ...agent, old: null }], at(30), options))
    await apply(observeBuilds([buildPayload({ new: {} })], at(30), options))
    expect(await extraOf(pipelines)).toEqual({ kept: { a: 1 } })
    expect(await extraOf(agents)).toEqual({ old: null })
    expect(await extraOf(builds)).toEqual({ new: {} })
  })

  it('makes a row of each object in a webhook, keyed by its id', async () => {
    const report = await apply(jobWebhook(10))
    expect(report.builds).toEqual({ seen: 1, inserted: 1, updated: 0, verified: 0, unchanged: 0 })
    const [build] = await database.db.select().from(builds)
    expect(build).toMatchObject({
      id: ids.build,
      pipeline_id: ids.pipeline,
      number: 7,
      creator_name: 'Ada',
      created_at: new Date('2026-05-01T10:00:00.100Z'),
      first_seen_via: 'webhook',
      verified_at: null,
      observed_at: at(10),
    })
    expect(await database.db.select().from(jobs)).toMatchObject([
      { id: ids.job, build_id: ids.build, agent_id: ids.agent },
    ])
    expect(await database.db.select().from(agents)).toMatchObject([{ id: ids.agent, name: 'agent-1' }])
    expect(await database.db.select().from(pipelines)).toMatchObject([{ id: ids.pipeline, slug: 'app' }])
  })

  it('changes nothing when the same is applied again', async () => {
    await apply(jobWebhook(10))
    const report = await apply(jobWebhook(10))
    expect(report).toMatchObject({
      builds: { unchanged: 1 },
      jobs: { unchanged: 1 },
      agents: { unchanged: 1 },
      pipelines: { unchanged: 1 },
    })
  })

  it('distinguishes rows that REST only verified from rows that it changed', async () => {
    await apply(jobWebhook(10))
    const shown = [buildPayload({ jobs: [jobPayload()], pipeline: pipelinePayload() })]
    const report = await applyObservations(database.db, observeBuilds(shown, at(20), options), at(1_000))
    expect(report).toMatchObject({ builds: { updated: 0, verified: 1 }, jobs: { updated: 0, verified: 1 } })
    const changed = [buildPayload({ message: 'Edited', jobs: [jobPayload({ name: 'other' })] })]
    const second = await applyObservations(database.db, observeBuilds(changed, at(30), options), at(1_000))
    expect(second).toMatchObject({ builds: { updated: 1, verified: 0 }, jobs: { updated: 1, verified: 0 } })
    expect(second.results.builds).toMatchObject({ completed: 1, confirmed: 0 })
  })

  it('places by slug what came without ids, and what came before its organization and pipeline once these are known', async () => {
    await apply(observeBuilds([buildPayload()], at(10), options))
    expect(await database.db.select().from(builds)).toMatchObject([{ organization_id: null, pipeline_id: null }])
    await apply(observeOrganizations([organizationPayload()], at(11)))
    await apply(observePipelines([pipelinePayload()], at(12), options))
    expect(await database.db.select().from(builds)).toMatchObject([
      { organization_id: ids.organization, pipeline_id: ids.pipeline },
    ])
  })

  it('keeps one row for a renamed pipeline, and the history of its slugs', async () => {
    await apply(observeOrganizations([organizationPayload()], at(1)))
    await apply(observePipelines([pipelinePayload()], at(2), options))
    await apply(observePipelines([pipelinePayload({ slug: 'web', url: `${base}/pipelines/web` })], at(50), options))
    expect(await database.db.select().from(pipelines)).toMatchObject([{ id: ids.pipeline, slug: 'web' }])
    const slugs = await database.db.select().from(pipeline_slugs).orderBy(pipeline_slugs.first_seen_at)
    expect(slugs.map(({ slug }) => slug)).toEqual(['app', 'web'])
    const late = buildPayload({ url: `${base}/pipelines/web/builds/7` })
    await apply(observeBuilds([late], at(60), options))
    expect(await database.db.select().from(builds)).toMatchObject([{ pipeline_id: ids.pipeline }])
  })

  it('refines an attempt that ended at a whole second, and makes no second one of it', async () => {
    const attempts = () => database.db.select().from(build_attempts)
    const finish = (finished_at: string, seconds: number, via: 'webhook' | 'rest') => {
      const build = buildPayload({ state: 'failed', finished_at })
      return apply(
        via === 'rest'
          ? observeBuilds([build], at(seconds), options)
          : observeWebhook('build.finished', { build, pipeline: pipelinePayload() }, at(seconds), options),
      )
    }
    await finish('2026-05-01 10:01:00 UTC', 60, 'webhook')
    expect(await attempts()).toMatchObject([{ finished_at: at(60), first_seen_via: 'webhook' }])
    await finish('2026-05-01T10:01:00.437Z', 70, 'rest')
    const refined = [{ finished_at: at(60.437), state: 'failed', first_seen_via: 'webhook' }]
    expect(await attempts()).toMatchObject(refined)
    await finish('2026-05-01 10:01:00 UTC', 71, 'webhook')
    await finish('2026-05-01T10:01:00.437Z', 72, 'rest')
    expect(await attempts()).toMatchObject(refined)
    // As an earlier version left them.
    await database.db.insert(build_attempts).values((await attempts()).map((one) => ({ ...one, finished_at: at(60) })))
    await finish('2026-05-01T10:01:00.437Z', 80, 'rest')
    expect(await attempts()).toMatchObject(refined)
    // Both in one batch.
    const batch = (text: string) =>
      observeBuilds([buildPayload({ state: 'failed', finished_at: text })], at(200), options)
    await apply(combine([batch('2026-05-01 10:03:00 UTC'), batch('2026-05-01T10:03:00.900Z')]))
    expect((await attempts()).map(({ finished_at }) => finished_at)).toEqual([at(60.437), at(180.9)])
  })

  it('keeps each finish of a build as an attempt, whatever the order of arrival', async () => {
    const failed = { state: 'failed', finished_at: '2026-05-01T10:01:00.000Z' }
    const passed = { state: 'passed', started_at: '2026-05-01T10:02:00.000Z', finished_at: '2026-05-01T10:03:00.000Z' }
    await apply(observeBuilds([buildPayload(passed)], at(190), options))
    await apply(jobWebhook(61, {}, failed))
    await apply(jobWebhook(61, {}, failed))
    const attempts = await database.db.select().from(build_attempts).orderBy(build_attempts.finished_at)
    expect(attempts.map(({ state }) => state)).toEqual(['failed', 'passed'])
    expect(await database.db.select().from(builds)).toMatchObject([{ state: 'passed' }])
  })

  it('counts a pause at a block step as a finish, and a running build with an old finish not', async () => {
    const blocked = { state: 'passed', blocked: true, finished_at: '2026-05-01T10:01:00.000Z' }
    const running = { state: 'running', blocked: false, finished_at: '2026-05-01T10:02:30.000Z' }
    await apply(combine([jobWebhook(61, {}, blocked), jobWebhook(120, {}, running)]))
    expect(await database.db.select().from(build_attempts)).toMatchObject([{ state: 'passed', blocked: true }])
  })

  it('loses nothing when many transactions write the same rows at once', async () => {
    const writers = Array.from({ length: 8 }, (_, writer) =>
      combine(
        Array.from({ length: 40 }, (_, n) => {
          const number = (n * (writer + 1)) % 41
          const id = `0190a1b2-0000-7000-8000-${String(number).padStart(12, '0')}`
          return observeBuilds(
            [buildPayload({ id, number, tag: `t${writer}`, jobs: [jobPayload()] })],
            at(10 + writer),
            options,
          )
        }),
      ),
    )
    await Promise.all(writers.map((observed) => apply(observed)))
    const rows = await database.db.select().from(builds)
    const last = rows.filter(
      ({ number }) => number !== null && writers[7]?.builds.some(({ fields }) => fields.number === number),
    )
    expect(last.length).toBeGreaterThan(0)
    expect(last.every(({ tag }) => tag === 't7')).toBe(true)
  })

  it('locks what it adopts in the order of the ids, as every merge does, so that they cannot deadlock', async () => {
    const [low, high] = ['0190a1b2-0000-7000-8000-00000000000a', '0190a1b2-0000-7000-8000-00000000000b']
    for (const id of [high, low]) await apply(observePipelines([pipelinePayload({ id })], at(10), options))
    const lock = (id: string) => sql`select 1 from ${pipelines} where id = ${id} for update nowait`
    const waiting = sql`select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()`
    const adoption = await database.db.transaction(async (tx) => {
      await tx.execute(lock(low))
      const adopting = apply(observeOrganizations([organizationPayload()], at(11)))
      await until(async () => (await database.db.execute(waiting)).rows.length, 'the adoption waits for the lower row')
      await tx.execute(lock(high))
      return { adopting }
    })
    await adoption.adopting
    const adopted = await database.db.select().from(pipelines)
    expect(adopted.map(({ organization_id }) => organization_id)).toEqual([ids.organization, ids.organization])
  })

  it('stores payloads with hostile values, keeping what fits no column', async () => {
    const hostile = {
      url: `${base}/pipelines/app%00/builds/7`,
      number: 2 ** 60,
      message: 'a\0b\ud800',
      branch: 'b'.repeat(100_000),
      created_at: 'whenever',
      meta_data: { 'k\0': '\0' },
      unheard_of: [1, { deep: '\u0000' }],
      state: 'pondering',
    }
    await apply(observeBuilds([buildPayload(hostile)], at(10), options))
    const [build] = await database.db.select().from(builds)
    expect(build).toMatchObject({
      message: 'ab\ufffd',
      state: 'pondering',
      branch: null,
      created_at: null,
      meta_data: { k: '' },
    })
    expect(build?.extra).toMatchObject({ created_at: 'whenever', unheard_of: [1, { deep: '' }] })
  })

  it('marks what is gone with the reason and keeps the row', async () => {
    await apply(observeBuilds([buildPayload()], at(10), options))
    await markDeleted(database.db, 'builds', [ids.build], 'deleted', at(100))
    expect(await database.db.select().from(builds)).toMatchObject([{ deleted_at: at(100), deleted_reason: 'deleted' }])
    await apply(observeBuilds([buildPayload()], at(200), options))
    expect(await database.db.select().from(builds)).toMatchObject([{ deleted_at: null, deleted_reason: null }])
  })
})
