import { eq, sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { builds, failures } from '../../src/database/schema.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene
beforeEach(async () => {
  scene = await openScene({ pipelines: 3 })
  await scene.complete({ builds: 20, days: 10 })
  await scene.simulation.play({ builds: 60, jobs: 2 })
  scene.simulation.clock.pass(MINUTE)
})
afterEach(() => scene.close())

const cycle = () => reconcileOnce(scene.deps, scene.source)
const failed = () => scene.database.db.select().from(failures).where(eq(failures.kind, 'build'))
const count = () => scene.database.db.$count(builds)
const inTruth = () => scene.simulation.truth.builds.length

/** Inserting builds takes too long (57014) where `condition` holds for the new rows. */
async function slowIf(condition: string): Promise<void> {
  await scene.database.db.execute(
    sql.raw(`
      create or replace function public.slow() returns trigger language plpgsql as $$
      begin
        if (select ${condition} from added) then raise 'too slow' using errcode = '57014'; end if;
        return null;
      end $$;
      create or replace trigger slow after insert on buildkite.builds referencing new table as added
        for each statement execute function public.slow()`),
  )
}

describe('a page of builds that takes Postgres too long', () => {
  it('is merged in parts that do not', async () => {
    await slowIf('count(*) > 10')
    const report = await cycle()
    expect(await count()).toBe(inTruth())
    expect(report?.watermark_to.getTime()).toBeGreaterThan(report?.watermark_from?.getTime() ?? 0)
    expect(await failed()).toEqual([])
    expect(await scene.differences()).toEqual([])
  })

  it.each(['newest', 'oldest'] as const)(
    'because of several adjacent builds, the %s of it, lacks only these, which are recorded and retried',
    async (which) => {
      const known = new Set((await scene.database.db.select({ id: builds.id }).from(builds)).map(({ id }) => id))
      const fresh = scene.simulation.truth.builds.filter(({ id }) => !known.has(id))
      const sorted = fresh.sort((a, b) => a.created_at.localeCompare(b.created_at))
      const bad = (which === 'newest' ? sorted.slice(-6) : sorted.slice(0, 6)).map(({ id }) => id)
      await slowIf(`bool_or(id in (${bad.map((id) => `'${id}'`).join()}))`)
      const report = await cycle()
      expect(await count()).toBe(inTruth() - bad.length)
      expect((await failed()).map((row) => row.build_id).sort()).toEqual(bad.sort())
      expect(report?.watermark_to.getTime()).toBeGreaterThan(report?.watermark_from?.getTime() ?? 0)
      await slowIf('false')
      for (let hour = 0; hour < 2; hour += 1) {
        scene.simulation.clock.pass(HOUR)
        await cycle()
      }
      expect(await count()).toBe(inTruth())
      expect(await failed()).toEqual([])
    },
  )

  it('because Postgres is slow in general is read again, and no build is recorded', async () => {
    await slowIf('true')
    await expect(cycle()).rejects.toMatchObject({ code: '57014' })
    expect(await failed()).toEqual([])
    await slowIf('false')
    await cycle()
    expect(await scene.differences()).toEqual([])
  })
})
