import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type HistoryStage, openHistory } from './stage.ts'

let stage: HistoryStage
beforeEach(async () => {
  stage = await openHistory()
})
afterEach(() => stage.close())

const hourly = ['analytics.builds_hourly', 'analytics.jobs_hourly', 'sync.minutes_hours', 'sync.queue_hours']
const tables = [
  ...hourly,
  'sync.agent_days',
  'sync.builds_found',
  'sync.jobs_found',
  'analytics.queue_waits_hourly',
  'analytics.deployments',
  ...['build_results', 'pipeline_durations', 'branch_durations', 'trunk_health', 'jobs', 'minutes', 'queue_waits'].map(
    (name) => `analytics.${name}_daily`,
  ),
  'analytics.agents_daily',
]

/** The rows of every rollup table, sorted. */
async function rollups(): Promise<Record<string, string[]>> {
  const rows: Record<string, string[]> = {}
  for (const table of tables) {
    const found = await stage.sql.unsafe<{ row: string }[]>(`select one::text as row from ${table} as one order by 1`)
    rows[table] = found.map(({ row }) => row)
  }
  return rows
}

async function rebuilt(): Promise<Record<string, string[]>> {
  await stage.sql.unsafe(`truncate ${tables.join(', ')}`)
  await stage.sql`select sync.invalidate_all_days()`
  await stage.refresh()
  return rollups()
}

/** Numbers that look random and are the same in each run. */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * sides)
  }
}

const jobs = (place: number) => `id = (select id from buildkite.jobs order by id offset ${place} limit 1)`
const builds = (place: number) => `id = (select id from buildkite.builds order by id offset ${place} limit 1)`
const changed = 'changed_at = clock_timestamp()'

/** A change of one row, or of what many rows join. */
function change(roll: (sides: number) => number): string {
  const job = jobs(roll(75))
  const build = builds(roll(58))
  const shift = `interval '${roll(3_000) - 1_500} minutes'`
  const state = ['passed', 'failed', 'canceled', 'skipped', 'running'][roll(5)]
  const changes = [
    `update buildkite.jobs set finished_at = finished_at + ${shift}, ${changed} where ${job}`,
    `update buildkite.jobs set started_at = started_at + ${shift}, ${changed} where ${job}`,
    `update buildkite.jobs set finished_at = null, expired_at = coalesce(finished_at, expired_at) + ${shift}, ${changed} where ${job}`,
    `update buildkite.jobs set started_at = null, ${changed} where ${job}`,
    `update buildkite.jobs set state = '${state}', ${changed} where ${job}`,
    `update buildkite.jobs as job set retried_in_job_id = (
      select next.id from buildkite.jobs as next where next.build_id = job.build_id and next.id > job.id order by next.id limit 1
    ), retry_type = 'manual', ${changed} where ${job}`,
    `update buildkite.builds set finished_at = finished_at + ${shift}, ${changed} where ${build}`,
    `update buildkite.builds set finished_at = null, ${changed} where ${build}`,
    `update buildkite.builds set state = '${state}', blocked = ${roll(4) === 0}, ${changed} where ${build}`,
    `update buildkite.builds set branch = '${['main', 'trunk', 'x'][roll(3)]}', commit = 'c${roll(9)}', ${changed} where ${build}`,
    `update buildkite.builds set pipeline_id = (select id from buildkite.pipelines order by id offset ${roll(4)} limit 1), ${changed} where ${build}`,
    `update buildkite.builds set rebuilt_from_id = (select id from buildkite.builds where ${builds(roll(58))}), ${changed} where ${build}`,
    `update buildkite.build_attempts set state = '${state}', ${changed} where build_id = (select id from buildkite.builds where ${build})`,
    `update buildkite.pipelines set default_branch = '${['main', 'trunk', 'x'][roll(3)]}', slug = 'dep' || ${roll(9)} where id = (select id from buildkite.pipelines order by id offset ${roll(4)} limit 1)`,
    `update settings.deployment_rules set enabled = not enabled where id = ${1 + roll(3)}`,
    `update buildkite.cluster_queues set key = 'key' || ${roll(9)} where id = (select id from buildkite.cluster_queues order by id offset ${roll(2)} limit 1)`,
  ]
  return changes[roll(changes.length)] ?? ''
}

describe('after a change', () => {
  test.each([1, 2])(
    'the rows are those of a rebuild from nothing, whatever changed (seed %i)',
    async (seed) => {
      const roll = dice(seed)
      const done: string[] = []
      for (let turn = 0; turn < 12; turn += 1) {
        for (let more = roll(3); more >= 0; more -= 1) done.push(change(roll))
        for (const one of done.slice(-3)) await stage.sql.unsafe(one)
        await stage.refresh()
      }
      expect(await rollups(), done.join('\n')).toEqual(await rebuilt())
    },
    60_000,
  )

  test('of one job, only rows of its hours and its groups are written again', async () => {
    const versions = async () => {
      const all = new Map<string, string>()
      for (const table of tables) {
        const rows = await stage.sql.unsafe<{ version: string; row: string }[]>(
          `select xmin::text || ' ' || ctid::text as version, one::text as row from ${table} as one`,
        )
        for (const { version, row } of rows) all.set(`${table} ${version}`, row)
      }
      return all
    }
    await rebuilt()
    const before = await versions()
    await stage.sql`
      update buildkite.jobs set exit_status = 0, state = 'passed', changed_at = clock_timestamp()
      where id = (select id from buildkite.jobs where state = 'failed' and type = 'script' and finished_at is not null order by finished_at limit 1)`
    await stage.refresh()
    const written = [...(await versions()).keys()].filter((key) => !before.has(key)).map((key) => key.split(' ', 1)[0])
    expect(written).toContain('analytics.jobs_hourly')
    expect(written).toContain('analytics.jobs_daily')
    expect(written.length).toBeLessThan(9)
  })
})

describe('a day whose rows are of version 0.1', () => {
  test('is rebuilt as a whole at its first change', async () => {
    const expected = await rebuilt()
    await stage.sql.unsafe(`truncate ${hourly.join(', ')}, sync.agent_days`)
    await stage.sql`insert into sync.stale_days (day, hour) select distinct day, 12 from analytics.build_results_daily union select distinct day, 0 from analytics.jobs_daily`
    await stage.refresh()
    expect(await rollups()).toEqual(expected)
  })
})

describe('is_stale of rollup_days', () => {
  const stale = async () => {
    const rows = await stage.sql<{ is_stale: boolean }[]>`select is_stale from analytics.rollup_days`
    return new Set(rows.map((row) => row.is_stale))
  }

  test.each([
    ['a rule', 'update settings.deployment_rules set branch = branch'],
    ['a default branch', `update buildkite.pipelines set default_branch = default_branch || 'x' where slug = 'lib'`],
    ['the key of a queue', `update buildkite.cluster_queues set key = key || 'x'`],
  ])('says that %s changed, until the rows follow', async (_what, statement) => {
    expect(await stale()).toEqual(new Set([false]))
    await stage.sql.unsafe(statement)
    expect(await stale()).toEqual(new Set([true]))
    await stage.refresh()
    expect(await stale()).toEqual(new Set([false]))
  })

  test('says only of the day of a job that the job changed', async () => {
    await stage.sql`update buildkite.jobs set exit_status = 3, changed_at = clock_timestamp() where finished_at < '2026-03-03' and started_at > '2026-03-02'`
    const rows = await stage.sql<{ day: string }[]>`select day::text from analytics.rollup_days where is_stale`
    expect(rows).toEqual([{ day: '2026-03-02' }])
  })
})

describe('a changed setting', () => {
  test('of deployments leaves all other rollups as they are', async () => {
    await stage.sql`update settings.deployment_rules set environment = environment || '-2'`
    await stage.sql`select sync.mark_stale_history()`
    const marks = await stage.sql`select distinct hour, only_deployments from sync.stale_days`
    expect([...marks]).toEqual([{ hour: null, only_deployments: true }])
    await stage.refresh()
    const left = await stage.sql`select from analytics.deployments where environment not like '%-2'`
    expect(left).toHaveLength(0)
  })

  test('of the default branch needs no build and no job without deployment rules', async () => {
    await stage.sql`delete from settings.deployment_rules`
    await stage.refresh()
    await stage.sql`update buildkite.pipelines set default_branch = 'main' where slug = 'lib'`
    await stage.sql`update buildkite.pipelines set default_branch = 'wide' where slug = 'lib'`
    await stage.sql`select sync.mark_stale_history()`
    expect(await stage.sql`select from sync.stale_days`).toHaveLength(0)
    const followed = await rollups()
    expect(followed['analytics.trunk_health_daily']?.length).toBeGreaterThan(0)
    expect(followed).toEqual(await rebuilt())
  })
})
