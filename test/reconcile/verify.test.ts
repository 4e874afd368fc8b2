import { eq, isNull, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  build_attempts,
  builds,
  deliveries,
  drift,
  failures,
  job_reads,
  jobs,
  watermarks,
} from '../../src/database/schema.ts'
import { markDeleted } from '../../src/mirror/apply.ts'
import { auditSpan } from '../../src/reconcile/audit/audit.ts'
import { closeDrift, type Discrepancy, recordDrift } from '../../src/reconcile/audit/drift.ts'
import { type VerifyOptions, verifySpan } from '../../src/reconcile/audit/verify.ts'
import type { Source } from '../../src/reconcile/context.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 3 })
  await scene.complete({ builds: 100, days: 20 })
})
afterEach(() => scene.close())

function verify(options: Partial<VerifyOptions> = {}, source: Source = scene.source) {
  const to = new Date(scene.simulation.clock.now())
  const span = { from: new Date(to.getTime() - 90 * DAY), to }
  return verifySpan(scene.deps, source, { span, heal: false, priority: 'absent', recheckAfterMs: 1, ...options })
}

const truthBuilds = () => scene.simulation.truth.builds
const run = (query: ReturnType<typeof sql>) => scene.database.db.execute(query)

/** Finished builds that are days old, by position. */
function oldBuild(position: number) {
  const [build] = truthBuilds()
    .filter((one) => one.state === 'passed' && !one.blocked && one.jobs.length > 3)
    .slice(position)
  if (!build) throw new Error('The history is too short.')
  return build
}

const brief = ({ findings }: Awaited<ReturnType<typeof verify>>) =>
  findings.map(({ kind, build_id, job_id, columns }) => [
    kind,
    job_id ?? build_id,
    ...columns.map(({ column }) => column),
  ])

describe('verifying a span', () => {
  it('finds nothing in a mirror that is right, having compared every build and job, and writes nothing', async () => {
    const before = await scene.database.db.$count(builds)
    const report = await verify()
    expect(report.findings).toEqual([])
    expect(report.builds).toBe(truthBuilds().length)
    expect(report.jobs).toBe(truthBuilds().reduce((sum, { jobs: all }) => sum + all.length, 0))
    expect(report.requests).toBeLessThanOrEqual(Math.ceil(truthBuilds().length / 100) + 1)
    expect(await scene.database.db.$count(builds)).toBe(before)
  })

  it('finds exactly what was planted, in whatever table and way, and heals it', async () => {
    const [lost, wrong, marked, unfinished, other, reopened] = [0, 1, 2, 3, 4, 5].map(oldBuild)
    if (!lost || !wrong || !marked || !unfinished || !other || !reopened) throw new Error('Too few builds.')
    const [lostJob, wrongJob] = other.jobs
    if (!lostJob || !wrongJob) throw new Error('Too few jobs.')
    const invented = '0190a1b2-0000-7000-8000-00000000aaaa'
    await run(sql`delete from ${jobs} where build_id = ${lost.id}`)
    await run(sql`delete from ${builds} where id = ${lost.id}`)
    await run(sql`update ${builds} set message = 'forged', finished_at = null where id = ${wrong.id}`)
    await run(sql`update ${builds} set state = 'running' where id = ${reopened.id}`)
    await run(sql`update ${builds} set deleted_at = now(), deleted_reason = 'deleted' where id = ${marked.id}`)
    await run(sql`delete from ${build_attempts} where build_id = ${unfinished.id}`)
    await run(sql`delete from ${jobs} where id = ${lostJob.id}`)
    await run(sql`update ${jobs} set step_key = 'forged', extra = '{"new": 1}' where id = ${wrongJob.id}`)
    await run(sql`insert into ${jobs} select (json_populate_record(j, ${JSON.stringify({ id: invented })}::text::json)).*
      from ${jobs} j where id = ${wrongJob.id}`)
    const planted = [
      ['missing', lost.id],
      ...lost.jobs.map(({ id }) => ['missing', id]),
      ['different', wrong.id, 'message', 'finished_at'],
      ['different', reopened.id, 'state'],
      ['different', marked.id, 'deleted_at'],
      ['different', unfinished.id, 'build_attempts'],
      ['missing', lostJob.id],
      ['different', wrongJob.id, 'step_key', 'extra.new'],
      ['unexpected', invented],
    ]
    const byText = (rows: unknown[][]) => rows.map((row) => row.join(' ')).sort()
    expect(byText(brief(await verify()))).toEqual(byText(planted))
    const healing = await verify({ heal: true })
    expect(byText(brief(healing))).toEqual(byText(planted))
    expect(healing.findings.every(({ healed }) => healed)).toBe(true)
    expect((await verify()).findings).toEqual([])
    const [unexpected] = await scene.database.db.select().from(jobs).where(eq(jobs.id, invented))
    expect(unexpected).toMatchObject({ deleted_reason: 'not_listed' })
  })

  it('looks only at the pipeline asked for', async () => {
    const [one, two] = scene.simulation.truth.pipelines
    await run(sql`update ${builds} set branch = 'forged' where number <= 3`)
    const report = await verify({ pipeline: one?.slug })
    const there = truthBuilds().filter(({ pipeline }) => pipeline === one)
    expect(report.builds).toBe(there.length)
    expect(report.findings).toHaveLength(3)
    expect((await verify({ pipeline: two?.slug })).findings).toHaveLength(3)
  })

  it('of a sample compares about as many builds as asked for, and finds what is wrong among them', async () => {
    await run(sql`update ${builds} set branch = 'forged'`)
    const report = await verify({ sample: 100 })
    expect(report.requests).toBe(1)
    expect(report.builds).toBeGreaterThan(0)
    expect(report.builds).toBeLessThanOrEqual(100)
    expect(report.findings).toHaveLength(report.builds)
  })
})

/** A build that starts a second ago: so that the span, which ends now, holds it. */
function startBuild() {
  const build = scene.simulation.startBuild()
  scene.simulation.clock.pass(SECOND)
  return build
}

/** A pause that passes on the simulated clock, in which `happen` takes place. */
function pauses(happen: () => Promise<unknown> = async () => {}) {
  const lengths: number[] = []
  return {
    lengths,
    wait: async (ms: number) => {
      lengths.push(ms)
      scene.simulation.clock.pass(ms)
      await happen()
    },
  }
}

const cycle = async () => {
  await refreshPipelines(scene.deps, scene.source)
  await reconcileOnce(scene.deps, scene.source)
}

/** A running build to which nothing has happened for an hour; the cycles have read it. */
async function quietBuild() {
  const build = scene.simulation.startBuild({ jobs: 6 })
  for (let i = 0; i < 50 && build.state !== 'running'; i++) scene.simulation.step(1)
  scene.simulation.truth.alive.clear()
  expect(build).toMatchObject({ state: 'running', finished_at: null })
  scene.simulation.clock.pass(HOUR)
  // After an hour without a list of pipelines, cycles count two minutes after the next one.
  await cycle()
  scene.simulation.clock.pass(3 * MINUTE)
  await cycle()
  return build
}

describe('what changed after the time of the claim', () => {
  it('is in flight: it is read again after a pause, all builds together, a few times, and is not a difference', async () => {
    const started = [1, 2, 3].map(() => startBuild())
    const pause = pauses()
    const report = await verify({ wait: pause.wait, recheckAfterMs: 75 * SECOND })
    expect(report.findings).toEqual([])
    expect(report.builds_in_flight).toBe(3)
    expect(report.jobs_in_flight).toBe(started.reduce((sum, { jobs: all }) => sum + all.length, 0))
    expect(report.builds).toBe(truthBuilds().length - 3)
    expect(pause.lengths).toEqual([75 * SECOND, 75 * SECOND, 75 * SECOND])
    expect(scene.api.count('build')).toBe(9)
    expect(await scene.database.db.$count(builds)).toBe(truthBuilds().length - 3)
  })

  it('is compared once the next cycle has written it', async () => {
    for (let i = 0; i < 3; i++) startBuild()
    const pause = pauses(cycle)
    const report = await verify({ wait: pause.wait })
    expect(report).toMatchObject({ findings: [], builds: truthBuilds().length, builds_in_flight: 0, jobs_in_flight: 0 })
    expect(pause.lengths).toHaveLength(1)
  })

  it('is a difference when it is still missing after the cycles have passed it', async () => {
    const lost = startBuild()
    const pause = pauses(async () => {
      await cycle()
      await run(sql`delete from ${builds} where id = ${lost.id}`)
    })
    const { findings, builds_in_flight } = await verify({ wait: pause.wait, recheckAfterMs: 75 * SECOND })
    expect(findings).toMatchObject([{ kind: 'missing', build_id: lost.id, job_id: null }])
    expect(builds_in_flight).toBe(0)
  })

  it('is written when healing, without a pause and without being drift', async () => {
    startBuild()
    const pause = pauses()
    const report = await verify({ heal: true, wait: pause.wait })
    expect(report).toMatchObject({ findings: [], builds: truthBuilds().length, builds_in_flight: 0 })
    expect(pause.lengths).toEqual([])
    await refreshPipelines(scene.deps, scene.source)
    expect(await scene.differences()).toEqual([])
  })

  it('may be undated: meta-data of an open build counts once the claim has passed the first read', async () => {
    const build = await quietBuild()
    build.meta_data = { set: 'by a job' }
    const healthy = await verify({ wait: pauses(cycle).wait })
    expect(healthy).toMatchObject({ findings: [], builds_in_flight: 0 })
    build.meta_data = { set: 'again' }
    expect(await verify({ wait: pauses().wait })).toMatchObject({ findings: [], builds_in_flight: 1 })
    const blind = pauses(async () => {
      await cycle()
      await run(sql`update ${builds} set meta_data = '{}' where id = ${build.id}`)
    })
    expect(brief(await verify({ wait: blind.wait, recheckAfterMs: 75 * SECOND }))).toEqual([
      ['different', build.id, 'meta_data'],
    ])
  })

  it('is claimed separately for jobs: those of an open build that REST has not read since are in flight', async () => {
    const build = await quietBuild()
    const waiter = build.jobs.find(({ type }) => type === 'waiter')
    if (!waiter) throw new Error('The build has no waiter.')
    await run(sql`delete from ${jobs} where id = ${waiter.id}`)
    expect(brief(await verify())).toEqual([['missing', waiter.id]])
    await run(sql`insert into ${job_reads} (build_id, organization_id, is_open, read_at, next_read_at)
      values (${build.id}, ${scene.source.id}, true, ${build.created_at}, now())
      on conflict (build_id) do update set read_at = excluded.read_at`)
    const report = await verify({ wait: pauses().wait })
    expect(report).toMatchObject({ findings: [], builds_in_flight: 0, jobs_in_flight: 1 })
    // The build itself is claimed all the same.
    await run(sql`update ${builds} set started_at = null where id = ${build.id}`)
    expect(brief(await verify({ wait: pauses().wait }))).toEqual([['different', build.id, 'started_at']])
  })

  it('may be announced by a delivery that no worker has applied yet', async () => {
    const build = oldBuild(0)
    await run(sql`update ${builds} set meta_data = '{"a": "b"}' where id = ${build.id}`)
    await run(sql`insert into ${deliveries} (key, event, received_at, observed_at, payload)
      values ('k', 'build.finished', now(), now(), ${JSON.stringify({ build: { id: build.id } })})`)
    const applied = pauses(() =>
      run(sql`update ${builds} set meta_data = ${JSON.stringify(build.meta_data)} where id = ${build.id}`),
    )
    expect(await verify({ wait: applied.wait })).toMatchObject({ findings: [], builds_in_flight: 0 })
    expect(applied.lengths).toHaveLength(1)
  })
})

describe('three planted differences', () => {
  it('in an open build, in an old one and in extra, are found as exactly those three', async () => {
    const [old] = [oldBuild(0)]
    const open = await quietBuild()
    const retried = truthBuilds()
      .flatMap((build) => build.jobs)
      .find((job) => 'retried_by' in job && job.retried_by !== null)
    if (!retried) throw new Error('No job was retried by a person.')
    await run(sql`update ${builds} set message = 'forged' where id = ${open.id}`)
    await run(sql`update ${builds} set finished_at = null where id = ${old.id}`)
    await run(sql`update ${jobs} set extra = '{"retried_by": {"avatar_url": "forged"}}' where id = ${retried.id}`)
    // While others are on their way.
    for (let i = 0; i < 3; i++) startBuild()
    const report = await verify({ wait: pauses(cycle).wait })
    expect(brief(report)).toEqual(
      expect.arrayContaining([
        ['different', open.id, 'message'],
        ['different', old.id, 'finished_at'],
        ['different', retried.id, 'extra.retried_by'],
      ]),
    )
    expect(report.findings).toHaveLength(3)
    expect(report.builds_in_flight).toBe(0)
  })
})

describe('what cannot be read', () => {
  const refuse = (status: number, path: RegExp) => {
    scene.api.beforeAnswer = (request) =>
      path.test(request.path) ? { kind: 'status', status, message: 'No.' } : undefined
  }
  const pathOf = ({ url }: { url: string }) => new RegExp(`${url.split('/v2')[1]}$`)

  it('is not compared but reported as unreadable: a build without an id, and jobs without one', async () => {
    const [nameless, jobless] = [oldBuild(0), oldBuild(1)]
    const { id } = nameless
    Object.assign(nameless, { id: 'no-uuid' })
    Object.assign(jobless.jobs[0] ?? {}, { id: 'no-uuid' })
    const report = await verify()
    expect(report.unreadable).toMatchObject([
      { build_id: null, pipeline: nameless.pipeline.slug, number: nameless.number, code: 'no_id' },
      { build_id: jobless.id, code: 'jobs_unreadable', reason: '1 of its jobs have no usable id.' },
    ])
    // The mirror holds the nameless one, which its own address shows without an id: another build, as far as anybody can tell.
    expect(brief(report)).toEqual([['unexpected', id]])
    expect(report.builds).toBe(truthBuilds().length - 1 + 1)
  })

  it('may be a build that Buildkite refuses to show, for any reason', async () => {
    const hidden = oldBuild(0)
    for (const status of [403, 422]) {
      const started = startBuild()
      refuse(status, pathOf(started))
      const report = await verify({ wait: pauses().wait })
      expect(report.findings).toEqual([])
      expect(report).toMatchObject({ builds: truthBuilds().length - 1, builds_in_flight: 0, jobs_in_flight: 0 })
      expect(report.unreadable).toMatchObject([{ build_id: started.id, number: started.number, status }])
      scene.api.beforeAnswer = undefined
      await cycle()
    }
    // One that the mirror holds and no list shows.
    scene.simulation.truth.deleteBuild(hidden)
    refuse(403, pathOf(hidden))
    const report = await verify({ wait: pauses().wait })
    expect(report.findings).toEqual([])
    expect(report.unreadable).toMatchObject([{ build_id: hidden.id, number: hidden.number, status: 403 }])
  })

  it('may be an unlistable range: its builds are compared individually', async () => {
    const [unlistable, large, refusing] = [oldBuild(0), oldBuild(1), oldBuild(2)]
    const { readFaults: faults } = scene.simulation.truth
    faults.set(unlistable, { list: 'always' })
    faults.set(large, { list: 'with_jobs' })
    faults.set(refusing, { list: 'with_jobs', get: 'forbidden' })
    for (const { id } of [unlistable, large]) await run(sql`update ${builds} set message = 'forged' where id = ${id}`)
    const stretch = { build_id: null, code: 'unavailable', status: 504 }
    const refused = { build_id: refusing.id, number: refusing.number, status: 403 }
    const found = [unlistable, large].map(({ id }) => ['different', id, 'message'])
    const check = async (options: Partial<VerifyOptions>) => {
      const report = await verify(options)
      expect(brief(report)).toHaveLength(2)
      expect(brief(report)).toEqual(expect.arrayContaining(found))
      expect(report.unreadable).toHaveLength(2)
      expect(report.unreadable).toEqual(
        expect.arrayContaining([expect.objectContaining(stretch), expect.objectContaining(refused)]),
      )
      expect(report.builds).toBe(truthBuilds().length)
      expect(report.jobs).toBe(truthBuilds().reduce((sum, one) => sum + one.jobs.length, 0) - refusing.jobs.length)
      const [range] = report.unreadable.filter(({ build_id }) => build_id === null)
      const at = new Date(unlistable.created_at).getTime()
      expect(range?.created_from?.getTime()).toBeLessThanOrEqual(at)
      expect(range?.created_to?.getTime()).toBeGreaterThan(at)
      return report
    }
    await check({})
    const healing = await check({ heal: true })
    expect(healing.findings.every(({ healed }) => healed)).toBe(true)
    const recorded = await scene.database.db.select().from(failures)
    expect(recorded.map(({ kind, build_id }) => [kind, build_id]).sort()).toEqual([
      ['build', refusing.id],
      ['builds_list', null],
    ])
    // Now that it is known, healing does not try to list it.
    await run(sql`update ${builds} set message = 'forged' where id in (${unlistable.id}, ${large.id})`)
    await check({ heal: true })
  })

  it('ends the run if the build is not the cause: a rejected token, or many failures in a row', async () => {
    for (const build of [0, 1, 2, 3, 4, 5].map(oldBuild)) scene.simulation.truth.deleteBuild(build)
    refuse(403, /builds\/\d+$/)
    await expect(verify()).rejects.toThrow('HTTP 403')
    refuse(401, /builds\/\d+$/)
    await expect(verify()).rejects.toThrow('HTTP 401')
  })

  it('does not keep an audit from healing the others', async () => {
    const [nameless, wrong, hidden] = [oldBuild(0), oldBuild(1), oldBuild(2)]
    scene.simulation.truth.deleteBuild(hidden)
    refuse(403, pathOf(hidden))
    Object.assign(nameless.jobs[0] ?? {}, { id: 'no-uuid' })
    wrong.meta_data = { edited: 'later' }
    const to = new Date(scene.simulation.clock.now())
    const report = await auditSpan(scene.deps, scene.source, { from: new Date(to.getTime() - 90 * DAY), to })
    expect(report.unreadable.map(({ build_id, code }) => [build_id, code])).toEqual(
      expect.arrayContaining([
        [nameless.id, 'jobs_unreadable'],
        [hidden.id, 'invalid_permissions'],
      ]),
    )
    expect(await scene.database.db.select().from(drift).where(eq(drift.build_id, wrong.id))).toMatchObject([
      { kind: 'different', columns: ['meta_data'], healed_at: expect.any(Date) },
    ])
  })
})

describe('a mirror that is far off', () => {
  it('never equals Buildkite when it is empty, whatever it claims', async () => {
    const total = truthBuilds().length
    await run(sql`truncate ${builds}, ${jobs}`)
    expect((await verify()).findings.length).toBeGreaterThan(total)
    await run(sql`truncate ${watermarks}`)
    startBuild()
    const report = await verify({ wait: pauses().wait })
    expect(report.findings.filter(({ job_id }) => job_id === null)).toHaveLength(total + 1)
  })

  it('is also compared if a row was changed in the future', async () => {
    const build = oldBuild(0)
    await run(
      sql`update ${builds} set message = 'forged', observed_at = now() + interval '1 day' where id = ${build.id}`,
    )
    expect(brief(await verify({ wait: pauses().wait }))).toEqual([['different', build.id, 'message']])
  })
})

describe('drift', () => {
  it('is recorded once, with both values and the time until which the row was right, and says when it was healed', async () => {
    const build = oldBuild(0)
    const [row] = await scene.database.db.select().from(builds).where(eq(builds.id, build.id))
    await run(sql`update ${builds} set message = 'forged' where id = ${build.id}`)
    const { db } = scene.database
    const first = new Date()
    await recordDrift(db, scene.source.id, 'verify', (await verify()).findings, first)
    await recordDrift(db, scene.source.id, 'verify', (await verify()).findings, new Date(first.getTime() + HOUR))
    const found = await db.select().from(drift)
    expect(found).toMatchObject([
      {
        build_id: build.id,
        job_id: null,
        kind: 'different',
        columns: ['message'],
        mirror: { message: 'forged' },
        buildkite: { message: build.message },
        last_matched_at: row?.verified_at,
        found_at: first,
        healed_at: null,
        pipeline_id: build.pipeline.id,
      },
    ])
    const healedAt = new Date(first.getTime() + 2 * HOUR)
    await recordDrift(db, scene.source.id, 'audit', (await verify({ heal: true })).findings, healedAt)
    expect(await db.select().from(drift)).toMatchObject([{ found_by: 'verify', healed_at: healedAt }])
  })

  it('is closed by a healing run where it stands no longer, and only there', async () => {
    const [righted, turned, gone, elsewhere] = [0, 1, 2, 3].map(oldBuild)
    if (!righted || !turned || !gone || !elsewhere) throw new Error('Too few builds.')
    const { db } = scene.database
    const open = (build_id: string): Discrepancy => {
      return { kind: 'missing', build_id, job_id: null, columns: [], last_matched_at: null, healed: false }
    }
    const all = [righted, turned, gone, elsewhere].map(({ id }) => open(id))
    const found = new Date(scene.simulation.clock.now() - HOUR)
    await recordDrift(db, scene.source.id, 'verify', all, found)
    const openOnes = async () =>
      (await db.select().from(drift).where(isNull(drift.healed_at))).map(({ build_id }) => build_id).sort()
    const sorted = (...some: { id: string }[]) => some.map(({ id }) => id).sort()
    // Still different; then a run that writes nothing.
    await closeDrift(db, scene.source.id, new Set([righted.id]), [open(righted.id)], found)
    await verify()
    expect(await openOnes()).toEqual(sorted(righted, turned, gone, elsewhere))
    // One is another difference now, one is gone, and one lies outside of the span.
    await run(sql`update ${builds} set message = 'forged' where id = ${turned.id}`)
    await markDeleted(db, 'builds', [gone.id], 'deleted', new Date(scene.simulation.clock.now()))
    const others = [righted, turned].map(({ created_at }) => Date.parse(created_at))
    const spans = others.map((at) => ({ from: new Date(at), to: new Date(at + 1) }))
    for (const span of spans) {
      const { findings } = await verify({ heal: true, span })
      await recordDrift(db, scene.source.id, 'verify', findings, new Date(scene.simulation.clock.now()))
    }
    expect(await openOnes()).toEqual([elsewhere.id])
    const ofTurned = await db.select().from(drift).where(eq(drift.build_id, turned.id)).orderBy(drift.id)
    expect(ofTurned.map(({ kind, healed_at }) => [kind, healed_at !== null])).toEqual([
      ['missing', true],
      ['different', true],
    ])
  })
})
