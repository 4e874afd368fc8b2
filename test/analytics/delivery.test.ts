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

async function addBuild(number: number, fields: Record<string, unknown>): Promise<void> {
  const ids = { id: id('b', number), organization_id: id('o', 1), pipeline_id: id('p', 1), number }
  const build = { ...ids, state: 'passed', branch: 'main', commit: `c${number}`, ...seen, changed_at: new Date() }
  await insertRows(stage.sql, 'buildkite.builds', [{ ...build, ...fields }])
}

async function addAttempt(number: number, state: string, started: string, finished: string): Promise<void> {
  const attempt = { build_id: id('b', number), state, blocked: false, ...seen, changed_at: new Date() }
  const times = { started_at: at(started), finished_at: finished.includes('T') ? finished : at(finished) }
  await insertRows(stage.sql, 'buildkite.build_attempts', [{ ...attempt, ...times }])
}

const outcomes = `select deployed_at, success, failures_from, failed, first_failed, recovered_at, recovery_seconds, is_rework
  from analytics.deployment_outcomes`

test('deployment_outcomes: by the results of deployments, unless there are incidents', () =>
  says(
    `${outcomes} where organization = 'acme' order by service, deployed_at`,
    `04 10:30:00 | false | deployments | true | true | 05 00:10:00 | 49200 | false
    05 00:10:00 | true | deployments | false | false | - | - | true
    06 08:01:00 | true | deployments | false | false | - | - | false
    10 08:05:00 | false | deployments | true | true | 17 08:00:00 | 604500 | false
    10 09:05:00 | false | deployments | true | true | - | - | true
    17 08:00:00 | true | deployments | false | true | - | - | true
    18 08:01:00 | false | deployments | true | true | - | - | false
    18 09:01:00 | false | deployments | true | true | - | - | true
    18 10:01:00 | false | deployments | true | true | - | - | true
    04 10:20:00 | true | deployments | false | false | - | - | false
    09 10:10:00 | true | deployments | false | false | - | - | false
    09 11:10:00 | false | deployments | true | true | 09 13:10:00 | 7200 | false
    09 12:10:00 | false | deployments | true | true | - | - | true
    09 13:10:00 | true | deployments | false | false | - | - | true
    16 14:10:00 | true | deployments | false | false | - | - | false`,
  ))

test('deployed_commits: what the integration branch built since the deployment before', () =>
  says(
    `select service, deployed_at, string_agg(commit, ' ' order by commit), max(commit) filter (where is_head), max(committed_at), max(lead_seconds)
    from analytics.deployed_commits group by deployment_id, service, deployed_at order by service, deployed_at`,
    `eu | 09 12:40:00 | c46 | c46 | - | -
    lib | 05 00:10:00 | c26 | c26 | - | -
    lib | 06 08:01:00 | c28 | c28 | - | -
    lib | 17 08:00:00 | c37 c38 c39 | c39 | - | -
    shop | 04 10:20:00 | c1 | c1 | 02 09:00:00 | 177600
    shop | 09 10:10:00 | c10 c2 c3 c31 c8 c9 | c31 | 09 08:10:00 | 7200
    shop | 09 12:40:00 | c46 | c46 | - | -
    shop | 09 13:10:00 | c32 c33 c34 | c34 | - | -
    shop | 16 14:10:00 | c35 c36 c47 | c47 | - | -`,
  ))

test('deployed_commits: a rollback brings nothing, and what it took back is not new afterwards', async () => {
  const ship = async (number: number, created: string, commit: string, fields: Record<string, unknown> = {}) => {
    await addBuild(number, { pipeline_id: id('p', 3), branch: 'trunk', commit, created_at: at(created), ...fields })
    if (fields.finished_at) await addAttempt(number, 'passed', created, String(fields.finished_at))
  }
  await ship(201, '23 08:00:00', 'e1', { finished_at: at('23 08:30:00') })
  await ship(202, '23 09:00:00', 'e2', { author_date: at('23 08:50:00'), state: 'canceled' })
  await ship(203, '23 10:00:00', 'e3', { author_date: at('23 09:40:00'), finished_at: at('23 10:30:00') })
  await ship(204, '23 11:00:00', 'e1', { finished_at: at('23 11:30:00') })
  await ship(205, '23 12:00:00', 'e4', { author_date: at('23 11:59:00'), finished_at: at('23 12:00:00.400') })
  // Another branch, another repository, HEAD.
  await addBuild(206, { commit: 'e5', created_at: at('23 11:50:00') })
  await ship(207, '23 11:51:00', 'e6', { branch: 'side', state: 'canceled' })
  await ship(208, '23 11:52:00', 'HEAD', { state: 'canceled' })
  await stage.refresh()
  await says(
    `select deployed_at, commit, is_head, committed_at, lead_seconds from analytics.deployed_commits where deployed_at > '2026-03-20' order by 1, 2`,
    `23 08:30:00 | c53 | false | - | -
    23 08:30:00 | c54 | false | - | -
    23 08:30:00 | c55 | false | - | -
    23 08:30:00 | e1 | true | - | -
    23 10:30:00 | e2 | false | 23 08:50:00 | 6000
    23 10:30:00 | e3 | true | 23 09:40:00 | 3000
    23 12:00:00 | e4 | true | 23 11:59:00 | 60.4`,
  )
  // Nearest-rank, in whole seconds: the second of three.
  await says(
    `select deployments, deployment_frequency, commits, commits_with_time, p50_change_lead_seconds, p50_lead_seconds
    from analytics.dora_weekly where week = '2026-03-23' and service = 'lib'`,
    '4 | 0.571 | 7 | 3 | 3000 | 60',
  )
})

const dora = `select week::text, service, deployments, change_fails, change_fail_rate, first_change_fail_rate, p50_recovery_seconds, reworks,
  deployment_rework_rate, failures_from from analytics.dora_weekly where organization = 'acme'`

test('dora_weekly: weeks without deployments are there, to the newest build of the organization', async () => {
  await addBuild(220, { created_at: at('31 10:00:00'), state: 'running' })
  await says(
    `${dora} and week >= '2026-03-09' order by service, week`,
    `2026-03-09 | lib | 2 | 2 | 1 | 1 | 604500 | 1 | 0.5 | deployments
    2026-03-16 | lib | 4 | 3 | 0.75 | 1 | 433740 | 3 | 0.75 | deployments
    2026-03-23 | lib | 4 | 0 | 0 | 0 | - | 1 | 0.25 | deployments
    2026-03-30 | lib | 0 | 0 | - | - | - | 0 | - | deployments
    2026-03-09 | shop | 4 | 2 | 0.5 | 0.5 | 7200 | 2 | 0.5 | deployments
    2026-03-16 | shop | 1 | 0 | 0 | 0 | - | 0 | 0 | deployments
    2026-03-23 | shop | 0 | 0 | - | - | - | 0 | - | deployments
    2026-03-30 | shop | 0 | 0 | - | - | - | 0 | - | deployments`,
  )
  await says(
    `select deployments, failed, change_failure_rate, p50_seconds_to_restore, p50_lead_seconds, first_failed, first_change_failure_rate,
      deployment_frequency, p50_change_lead_seconds, commits, commits_with_time from analytics.dora_weekly where week = '2026-03-30' and service = 'shop'`,
    '0 | 0 | - | - | - | 0 | - | 0 | - | 0 | 0',
  )
})

test('incidents decide for their service: by the deployment before them, or the one that they name', async () => {
  const [named] = await stage.sql<{ id: string }[]>`
    select id from analytics.deployments where service = 'lib' and deployed_at = '2026-03-05T00:10:00Z'`
  const shop = { organization: 'acme', service: 'shop', environment: 'production' }
  await insertRows(stage.sql, 'settings.incidents', [
    { id: 'i1', ...shop, started_at: at('09 10:30:00'), resolved_at: at('09 12:50:00') },
    {
      ...{ id: 'i2', ...shop, deployment_id: 'unknown' },
      ...{ started_at: at('09 10:10:00'), resolved_at: at('09 10:20:00') },
    },
    {
      ...{ id: 'i3', organization: '*', service: 'lib', environment: 'registry' },
      ...{ started_at: at('06 09:00:00'), deployment_id: named?.id },
    },
    {
      ...{ id: 'i4', organization: 'globex', service: 'eu', environment: 'production' },
      started_at: at('09 12:41:00'),
    },
  ])
  await says(
    `${outcomes} where organization = 'acme' and service = 'shop' order by deployed_at`,
    `04 10:20:00 | true | incidents | false | false | - | - | false
    09 10:10:00 | true | incidents | true | true | 09 12:50:00 | 9600 | false
    09 11:10:00 | false | incidents | false | true | - | - | true
    09 12:10:00 | false | incidents | false | true | - | - | true
    09 13:10:00 | true | incidents | false | false | - | - | false
    16 14:10:00 | true | incidents | false | false | - | - | false`,
  )
  // Open: not recovered, and all that follows is rework.
  await says(
    `${outcomes} where service = 'lib' and deployed_at < '2026-03-11' order by deployed_at`,
    `04 10:30:00 | false | incidents | false | true | - | - | false
    05 00:10:00 | true | incidents | true | true | - | - | false
    06 08:01:00 | true | incidents | false | false | - | - | false
    10 08:05:00 | false | incidents | false | true | - | - | true
    10 09:05:00 | false | incidents | false | true | - | - | true`,
  )
  // Another organization's service of that name, and another environment.
  await says(
    `${outcomes} where organization = 'globex' order by service`,
    `09 12:40:00 | true | deployments | false | false | - | - | false\n09 12:40:00 | true | deployments | false | false | - | - | false`,
  )
  await says(
    `${dora} and service = 'shop' order by week`,
    `2026-03-02 | shop | 1 | 0 | 0 | 0 | - | 0 | 0 | incidents
    2026-03-09 | shop | 4 | 1 | 0.25 | 0.75 | 9600 | 2 | 0.5 | incidents
    2026-03-16 | shop | 1 | 0 | 0 | 0 | - | 0 | 0 | incidents
    2026-03-23 | shop | 0 | 0 | - | - | - | 0 | - | incidents
    2026-03-30 | shop | 0 | 0 | - | - | - | 0 | - | incidents`,
  )
  // The columns of before go by deployments alone.
  await says(
    `select deployments, failed, change_failure_rate, first_failed, p50_seconds_to_restore from analytics.dora_weekly
    where organization = 'acme' and service = 'shop' and week = '2026-03-09'`,
    '4 | 2 | 0.5 | 2 | 7200',
  )
})

test('an incident may name a deployment of another service, which then failed', async () => {
  const [named] = await stage.sql<{ id: string }[]>`
    select deployment_id as id from analytics.deployment_outcomes where organization = 'globex' order by deployment_id limit 1`
  const elsewhere = { organization: 'globex', service: 'elsewhere', environment: 'production' }
  const times = { started_at: at('09 13:00:00'), resolved_at: at('09 14:00:00') }
  await insertRows(stage.sql, 'settings.incidents', [{ id: 'i5', ...elsewhere, ...times, deployment_id: named?.id }])
  await says(
    `${outcomes} where deployment_id = '${named?.id}'`,
    '09 12:40:00 | true | incidents | true | true | 09 14:00:00 | 3600 | false',
  )
  await stage.sql`delete from settings.incidents where id = 'i5'`
})

test('of two deployments at one time, the one with the greater id caused the incident after them', async () => {
  const shop = `service = 'shop' and environment = 'production'`
  await stage.sql.unsafe(`
    insert into analytics.deployments (id, reference_id, deployed_at, success, service, environment, organization_id)
    select 'z' || id, reference_id, deployed_at, success, service, environment, organization_id
    from analytics.deployments where ${shop} and deployed_at = '2026-03-16T14:10:00Z'`)
  const incident = { id: 'i6', organization: 'acme', service: 'shop', environment: 'production' }
  await insertRows(stage.sql, 'settings.incidents', [{ ...incident, started_at: at('16 15:00:00') }])
  await says(
    `select left(deployment_id, 1) = 'z', failed from analytics.deployment_outcomes
    where ${shop} and deployed_at = '2026-03-16T14:10:00Z' order by 1`,
    'false | false\ntrue | true',
  )
  await stage.sql`delete from settings.incidents where id = 'i6'`
  await stage.sql`delete from analytics.deployments where id like 'z%'`
})

test('deployment_services: an id for each organization and service, which deployments have', async () => {
  await says(
    `select organization, name, identifier, count(deployment.id), count(*) filter (where deployment.service = service.name and deployment.organization_id = service.organization_id)
    from analytics.deployment_services as service left join analytics.deployments as deployment on deployment.deployment_service_id = service.id
    group by 1, 2, 3 order by 1, 2`,
    `acme | lib | lib | 13 | 13
    acme | shop | shop | 6 | 6
    globex | eu | eu | 1 | 1
    globex | shop | shop | 1 | 1`,
  )
  await says(
    `select count(*), count(deployment_service_id), count(distinct deployment_service_id) from analytics.deployments`,
    '21 | 21 | 4',
  )
  // The first 63 bits of the MD5 of organization and service, as md5sum says.
  await says(`select analytics.stable_id('acme:shop')`, String(0xd5f835d370fe5201n & 0x7fffffffffffffffn))
  const ids = `select string_agg(id::text, ' ' order by id) from analytics.deployment_services`
  const before = await stage.lines(ids)
  await stage.sql`update buildkite.organizations set slug = 'acme-2', changed_at = now() where slug = 'acme'`
  await stage.refresh()
  expect(await stage.lines(ids)).toBe(before)
})

const recoveries = `select pipeline, broken_by_build_number, broken_at, recovered_by_build_number, recovered_at, recovered_by_retry, seconds_to_green
  from analytics.first_trunk_recoveries`

test('first_trunk_recoveries: a retry recovers, and what it turned green was red before', () =>
  says(
    `${recoveries} where broken_at < '2026-03-20' order by broken_at`,
    `app | 2 | 02 11:05:20 | 3 | 02 12:12:20 | true | 4020
    app | 8 | 03 09:00:00 | 50 | 18 12:05:00 | true | 1307100
    lib | 23 | 04 10:30:00 | 26 | 05 00:10:00 | false | 49200
    deploy | 32 | 09 11:10:00 | 34 | 09 13:10:00 | false | 7200
    lib | 37 | 10 08:05:00 | 39 | 17 08:00:00 | true | 604500
    lib | 53 | 18 08:01:00 | 201 | 23 08:30:00 | false | 433740`,
  ))

test('first_trunk_recoveries: red while the newest commit is red', async () => {
  const red = async (number: number, created: string, first: [string, string], passed?: [string, string]) => {
    const last = passed ?? first
    await addBuild(number, {
      ...{ pipeline_id: id('p', 2), created_at: at(created), started_at: at(last[0]), finished_at: at(last[1]) },
      state: passed ? 'passed' : 'failed',
    })
    await addAttempt(number, 'failed', ...first)
    if (passed) await addAttempt(number, 'passed', ...passed)
  }
  // 301 is green at 11:30, but 302 is red since 11:00 until 11:45. 303 breaks it again. 304 is canceled, 305 passes at once.
  await red(301, '24 09:55:00', ['24 09:56:00', '24 10:00:00'], ['24 11:20:00', '24 11:30:00'])
  await red(302, '24 10:55:00', ['24 10:56:00', '24 11:00:00'], ['24 11:40:00', '24 11:45:00'])
  await red(303, '24 11:55:00', ['24 11:56:00', '24 12:00:00'])
  await addBuild(304, {
    pipeline_id: id('p', 2),
    state: 'canceled',
    created_at: at('24 12:10:00'),
    finished_at: at('24 12:11:00'),
  })
  await addAttempt(304, 'canceled', '24 12:10:00', '24 12:11:00')
  await addBuild(305, { pipeline_id: id('p', 2), created_at: at('24 12:20:00'), finished_at: at('24 12:30:00') })
  await addAttempt(305, 'passed', '24 12:20:00', '24 12:30:00')
  await says(
    `${recoveries} where created_at > '2026-03-24' order by broken_at`,
    `deploy | 301 | 24 10:00:00 | 302 | 24 11:45:00 | true | 6300
    deploy | 303 | 24 12:00:00 | 305 | 24 12:30:00 | false | 1800`,
  )
  // By final results, only 303 was ever red.
  await says(
    `select broken_by_build_number, recovered_by_build_number, seconds_to_green from analytics.trunk_recoveries where broken_at > '2026-03-24'`,
    '303 | 305 | 1800',
  )
})

test('deployed_commits: HEAD is no commit, also between two others', async () => {
  const ship = async (number: number, hour: number, commit: string) => {
    const [created, finished] = [`2${hour} 08:00:00`, `2${hour} 08:30:00`]
    const build = {
      pipeline_id: id('p', 3),
      branch: 'trunk',
      commit,
      created_at: at(created),
      finished_at: at(finished),
    }
    await addBuild(number, build)
    await addAttempt(number, 'passed', created, finished)
  }
  await ship(211, 4, 'f1')
  await addBuild(212, { pipeline_id: id('p', 3), branch: 'trunk', commit: 'f2', created_at: at('25 07:00:00') })
  await ship(213, 5, 'HEAD')
  await ship(214, 6, 'f3')
  await stage.refresh()
  await says(
    `select deployed_at, string_agg(commit, ' ' order by commit) from analytics.deployed_commits where deployed_at > '2026-03-24' group by 1 order by 1`,
    '24 08:30:00 | f1\n26 08:30:00 | f2 f3',
  )
})
