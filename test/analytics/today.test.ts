import { afterAll, beforeAll, expect, test } from 'vitest'
import { type RollupKeeper, startRollups } from '../../src/analytics/rollups.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { createLog } from '../../src/runtime/log.ts'
import { MINUTE, SECOND } from '../../src/runtime/time.ts'
import { untilProgress } from '../support/until.ts'
import { id, insertRows } from './history.ts'
import { type HistoryStage, openHistory } from './stage.ts'

let stage: HistoryStage
let database: Database
let rollups: RollupKeeper
beforeAll(async () => {
  stage = await openHistory()
  database = openDatabase(stage.url, { name: 'today test' })
  rollups = startRollups(database.db, createLog('error'))
})
afterAll(async () => {
  await rollups.stop(10 * SECOND)
  await database.close()
  await stage.close()
})

/** How many finished builds of the pipeline and the present day are in the mirror, and how many in the rollups. */
const counts = async () => {
  const [row] = await stage.sql<{ mirrored: number; counted: number; stale: number }[]>`
    select (select count(*) from buildkite.builds where pipeline_id = ${id('p', 3)} and finished_at >= date_trunc('day', now(), 'UTC'))::int as mirrored,
      (select coalesce(sum(finished), 0) from analytics.build_results_daily
        where pipeline_id = ${id('p', 3)} and day = (now() at time zone 'UTC')::date)::int as counted,
      (select count(*) from sync.stale_days)::int as stale`
  return row ?? { mirrored: 0, counted: -1, stale: 0 }
}

test("today's figures are at most a minute old, also while history is rebuilt", async () => {
  for (const number of [901, 902]) {
    await stage.sql`select sync.invalidate_all_days()`
    const finished_at = new Date()
    const ids = { id: id('b', number), organization_id: id('o', 1), pipeline_id: id('p', 3), number }
    const seen = { observed_at: finished_at, first_seen_at: finished_at, first_seen_via: 'webhook' }
    const build = { ...ids, state: 'passed', branch: 'trunk', created_at: finished_at, finished_at }
    await insertRows(stage.sql, 'buildkite.builds', [{ ...build, ...seen, changed_at: finished_at }])
    const progress = async () => {
      const { mirrored, counted, stale } = await counts()
      return mirrored === counted ? 'counted' : `${mirrored} ${counted} ${stale}`
    }
    await untilProgress(progress, 'counted', 'the build is in the rollups', MINUTE)
    expect(Date.now() - finished_at.getTime()).toBeLessThan(MINUTE)
  }
}, 120_000)
