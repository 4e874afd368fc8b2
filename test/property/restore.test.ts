import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, inject, it } from 'vitest'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeOrganizations } from '../../src/mirror/observe.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createTestDatabase } from '../support/database.ts'
import { makeFolder } from '../support/folder.ts'
import { findPgDump } from '../support/pg-dump.ts'
import { ClaimChecker } from './soundness-claims.ts'
import { openHome } from './soundness-database.ts'
import { Service, type Task } from './soundness-service.ts'
import { World } from './soundness-world.ts'

// The commands of docs/operations/backup.md, "Backup and restore", beside a Buildkite that lives on.

const tools = await findPgDump(inject('postgresUrl'))

it.skipIf(!tools).each([3, 4])(
  'after a restore of an older dump every claim is true, and what the dump lacks is read (history %i)',
  async (seed) => {
    if (!tools) throw new Error('There is no pg_dump.')
    const folder = await makeFolder('bkm-restore-')
    const [original, restored] = [await createTestDatabase(), await createTestDatabase({ empty: true })]
    const world = new World(seed, { pipelines: 4, builds: 60, days: 20, variety: true })
    await world.startApi()
    const before = await openMirror(world, original.url)
    await before.observeOrganizations()
    await before.run('pipelines', 'hot', 'backfill', 'pipelines', 'backfill', 'hot', 'pipelines')
    expect(await before.claims()).toBeGreaterThan(0)
    const file = join(folder, 'mirror.dump')
    const dumping = tools.dump(original.url, file, '--format=custom', '--no-owner', '--exclude-schema=bullmq')
    await before.run('hot', 'hot')
    await dumping
    for (let i = 0; i < 4; i++) {
      world.changePipelines()
      await before.run('hot', 'hot', 'pipelines', 'backfill')
    }
    await before.close()

    await tools.restore(restored.url, file, '--no-owner', '--exit-on-error')
    const after = await openMirror(world, restored.url)
    await after.expireLeases()
    expect(await after.claims()).toBeGreaterThan(0)
    expect(await after.differences()).not.toEqual([])
    await after.run('hot', 'pipelines', 'hot', 'backfill', 'hot')
    await after.settle()
    expect(await after.differences()).toEqual([])
    expect(await after.claimedShare()).toBeGreaterThan(0.99)
    await after.close()
    await world.simulation.stop()
    await original.drop()
    await restored.drop()
    await rm(folder, { recursive: true })
  },
)

/** A mirror of the world in one database, whose claims are checked after each task. */
async function openMirror(world: World, url: string) {
  const home = await openHome(url)
  const service = new Service(world, home, { backfillDays: 15, token: demoToken })
  const checker = new ClaimChecker(world, home.sql, false)
  /** Checks all claims and returns how many there are. */
  const claims = async () => {
    const checked = await checker.check()
    expect(checked.falsehoods).toEqual([])
    return checked.claims
  }
  const perform = async (task: Task) => {
    expect(await service.run(task)).not.toHaveProperty('refused')
    await claims()
  }
  return {
    claims,
    differences: () => checker.differences(service.isMirrored, false),
    claimedShare: () => checker.claimedShare(),
    async observeOrganizations() {
      const now = new Date(world.now())
      await applyObservations(home.database.db, observeOrganizations(world.truth.organizations, now), now)
    },
    /** The dump may hold the lease of a cycle that was under way; it expires within minutes, by the clock of the database. */
    expireLeases: () => home.sql`delete from sync.leases`,
    /** Builds come and go on while the tasks are done one after the other. */
    async run(...tasks: readonly Task[]) {
      for (const task of tasks) {
        world.live(2 * MINUTE)
        await perform(task)
      }
    },
    /** All builds end, and the service goes on for ten minutes. */
    async settle() {
      while (world.simulation.step(50) > 0);
      for (let minute = 0; minute <= 10; minute++) {
        if (minute % 5 === 0) await perform('pipelines')
        await perform('hot')
        await perform('backfill')
        world.pass(MINUTE)
      }
    },
    async close() {
      await service.close()
      await home.close()
    },
  }
}
