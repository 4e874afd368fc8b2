import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { refreshRollups } from '../../../src/analytics/rollups.ts'
import { reconcileOnce } from '../../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../../src/reconcile/pipelines/pipelines.ts'
import { syncReferenceData } from '../../../src/reconcile/reference-data/sync.ts'
import { HOUR, MINUTE } from '../../../src/runtime/time.ts'
import type { Scene } from '../../reconcile/scene.ts'
import { openDemoHistory } from '../demo-history.ts'
import { notSteampipe, steampipe } from './steampipe.ts'
import { notVllm, vllm } from './vllm.ts'

// Other tools publish queries over Buildkite's data. Their questions have answers in the schema analytics alone.

const asked = [
  ...steampipe.map((question) => ({ source: 'Steampipe', ...question })),
  ...vllm.map((question) => ({ source: 'vLLM', ...question })),
]

let scene: Scene
let sql: postgres.Sql
beforeAll(async () => {
  scene = await openDemoHistory()
  await liveOn(scene)
  sql = postgres(scene.url, {
    max: 1,
    onnotice: () => {},
    connection: { TimeZone: 'UTC' },
    types: {
      number: { to: 20, from: [20, 1700], parse: Number, serialize: String },
    },
  })
  await sql`set role buildkite_reader`
})
afterAll(async () => {
  await sql.end({ timeout: 1 })
  await scene.close()
})

describe('questions that published queries ask', () => {
  it('are all listed: 18 of Steampipe, 17 of vLLM', () => {
    expect(steampipe.length + notSteampipe.length).toBe(18)
    expect(vllm.length + notVllm.length).toBe(17)
    expect(new Set(asked.map(({ source, name }) => `${source} ${name}`)).size).toBe(asked.length)
  })

  it.each(asked)('$source, $name: $question', async ({ sql: query, rows }) => {
    expect(query).not.toMatch(/\b(buildkite|sync|settings)\./)
    expect(query.split('\n').length).toBeLessThanOrEqual(10)
    const now = scene.simulation.clock.now()
    const found = await sql.unsafe(query.replaceAll('$now', `'${new Date(now).toISOString()}'::timestamptz`)).values()
    expect(found.length).toBeGreaterThan(0)
    const right = rows(scene.simulation.truth, now)
    expect(found.map(line).sort()).toEqual(right.map(line).sort())
  })
})

/** Some hours later: builds run and wait at a gate, jobs wait for agents. The names of variables are known only with STORE_ENV. */
async function liveOn({ simulation, deps, source }: Scene): Promise<void> {
  const { clock, truth } = simulation
  clock.pass(2 * HOUR)
  const resting = truth.agents.find(({ last_job_finished_at }) => last_job_finished_at)
  if (!resting) throw new Error('No agent has run a job.')
  resting.connection_state = 'stopping'
  const isGated = () => truth.builds.some(({ blocked, state }) => blocked && state !== 'canceled')
  for (let builds = 0; builds < 10 || (builds < 200 && !isGated()); builds++) {
    simulation.startBuild()
    simulation.step(10)
  }
  clock.pass(3 * MINUTE)
  await refreshPipelines({ ...deps, storeEnv: true }, source)
  await reconcileOnce(deps, source)
  await syncReferenceData(deps, source)
  await refreshRollups(deps.db)
}

/** A row as text: times in UTC, numbers to six places, keys sorted. */
function line(row: readonly unknown[]): string {
  return JSON.stringify([...row], (_, value: unknown) => {
    if (typeof value === 'number') return Math.round(value * 1e6) / 1e6
    if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}
