import { afterAll, beforeAll, expect, test } from 'vitest'
import { at, id, insertRows } from './history.ts'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// Expected rows are written by hand from test/analytics/history.ts, and from the rows that each test adds.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))
const seen = { observed_at: at('20 00:00:00'), first_seen_at: at('20 00:00:00'), first_seen_via: 'webhook' }

async function addBuild(number: number, commit: string, fields: Record<string, unknown> = {}): Promise<void> {
  const ids = { id: id('b', number), organization_id: id('o', 1), pipeline_id: id('p', 1), number, commit }
  const build = { ...ids, state: 'passed', branch: 'main', created_at: at('20 10:00:00'), ...seen }
  await insertRows(stage.sql, 'buildkite.builds', [{ ...build, changed_at: now(), ...fields }])
}

let jobNumber = 1_000
/** A command job; returns its id. */
async function addJob(build: number, name: string, state: string, fields: Record<string, unknown> = {}) {
  jobNumber += 1
  const job = { id: id('j', jobNumber), build_id: id('b', build), type: 'script', name, state, changed_at: now() }
  await insertRows(stage.sql, 'buildkite.jobs', [{ ...job, ...seen, ...fields }])
  return job.id
}
const now = () => new Date().toISOString()
const ran = (from: string, to: string) => ({ started_at: at(`20 ${from}`), finished_at: at(`20 ${to}`) })

const repeats = `select job, step_key, builds, passed, failed, flaky from analytics.job_repeats`

test('job_repeats: passed in one build of a commit, failed in another', () =>
  says(
    `select pipeline, commit, job, created_at, builds, passed, failed, flaky from analytics.job_repeats`,
    'app | c24 | test | 04 12:00:00 | 2 | 1 | 1 | true',
  ))

test('job_repeats: first tries that passed, failed or timed out; a part of a matrix is a job of its own', async () => {
  for (const number of [101, 102, 103]) await addBuild(number, 'd1', { branch: `b${number}` })
  await addBuild(104, 'd1', { pipeline_id: id('p', 3) })
  await addBuild(105, 'HEAD')
  await addBuild(106, 'HEAD')
  // Passed every time; its retries do not count.
  await addJob(101, 'steady', 'passed')
  const second = await addJob(102, 'steady', 'failed', { exit_status: 1 })
  await addJob(102, 'steady', 'passed', { retried_in_job_id: second })
  // A soft failure, a lost agent and a cancel are no results, so only one build is left.
  await addJob(101, 'soft', 'passed')
  await addJob(102, 'soft', 'failed', { soft_failed: true, exit_status: 1 })
  await addJob(103, 'soft', 'failed', { exit_status: -1, signal_reason: 'agent_stop' })
  await addJob(101, 'slow', 'timed_out')
  await addJob(103, 'slow', 'passed')
  await addJob(103, 'slow', 'canceled')
  for (const [build, state] of [
    [101, 'passed'],
    [102, 'failed'],
  ] as const) {
    await addJob(build, 'pack', state, { step_key: 'pack', matrix: { os: 'mac' } })
    await addJob(build, 'pack', 'passed', { step_key: 'pack', matrix: { os: 'linux' } })
    await addJob(build, 'pack', 'passed', { step_key: 'other', matrix: { os: 'mac' } })
  }
  // Two steps of one name: one of them failed in 103.
  await addJob(101, 'twice', 'passed')
  await addJob(103, 'twice', 'passed')
  await addJob(103, 'twice', 'failed', { exit_status: 1 })
  // Another pipeline, and builds whose commit is not known.
  await addJob(104, 'slow', 'failed', { exit_status: 1 })
  await addJob(105, 'steady', 'passed')
  await addJob(106, 'steady', 'failed', { exit_status: 1 })
  await says(
    `${repeats} where commit = 'd1' order by job, step_key, flaky`,
    `pack | other | 2 | 2 | 0 | false
    pack | pack | 2 | 2 | 0 | false
    pack | pack | 2 | 1 | 1 | true
    slow | - | 2 | 1 | 1 | true
    steady | - | 2 | 2 | 0 | false
    twice | - | 2 | 1 | 1 | true`,
  )
  await says(`${repeats} where commit = 'HEAD'`, '')
  await says(
    `select day::text, job, repeated, flaky, flaky_rate from analytics.flaky_commits_daily where day = '2026-03-20' order by job`,
    `2026-03-20 | pack | 3 | 1 | 0.333
    2026-03-20 | slow | 1 | 1 | 1
    2026-03-20 | steady | 1 | 0 | 0
    2026-03-20 | twice | 1 | 1 | 1`,
  )
})

test('build_stages: parts at once count once, and the time before a retry does not', () =>
  says(
    `select build_number, level, name, jobs, started_at, finished_at, run_seconds, job_seconds from analytics.build_stages
    where build_number in (27, 50) order by build_number, level, name`,
    `27 | step | pack arm64 | 1 | 05 09:05:00 | 05 09:10:00 | 300 | 300
    27 | step | parts | 4 | 05 09:00:00 | 05 09:04:00 | 240 | 390
    50 | step | test | 2 | 18 10:00:00 | 18 12:05:00 | 900 | 900`,
  ))

test('build_stages: a stage is a group, or a step outside groups', async () => {
  await addBuild(110, 'd10')
  await addJob(110, 'Unit', 'passed', { group_key: 'tests', step_key: 'unit', ...ran('10:00:00', '10:10:00') })
  await addJob(110, 'Lint', 'passed', { group_key: 'tests', step_key: '', ...ran('10:05:00', '10:15:00') })
  await addJob(110, 'Lint', 'failed', { group_key: 'tests', step_key: '', ...ran('10:20:00', '10:21:00.500') })
  await addJob(110, 'Lint', 'passed', ran('10:00:00', '10:01:00'))
  await addJob(110, 'Ship', 'passed', { group_key: '', type: 'trigger', ...ran('11:00:00', '11:30:00') })
  // The clock went back; a clock of 1901; not yet finished; a gate.
  await addJob(110, 'Ship', 'passed', { ...ran('11:10:00', '11:05:00') })
  await addJob(110, 'Ship', 'passed', { started_at: '1901-01-01T00:00:00Z', finished_at: at('20 11:00:00') })
  await addJob(110, 'Ship', 'running', { started_at: at('20 11:00:00') })
  await addJob(110, 'Gate', 'unblocked', { type: 'manual', ...ran('11:00:00', '11:30:00') })
  await says(
    `select level, name, group_key, is_stage, jobs, run_seconds, job_seconds from analytics.build_stages where build_number = 110 order by level, name, group_key`,
    `group | tests | tests | true | 3 | 960.5 | 1260.5
    step | Lint | tests | false | 2 | 660.5 | 660.5
    step | Lint | - | true | 1 | 60 | 60
    step | Ship | - | true | 2 | 1800 | 1800
    step | unit | tests | false | 1 | 600 | 600`,
  )
  await addBuild(111, 'd11', { created_at: at('20 23:59:59') })
  await addJob(111, 'Lint', 'passed', { group_key: 'tests', ...ran('10:00:00', '10:00:02.400') })
  await says(
    `select level, name, is_stage, builds, mean_seconds, p50_seconds, p90_seconds, p95_seconds, max_seconds, job_seconds
    from analytics.stage_durations_daily where day = '2026-03-20' and name in ('tests', 'Lint') order by level, is_stage`,
    `group | tests | true | 2 | 481.45 | 2 | 961 | 961 | 960.5 | 1262.9
    step | Lint | false | 2 | 331.45 | 2 | 661 | 661 | 660.5 | 662.9
    step | Lint | true | 1 | 60 | 60 | 60 | 60 | 60 | 60`,
  )
})

test('pipeline_stage_names: one row for each pipeline and stage, with an id that stays and joins', async () => {
  await says(
    `select count(*), count(distinct stage.id), min(pipeline_source_id), count(*) filter (where source.name = 'Buildkite')
    from analytics.pipeline_stage_names as stage join analytics.pipeline_sources as source on source.id = pipeline_source_id
    where repository = 'group/sub/lib'`,
    '7 | 7 | 1 | 7',
  )
  const ids = `select string_agg(id::text, ' ' order by id) from analytics.pipeline_stage_names where pipeline_id = '${id('p', 3)}'`
  const before = await stage.lines(ids)
  await stage.sql`update buildkite.pipelines set repository = 'git@github.com:acme/moved.git', changed_at = now() where id = ${id('p', 3)}`
  await stage.refresh()
  expect(await stage.lines(ids)).toBe(before)
  // Every stage of a build that ended has a name here, and no name is without a stage.
  await says(
    `select count(*) filter (where named.id is null), count(*) filter (where ran.name is null)
    from (select distinct pipeline_id, name from analytics.build_stages where is_stage and pipeline_id = '${id('p', 3)}') as ran
    full join (select * from analytics.pipeline_stage_names where pipeline_id = '${id('p', 3)}') as named using (pipeline_id, name)`,
    '0 | 0',
  )
})

test('pipeline_variables: names without values', async () => {
  await stage.sql`update buildkite.pipelines set env = ${stage.sql.json({ AWS_ACCESS_KEY_ID: 'secret' })} where slug = 'app'`
  await stage.sql`update buildkite.pipelines set env = ${stage.sql.json('text')} where slug = 'lib'`
  await says(
    'select organization, pipeline, variable from analytics.pipeline_variables',
    'acme | app | AWS_ACCESS_KEY_ID',
  )
})

test('teams: deleted ones too', () =>
  says(
    'select organization, team, deleted_at from analytics.teams order by team',
    'acme | former | 05 00:00:00\nacme | payments | -',
  ))
