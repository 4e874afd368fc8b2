import { afterAll, beforeAll, expect, test } from 'vitest'
import { at, id } from './history.ts'
import { type HistoryStage, openHistory } from './stage.ts'

// What an independent recomputation found misleading, each on the hand-made history with a few more rows.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

const lines = (query: string) => stage.lines(query)
const build = (number: number, set: string) =>
  stage.sql.unsafe(`update buildkite.builds set ${set} where number = ${number}`)

test('pull_requests: a fork’s belongs to the repository in which it is opened', async () => {
  await build(4, `pull_request_repository = 'https://github.com/stranger/app.git'`)
  expect(
    await lines(`select organization, repository, pr_number, head_repository, builds from analytics.pull_requests
      where pr_number = 7 and repository = 'acme/app'`),
  ).toBe('acme | acme/app | 7 | stranger/app | 4')
  expect(await lines(`select repository from analytics.pull_requests where repository like 'stranger%'`)).toBe('')
})

test('pull_requests: of a pipeline with an empty address belong to their own repository', async () => {
  const [before] = await stage.sql`
    select id, repository from buildkite.pipelines where id = (select pipeline_id from buildkite.builds where number = 4 limit 1)`
  await stage.sql`update buildkite.pipelines set repository = '' where id = ${before?.id}`
  expect(
    await lines(`select repository, head_repository from analytics.pull_requests
      where pr_number = 7 and head_repository = 'stranger/app'`),
  ).toContain('stranger/app | stranger/app')
  await stage.sql`update buildkite.pipelines set repository = ${before?.repository} where id = ${before?.id}`
})

test('addresses: by the present name of the pipeline', async () => {
  await stage.sql`update buildkite.pipelines set web_url = 'https://buildkite.com/acme/app-two' where slug = 'app'`
  await build(1, `web_url = 'https://buildkite.com/acme/app/builds/1'`)
  await stage.sql`update buildkite.jobs set web_url = 'https://buildkite.com/acme/app/builds/1#x' where build_id = ${id('b', 1)}`
  expect(
    await lines(`select build.web_url, run.source_url, job.web_url = build.web_url || '#' || job.id from analytics.builds as build
      join analytics.pipeline_runs as run using (id) join analytics.jobs as job on job.build_id = build.id where build.build_number = 1`),
  ).toBe('https://buildkite.com/acme/app-two/builds/1 | https://buildkite.com/acme/app-two/builds/1 | true')
})

test('seconds: an absurd time is unknown, in either order; a small reversal is 0', () =>
  expect(
    lines(`select analytics.seconds('1901-01-01Z', '2026-01-01Z'), analytics.seconds('2026-01-01Z', '1901-01-01Z'),
      analytics.seconds('2026-01-01 00:00:01Z', '2026-01-01 00:00:00Z')`),
  ).resolves.toBe('- | - | 0'))

test('first_failures: a build that was canceled after a job had failed', async () => {
  await build(5, `failing_at = null`)
  await stage.sql`update buildkite.jobs set state = 'failed', exit_status = 1, signal_reason = null, retried = false, retried_in_job_id = null
    where build_id = ${id('b', 5)} and type = 'script'`
  expect(await lines(`select state from buildkite.builds where number = 5`)).toBe('canceled')
  expect(await lines(`select count(*) from analytics.first_failures where build_id = '${id('b', 5)}'`)).toBe('1')
})

test('approvals: a gate at which the build was canceled has held it since the last job ended', async () => {
  await stage.sql`insert into buildkite.builds (id, organization_id, pipeline_id, number, state, blocked, branch, created_at, finished_at, observed_at, first_seen_at, first_seen_via, changed_at)
    select ${id('b', 900)}, organization_id, pipeline_id, 900, 'canceled', true, 'main', ${at('20 10:00:00')}, ${at('20 12:00:00')}, now(), now(), 'rest', now() from buildkite.builds where number = 1`
  await stage.sql`insert into buildkite.jobs (id, build_id, type, label, state, started_at, finished_at, observed_at, first_seen_at, first_seen_via, changed_at) values
    (${id('j', 9001)}, ${id('b', 900)}, 'script', null, 'passed', ${at('20 10:00:00')}, ${at('20 10:05:00')}, now(), now(), 'rest', now()),
    (${id('j', 9002)}, ${id('b', 900)}, 'manual', 'Release?', 'canceled', null, null, now(), now(), 'rest', now())`
  expect(
    await lines(`select organization, blocked_at from analytics.approvals where build_id = '${id('b', 900)}'`),
  ).toBe('acme | 20 10:05:00')
})

test('deployments: the first outcome beside the final one, of builds and of jobs', async () => {
  expect(await lines(`select success, first_success from analytics.deployments where commit_sha = 'c39'`)).toBe(
    'true | false',
  )
  // Of the step: the first try failed, a retry passed.
  await stage.sql`insert into buildkite.jobs (id, build_id, type, name, step_key, state, exit_status, soft_failed, retried, retried_in_job_id, retry_type, started_at, finished_at, observed_at, first_seen_at, first_seen_via, changed_at)
    select ${id('j', 9003)}, build_id, type, name, step_key, 'failed', 1, false, true, id, 'manual', started_at - interval '10 minutes', started_at - interval '5 minutes', now(), now(), 'rest', now()
    from buildkite.jobs where build_id = ${id('b', 31)} and (step_key = 'deploy' or name = 'deploy') limit 1`
  await stage.refresh()
  expect(await lines(`select success, first_success from analytics.deployments where commit_sha = 'c31'`)).toBe(
    'true | false',
  )
})

test('deployments: of several rules the closest counts, and a rule may name a pipeline by its id', async () => {
  const ofLib = `select environment from analytics.deployments where commit_sha = 'c37'`
  expect(await lines(ofLib)).toBe('registry')
  await stage.sql`insert into settings.deployment_rules (pipeline, branch, environment) values ('l*', '*', 'anything')`
  await stage.refresh()
  expect(await lines(ofLib)).toBe('registry')
  await stage.sql`update settings.deployment_rules set pipeline = ${id('p', 3)} where environment = 'registry'`
  await stage.sql`update buildkite.pipelines set slug = 'library' where slug = 'lib'`
  await stage.refresh()
  expect(await lines(ofLib)).toBe('registry')
})

test('organizations: each, by its slug', () =>
  expect(lines(`select organization from analytics.organizations order by 1`)).resolves.toBe('acme\nglobex'))

test('users: a slug that teams of two organizations have counts once', async () => {
  const user = id('u', 1)
  for (const [number, organization] of [
    [81, 1],
    [82, 2],
  ] as const) {
    await stage.sql`insert into buildkite.teams (id, organization_id, slug, first_seen_at, changed_at)
      values (${id('t', number)}, ${id('o', organization)}, 'everyone', now(), now())`
    await stage.sql`insert into buildkite.team_members (team_id, organization_id, user_id, first_seen_at, changed_at)
      values (${id('t', number)}, ${id('o', organization)}, ${user}, now(), now())`
  }
  await stage.refresh()
  expect(
    await lines(`select cardinality(array_positions(teams, 'everyone')) from analytics.users where id = '${user}'`),
  ).toBe('1')
})
