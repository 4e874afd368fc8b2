import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeBuilds, observeOrganizations } from '../../src/mirror/observe.ts'
import type { Build, Pipeline } from '../../src/simulator/model/shapes.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { type Claim, falseClaims, type Unclaimed } from '../support/claims.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let home: TestDatabase
let database: Database
let sql: postgres.Sql
let simulation: Simulation
let pipeline: Pipeline

beforeAll(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'test' })
  sql = postgres(home.url, { max: 1, onnotice: () => {} })
})
afterAll(async () => {
  await sql.end()
  await database.close()
  await home.drop()
})
beforeEach(async () => {
  await sql`truncate buildkite.organizations, buildkite.pipelines, buildkite.builds, buildkite.jobs`
  simulation = createSimulation({ seed: 9, record: true, pipelines: 1 })
  const [only] = simulation.truth.pipelines
  if (!only) throw new Error('no pipeline')
  pipeline = only
})

/** Mirrors what Buildkite holds now, and lets a minute pass. Returns the time at which it was true. */
async function mirror(builds: readonly Build[] = simulation.truth.builds): Promise<number> {
  const { truth, clock } = simulation
  const time = clock.now()
  const at = new Date(time)
  await applyObservations(database.db, observeOrganizations(truth.organizations, at), at)
  await applyObservations(database.db, observeBuilds(structuredClone(builds), at, { storeEnv: false }), at)
  clock.pass(60_000)
  return time
}

const claim = (what: Claim['what'], at: number): Claim => ({
  what,
  pipeline_id: pipeline.id,
  from: new Date(0),
  to: new Date(simulation.clock.now() + 1),
  at: new Date(at),
})

const falseAt = (at: number, unclaimed?: Unclaimed) =>
  falseClaims(sql, simulation.truth, [claim('builds', at), claim('jobs', at)], unclaimed)

describe('a claim', () => {
  test('is true for data read at its time, even if Buildkite has changed since', async () => {
    for (let i = 0; i < 5; i++) simulation.startBuild()
    simulation.step(10)
    const read = await mirror()
    simulation.startBuild()
    simulation.step(40)
    expect(await falseAt(read)).toEqual([])
    expect(await falseAt(simulation.clock.now())).not.toEqual([])
  })

  test('is true for rows that are newer than its time', async () => {
    simulation.startBuild()
    const before = simulation.clock.now()
    simulation.step(3)
    await mirror()
    expect(await falseAt(before)).toEqual([])
  })

  test('is false when a build is missing, or a job', async () => {
    const [first, second] = [simulation.startBuild(), simulation.startBuild()]
    const read = await mirror([first])
    expect(await falseAt(read)).toEqual([
      expect.stringContaining(`builds ${second.id} is missing`),
      ...second.jobs.map(({ id }) => expect.stringContaining(`jobs ${id} is missing`)),
    ])
  })

  test('is false when a row is older than its time, and says in which columns', async () => {
    const build = simulation.startBuild()
    await mirror()
    simulation.truth.edit(build, { message: 'Edited' })
    const [line, ...more] = await falseAt(simulation.clock.now())
    expect(line).toContain(`builds ${build.id} is no version since: message is`)
    expect(more).toEqual([])
    expect(await falseAt(simulation.clock.now(), { columns: { builds: ['message'] } })).toEqual([])
  })

  test('is false when a row is half of one version and half of another', async () => {
    const build = simulation.startBuild()
    const read = await mirror()
    simulation.truth.edit(build, { message: 'Edited', meta_data: { edited: 'yes' } })
    await sql`update buildkite.builds set message = 'Edited'`
    expect(await falseAt(read)).toEqual([expect.stringContaining('is no version since')])
  })

  test('is true for a row that a webhook has partly updated since', async () => {
    const build = simulation.startBuild()
    const read = await mirror()
    simulation.truth.edit(build, { message: 'Edited', meta_data: { edited: 'yes' } })
    await sql`update buildkite.builds set message = 'Edited'`
    expect(await falseAt(read, { parts: true })).toEqual([])
    await sql`update buildkite.builds set message = 'Never said'`
    expect(await falseAt(read, { parts: true })).toEqual([expect.stringContaining('is no version since: message is')])
  })

  test('is not false because of a build that is listed as an exception, or was deleted meanwhile', async () => {
    const [named, gone] = [simulation.startBuild(), simulation.startBuild()]
    const read = await mirror([])
    expect(await falseAt(read, { builds: (id) => [named.id, gone.id].includes(id) })).toEqual([])
    expect(await falseAt(read, { builds: (id) => id === named.id })).not.toEqual([])
    simulation.truth.deleteBuild(gone)
    expect(await falseAt(read, { builds: (id) => id === named.id })).toEqual([])
  })

  test('is false when a deleted object is not marked as deleted', async () => {
    const build = simulation.startBuild()
    const read = await mirror()
    simulation.truth.deleteBuild(build)
    expect(await falseAt(read)).toEqual([])
    const now = simulation.clock.now()
    expect((await falseAt(now)).length).toBe(1 + build.jobs.length)
    expect(await falseAt(now, { deletions: true })).toEqual([])
    await sql`update buildkite.builds set deleted_at = now()`
    expect(await falseAt(now)).toEqual([])
  })
})
