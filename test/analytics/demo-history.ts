import { sql } from 'drizzle-orm'
import { refreshRollups } from '../../src/analytics/rollups.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { syncReferenceData } from '../../src/reconcile/reference-data/sync.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { virtualClock } from '../../src/simulator/random.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'

/** The simulated Buildkite's last two weeks of March 2026, mirrored over its REST API, the same to the last id each time. */
export async function openDemoHistory(): Promise<Scene> {
  const scene = await openScene({
    seed: 24,
    pipelines: 4,
    mix: { rebuild: 0.3 },
    clock: virtualClock(Date.parse('2026-03-31T12:00:00Z')),
  })
  await scene.complete({ builds: 150, days: 14, jobs: 7 })
  // A list of pipelines confirms what was read in the minutes before.
  const confirm = async () => {
    scene.simulation.clock.pass(3 * MINUTE)
    await refreshPipelines(scene.deps, scene.source)
  }
  await confirm()
  // Lived, not written: only so do people rebuild.
  await scene.simulation.play({ builds: 60 })
  await confirm()
  scene.simulation.clock.pass(3 * MINUTE)
  await reconcileOnce(scene.deps, scene.source)
  await confirm()
  await syncReferenceData(scene.deps, scene.source)
  const { db } = scene.database
  await db.execute(sql`insert into settings.deployment_rules (pipeline, branch, step) values ('*', '*', 'deploy')`)
  await db.execute(
    sql`insert into settings.queue_rates (queue, per_minute) values ('default', 0.008), ('deploy', 0.016)`,
  )
  // As if webhooks were enabled from the beginning, and all lost: REST reported everything first.
  await db.execute(sql`insert into sync.deliveries (key, event, received_at, observed_at, status, applied_at)
    values ('ping', 'ping', '2026-03-01T00:00:00Z', '2026-03-01T00:00:00Z', 'applied', '2026-03-01T00:00:01Z')`)
  await db.execute(sql`insert into sync.drift (organization_id, build_id, kind, columns, mirror, buildkite, found_at, found_by, healed_at)
    select organization_id, id, 'different', '{message}', '{}', '{}', '2026-03-30T00:00:00Z', 'audit', '2026-03-30T00:00:01Z'
    from buildkite.builds order by id limit 1`)
  await refreshRollups(db)
  return scene
}
