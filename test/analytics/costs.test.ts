import { afterAll, beforeAll, expect, test } from 'vitest'
import { id } from './history.ts'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// Expected rows are written by hand from test/analytics/history.ts. Rates: linux 0.5, mac 2, arm in Main 4 and in Edge 3.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))

test('build_costs: minutes of each try by the rate of its queue and cluster; a rebuilt build is wasted whole', () =>
  says(
    `select organization, pipeline, build_number, repository, pr_number, author_email, tries, minutes, minutes_wasted, cost, cost_wasted, currency
    from analytics.build_costs where build_number in (2, 3, 5, 7, 8, 10, 22, 24, 25, 27, 42, 45) order by build_number`,
    `acme | app | 2 | acme/app | - | ada@example.com | 1 | 5 | 0 | 2.5 | 0 | USD
    acme | app | 3 | acme/app | - | ada@example.com | 2 | 8 | 6 | 4 | 3 | USD
    acme | app | 5 | acme/app | 7 | ada@example.com | 1 | 1.667 | 1.667 | 0.833 | 0.833 | USD
    acme | app | 7 | acme/app | 7 | ada@example.com | 2 | 9 | 3 | 4.5 | 1.5 | USD
    acme | app | 8 | acme/app | - | ada@example.com | 1 | 0 | 0 | 0 | 0 | USD
    acme | deploy | 22 | acme/app | - | ada@example.com | 1 | 15 | 0 | 30 | 0 | USD
    acme | app | 24 | acme/app | - | ada@example.com | 1 | 2 | 2 | 1 | 1 | USD
    acme | app | 25 | acme/app | - | ada@example.com | 1 | 3 | 0 | 1.5 | 0 | USD
    acme | lib | 27 | group/sub/lib | - | ada@example.com | 5 | 11.5 | 0.5 | 23.25 | 0.25 | USD
    acme | app | 42 | acme/app | - | ada@example.com | 1 | 0 | 0 | 0 | 0 | USD
    acme | lib | 45 | group/sub/lib | - | ada@example.com | 2 | 20 | 0 | 70 | 0 | USD`,
  ))

test('job_costs_daily: by group, step and job', () =>
  says(
    `select day::text, job, group_key, step_key, queue, cluster, tries, minutes, minutes_wasted, cost, currency
    from analytics.job_costs_daily where day in ('2026-03-05', '2026-03-17') order by day, job, cluster`,
    `2026-03-05 | nightly | - | - | linux | - | 1 | 20 | 0 | 10 | USD
    2026-03-05 | pack arm64 | - | - | arm | Main | 1 | 5 | 0 | 20 | USD
    2026-03-05 | parts | - | parts | linux | - | 4 | 6.5 | 0.5 | 3.25 | USD
    2026-03-17 | pack | - | - | arm | Edge | 1 | 10 | 0 | 30 | USD
    2026-03-17 | pack | - | - | arm | Main | 1 | 10 | 0 | 40 | USD`,
  ))

test('builds, jobs, and pipelines by day have the same totals', () =>
  says(
    `select distinct round(sum(minutes)::numeric, 3) || ' ' || round(sum(minutes_wasted)::numeric, 3) || ' ' || round(sum(cost)::numeric, 3) || ' ' || sum(tries)
    from (select 1 as view, minutes, minutes_wasted, cost, tries from analytics.build_costs
      union all select 2, minutes, minutes_wasted, cost, tries from analytics.job_costs_daily
      union all select 3, minutes, minutes_wasted, cost, null from analytics.costs_daily
      union all select 3, null, null, null, tries from analytics.minutes_daily) as spent group by view`,
    '333.833 29.167 266.917 55',
  ))

test('a job that ends in another hour, another queue or another build leaves its old row', async () => {
  const rows = `select minutes.hour, build.number, minutes.queue, minutes.minutes from analytics.build_minutes_hourly as minutes
    join buildkite.builds as build on build.id = build_id where build.number in (1, 2) order by hour, number`
  await says(rows, '02 10:00:00 | 1 | linux | 10\n02 11:00:00 | 2 | linux | 5')
  await stage.sql`update buildkite.jobs set finished_at = '2026-03-02T12:00:20Z', group_key = 'checks', changed_at = now() where id = ${id('j', 2)}`
  await stage.sql`update buildkite.jobs set agent_query_rules = '{queue=mac}', build_id = ${id('b', 2)}, changed_at = now() where id = ${id('j', 1)}`
  await stage.refresh()
  await says(rows, '02 10:00:00 | 2 | mac | 10\n02 12:00:00 | 2 | linux | 60')
  await says(
    `select hour, group_key, queue, tries, minutes from analytics.job_minutes_hourly where hour < '2026-03-02 12:00Z' or group_key is not null order by 1`,
    '02 10:00:00 | - | mac | 1 | 10\n02 12:00:00 | checks | linux | 1 | 60',
  )
})

test('build_costs: a row for each currency, and one without for minutes that have no rate', async () => {
  await stage.sql`update settings.queue_rates set currency = 'EUR' where queue = 'arm'`
  await stage.sql`delete from settings.queue_rates where queue = 'mac'`
  await says(
    `select build_number, tries, minutes, cost, currency from analytics.build_costs where build_number in (22, 27) order by build_number, currency`,
    `22 | 1 | 15 | - | -
    27 | 1 | 5 | 20 | EUR
    27 | 4 | 6.5 | 3.25 | USD`,
  )
})
