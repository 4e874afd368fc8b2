import { eq, isNull, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { build_attempts, builds, drift, jobs } from '../../src/database/schema.ts'
import { markDeleted } from '../../src/mirror/apply.ts'
import { reconcileOnce } from '../../src/reconcile/cycle.ts'
import type { Source } from '../../src/reconcile/deps.ts'
import { closeDrift, type Finding, recordDrift } from '../../src/reconcile/drift.ts'
import { type VerifyOptions, verifySpan } from '../../src/reconcile/verify.ts'
import { DAY, HOUR, SECOND } from '../../src/time.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 3 })
  await scene.complete({ builds: 250, days: 20 })
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
    const [lost, wrong, marked, unfinished, other] = [0, 1, 2, 3, 4].map(oldBuild)
    if (!lost || !wrong || !marked || !unfinished || !other) throw new Error('Too few builds.')
    const [lostJob, wrongJob] = other.jobs
    if (!lostJob || !wrongJob) throw new Error('Too few jobs.')
    const invented = '0190a1b2-0000-7000-8000-00000000aaaa'
    await run(sql`delete from ${jobs} where build_id = ${lost.id}`)
    await run(sql`delete from ${builds} where id = ${lost.id}`)
    await run(sql`update ${builds} set message = 'forged', finished_at = null where id = ${wrong.id}`)
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
      ['different', marked.id, 'deleted_at'],
      ['different', unfinished.id, 'build_attempts'],
      ['missing', lostJob.id],
      ['different', wrongJob.id, 'step_key'],
      ['surplus', invented],
    ]
    const byText = (rows: unknown[][]) => rows.map((row) => row.join(' ')).sort()
    expect(byText(brief(await verify()))).toEqual(byText(planted))
    const healing = await verify({ heal: true })
    expect(byText(brief(healing))).toEqual(byText(planted))
    expect(healing.findings.every(({ healed }) => healed)).toBe(true)
    expect((await verify()).findings).toEqual([])
    const [surplus] = await scene.database.db.select().from(jobs).where(eq(jobs.id, invented))
    expect(surplus).toMatchObject({ deleted_reason: 'not_listed' })
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

  it('takes a build under way for different only if it still is at a second look', async () => {
    scene.simulation.startBuild()
    scene.simulation.clock.pass(SECOND)
    const { client } = scene.source
    const late = await verify()
    expect(brief(late)).toContainEqual(['missing', truthBuilds().at(-1)?.id])
    expect(scene.api.count('build')).toBe(1)
    // Now the webhook comes between the looks: here, a cycle brings what it would have brought.
    const build: typeof client.build = async (...asked) => {
      await reconcileOnce(scene.deps, { ...scene.source, client })
      return client.build(...asked)
    }
    const source = { ...scene.source, client: { ...client, build } }
    expect((await verify({}, source)).findings).toEqual([])
    expect(scene.api.count('build')).toBe(2)
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
        right_until: row?.verified_at,
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
    const open = (build_id: string): Finding => {
      return { kind: 'missing', build_id, job_id: null, columns: [], right_until: null, healed: false }
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
