import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { builds, deliveries, job_reads, jobs } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { planJobReads } from '../../src/reconcile/builds/job-reads.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene

afterEach(() => scene.close())

async function open(): Promise<void> {
  scene = await openScene({ pipelines: 2, mix: calmMix })
  const access = accessOf(scene)
  await discover(scene.deps, access)
  await access.close()
  await refreshPipelines(scene.deps, scene.source)
  await reconcileOnce(scene.deps, scene.source)
}

/** A cycle a minute later, and what it asked for. */
async function cycle(): Promise<{ requests: number; bytes: number }> {
  scene.simulation.clock.pass(MINUTE)
  scene.api.forget()
  await reconcileOnce(scene.deps, scene.source)
  return { requests: scene.api.requests.length, bytes: scene.api.requests.reduce((sum, { bytes }) => sum + bytes, 0) }
}

const MEGABYTE = 1_000_000

describe('a cycle', () => {
  it('without changes downloads no jobs of large open builds', async () => {
    await open()
    for (let i = 0; i < 6; i++) scene.simulation.startBuild({ jobs: 3_000 })
    // Their jobs are read when the builds are new.
    for (let i = 0; i < 4; i++) await cycle()
    expect(await scene.database.db.$count(jobs)).toBe(scene.simulation.truth.builds.flatMap((one) => one.jobs).length)
    for (let i = 0; i < 5; i++) {
      const { requests, bytes } = await cycle()
      expect(requests).toBeLessThanOrEqual(6)
      expect(bytes).toBeLessThan(MEGABYTE)
    }
  }, 120_000)

  it('reads the jobs of small open builds with their list, and those of builds that finish with theirs', async () => {
    await open()
    for (let i = 0; i < 20; i++) scene.simulation.startBuild({ jobs: 5 })
    for (let i = 0; i < 5; i++) expect((await cycle()).requests).toBeLessThanOrEqual(6)
    await scene.simulation.play()
    await cycle()
    await cycle()
    expect(await scene.differences()).toEqual([])
    expect(await scene.database.db.$count(job_reads, eq(job_reads.is_open, false))).toBe(0)
  })

  it('relies on webhooks only for an organization that sends some', async () => {
    await open()
    for (let i = 0; i < 3; i++) scene.simulation.startBuild({ jobs: 5 })
    await cycle()
    const { db } = scene.database
    const at = new Date(scene.simulation.clock.now())
    const plan = () => planJobReads(db, scene.source, at, false)
    // A webhook arrived, but it may be another organization's.
    await db
      .insert(deliveries)
      .values({ key: 'ping', event: 'ping', received_at: at, observed_at: at, status: 'ignored' })
    expect(await plan()).toMatchObject({ unaccounted: true })
    await db.update(builds).set({ first_seen_via: 'webhook' })
    expect(await plan()).toMatchObject({ unaccounted: false })
  })

  it('keeps up, with REST only, with 95 builds of 50 jobs that finish every minute', async () => {
    await open()
    await cycle()
    for (let minute = 0; minute < 4; minute++) {
      for (let i = 0; i < 95; i++) scene.simulation.startBuild({ jobs: 50 })
      await scene.simulation.play()
      const { requests } = await cycle()
      // Half of a user's 50 requests a minute.
      expect(requests).toBeLessThanOrEqual(25)
    }
    await cycle()
    expect(await scene.differences()).toEqual([])
  }, 180_000)
})
