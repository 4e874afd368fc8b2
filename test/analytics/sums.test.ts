import { afterAll, beforeAll, expect, test } from 'vitest'
import { at, id } from './history.ts'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// Expected rows are written by hand from test/analytics/history.ts, not taken from what the views say.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))
/** The columns of a daily view, with the day of the month and the pipeline's slug before them. */
const daily = (view: string, columns: string, more = '') =>
  `select extract(day from day)::int, slug, ${columns} from analytics.${view} join buildkite.pipelines on pipelines.id = pipeline_id ${more} order by day, slug`

test('pipeline_durations_daily: all, those that passed, first attempts', () =>
  says(
    daily(
      'pipeline_durations_daily',
      'builds, passed, mean_seconds, p50_seconds, p90_seconds, passed_p50_seconds, first_p50_seconds, wait_p50_seconds',
    ),
    `2 | app | 5 | 4 | 432 | 480 | 600 | 480 | 360 | 20
    3 | app | 3 | 1 | 2000 | 400 | 3600 | 400 | 400 | 10
    4 | app | 3 | 2 | 500 | 180 | 1200 | 180 | 180 | 0
    4 | deploy | 1 | 1 | 900 | 900 | 900 | 900 | 900 | 300
    4 | lib | 1 | 0 | 1410 | 1410 | 1410 | - | 1410 | 30
    5 | lib | 2 | 2 | 900 | 600 | 1200 | 600 | 600 | 0
    6 | lib | 3 | 3 | 240 | 60 | 600 | 60 | 60 | 0
    9 | deploy | 4 | 2 | 600 | 600 | 600 | 600 | 600 | 0
    9 | deploy-eu | 1 | 1 | 600 | 600 | 600 | 600 | 600 | 0
    10 | lib | 2 | 0 | 300 | 300 | 300 | - | 300 | 0
    16 | app | 2 | 2 | 780 | 360 | 1200 | 360 | 360 | 0
    16 | deploy | 1 | 1 | 600 | 600 | 600 | 600 | 600 | 0
    16 | lib | 2 | 2 | 300 | 240 | 360 | 240 | 240 | 0
    17 | lib | 2 | 2 | 945 | 690 | 1200 | 690 | 600 | 0
    18 | app | 5 | 5 | 740 | 900 | 1200 | 900 | 600 | 0
    18 | lib | 3 | 0 | 60 | 60 | 60 | - | 60 | 0
    31 | app | 1 | 1 | - | - | - | - | - | 0`,
  ))

test('branch_durations_daily', () =>
  says(
    `${daily('branch_durations_daily', 'branch, builds, p50_seconds')}, branch`,
    `2 | app | feature/a | 2 | 180
    2 | app | main | 3 | 480
    3 | app | main | 2 | 3600
    3 | app | release | 1 | 400
    4 | app | feature/c | 2 | 120
    4 | app | trigger | 1 | 1200
    4 | deploy | main | 1 | 900
    4 | lib | trunk | 1 | 1410
    5 | lib | trunk | 1 | 1200
    5 | lib | wide | 1 | 600
    6 | lib | trunk | 1 | 60
    6 | lib | x | 2 | 60
    9 | deploy | main | 4 | 600
    9 | deploy-eu | main | 1 | 600
    10 | lib | trunk | 2 | 300
    16 | app | feature/d | 1 | 360
    16 | app | release | 1 | 1200
    16 | deploy | main | 1 | 600
    16 | lib | wide | 2 | 240
    17 | lib | arm | 1 | 690
    17 | lib | trunk | 1 | 1200
    18 | app | feature/e | 1 | 600
    18 | app | main | 1 | 900
    18 | app | release | 2 | 100
    18 | app | trigger | 1 | 1200
    18 | lib | trunk | 3 | 60
    31 | app | absurd | 1 | -`,
  ))

test('build_results_daily: by the final result and by the first; what waits at a gate beside them', () =>
  says(
    daily(
      'build_results_daily',
      'finished, passed, failed, canceled, skipped, first_failed, passed_on_retry, failure_rate, first_failure_rate, blocked',
    ),
    `2 | app | 5 | 4 | 1 | 1 | 1 | 2 | 1 | 0.2 | 0.4 | 0
    3 | app | 3 | 1 | 2 | 1 | 1 | 2 | 0 | 0.667 | 0.667 | 2
    4 | app | 3 | 2 | 1 | 0 | 0 | 1 | 0 | 0.333 | 0.333 | 0
    4 | deploy | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    4 | lib | 1 | 0 | 1 | 0 | 0 | 1 | 0 | 1 | 1 | 0
    5 | lib | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    6 | lib | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    9 | deploy | 4 | 2 | 2 | 1 | 0 | 2 | 0 | 0.5 | 0.5 | 1
    9 | deploy-eu | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    10 | lib | 2 | 0 | 2 | 0 | 0 | 2 | 0 | 1 | 1 | 0
    16 | app | 2 | 2 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 1
    16 | deploy | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    16 | lib | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    17 | lib | 2 | 2 | 0 | 0 | 0 | 1 | 1 | 0 | 0.5 | 0
    18 | app | 5 | 5 | 0 | 0 | 0 | 1 | 1 | 0 | 0.2 | 1
    18 | deploy | 0 | 0 | 0 | 0 | 0 | 0 | 0 | - | - | 1
    18 | lib | 3 | 0 | 3 | 0 | 0 | 3 | 0 | 1 | 1 | 0
    31 | app | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0`,
  ))

test('jobs_daily: every try, by job', () =>
  says(
    `${daily('jobs_daily', 'job, tries, passed, soft_failed, failed, infra_lost, timed_out, expired, canceled, retried, p50_seconds, run_seconds')}, job`,
    `2 | app | lint | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 60 | 60
    2 | app | test | 8 | 4 | 0 | 2 | 1 | 0 | 0 | 1 | 2 | 180 | 2200
    3 | app | lint | 1 | 0 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 60 | 60
    3 | app | test | 2 | 0 | 0 | 0 | 0 | 1 | 1 | 0 | 0 | 3600 | 3600
    4 | app | test | 2 | 1 | 0 | 1 | 0 | 0 | 0 | 0 | 0 | 120 | 300
    4 | deploy | deploy | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 900 | 900
    5 | lib | nightly | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1200 | 1200
    5 | lib | pack arm64 | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 300 | 300
    5 | lib | parts | 4 | 3 | 0 | 1 | 0 | 0 | 0 | 0 | 1 | 60 | 390
    6 | lib | test | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 600 | 600
    9 | deploy | deploy | 5 | 2 | 0 | 2 | 0 | 0 | 0 | 1 | 0 | 600 | 2460
    9 | deploy-eu | deploy | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 600 | 600
    16 | app | ship | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 600 | 600
    16 | app | test | 3 | 2 | 0 | 1 | 0 | 0 | 0 | 0 | 1 | 240 | 960
    16 | deploy | deploy | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 600 | 600
    16 | lib | Tests 1/2 | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 120 | 240
    16 | lib | Tests 2/2 | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 240 | 600
    17 | lib | pack | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 600 | 1200
    18 | app | ship | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 100 | 700
    18 | app | test | 7 | 4 | 0 | 2 | 1 | 0 | 0 | 0 | 3 | 300 | 2100
    18 | lib | pack | 6 | 2 | 0 | 4 | 0 | 0 | 0 | 0 | 0 | 60 | 360
    31 | app | test | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | - | 0`,
  ))

test('jobs_daily: its percentiles', () =>
  says(
    `select mean_seconds, p75_seconds, p90_seconds, max_seconds, passed_p50_seconds, passed_p90_seconds from analytics.jobs_daily where tries = 8`,
    '275 | 360 | 600 | 600 | 180 | 600',
  ))

test('job_failures_daily: hard, soft, infrastructure', () =>
  says(
    daily(
      'job_failures_daily',
      'tries, hard_failed, soft_failed, infra_failed, canceled, hard_failure_rate, soft_failure_rate, infra_failure_rate',
    ),
    `2 | app | 9 | 2 | 1 | 1 | 1 | 0.25 | 0.125 | 0.125
    3 | app | 3 | 2 | 0 | 1 | 0 | 0.667 | 0 | 0.333
    4 | app | 2 | 1 | 0 | 0 | 0 | 0.5 | 0 | 0
    4 | deploy | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    5 | lib | 6 | 1 | 0 | 0 | 0 | 0.167 | 0 | 0
    6 | lib | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    9 | deploy | 5 | 2 | 0 | 0 | 1 | 0.5 | 0 | 0
    9 | deploy-eu | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    16 | app | 4 | 1 | 0 | 0 | 0 | 0.25 | 0 | 0
    16 | deploy | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    16 | lib | 4 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    17 | lib | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    18 | app | 9 | 2 | 0 | 1 | 0 | 0.222 | 0 | 0.111
    18 | lib | 6 | 4 | 0 | 0 | 0 | 0.667 | 0 | 0
    31 | app | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0`,
  ))

test('flaky_jobs_daily: a lost agent is not among them, a failure after it is', () =>
  says(
    daily('flaky_jobs_daily', 'job, retried, flaky, wasted_seconds'),
    `2 | app | test | 1 | 1 | 360
    5 | lib | parts | 1 | 1 | 30
    16 | app | test | 1 | 1 | 120
    18 | app | test | 2 | 2 | 720`,
  ))

test('queue_waits_daily: of the jobs that started that day', () =>
  says(
    'select extract(day from day)::int, cluster_id, queue, started, mean_seconds, p50_seconds, p75_seconds, p90_seconds, p95_seconds, max_seconds, concurrency_wait_seconds from analytics.queue_waits_daily order by day, queue, cluster_id, started desc',
    `2 | - | linux | 9 | 22.222 | 20 | 30 | 60 | 60 | 60 | 0
    3 | - | linux | 3 | 10 | 10 | 10 | 10 | 10 | 10 | 0
    4 | - | linux | 3 | 20 | 0 | 60 | 60 | 60 | 60 | 0
    4 | - | mac | 1 | 300 | 300 | 300 | 300 | 300 | 300 | 0
    5 | ${id('c', 1)} | arm | 1 | 60 | 60 | 60 | 60 | 60 | 60 | 30
    5 | - | linux | 4 | 7.5 | 0 | 0 | 30 | 30 | 30 | 0
    6 | - | linux | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    9 | - | linux | 5 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    9 | - | linux | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    16 | - | linux | 10 | 0 | 0 | 0 | 0 | 0 | 0 | 0
    17 | ${id('c', 1)} | arm | 1 | 30 | 30 | 30 | 30 | 30 | 30 | 0
    17 | ${id('c', 2)} | arm | 1 | 120 | 120 | 120 | 120 | 120 | 120 | 0
    18 | - | linux | 15 | 1.333 | 0 | 0 | 10 | 10 | 10 | 0`,
  ))

test('queue_waits_hourly: a job across midnight is busy on both sides', () =>
  says(
    `select hour, queue, started, p50_seconds, busy_seconds from analytics.queue_waits_hourly where hour >= '2026-03-03' and hour < '2026-03-06' order by hour, queue`,
    `03 09:00:00 | linux | 1 | 10 | 1790
    03 10:00:00 | linux | 0 | - | 1810
    03 12:00:00 | linux | 2 | 10 | 60
    04 10:00:00 | mac | 1 | 300 | 900
    04 12:00:00 | linux | 2 | 0 | 300
    04 23:00:00 | linux | 1 | 60 | 600
    05 00:00:00 | linux | 0 | - | 600
    05 09:00:00 | arm | 1 | 60 | 300
    05 09:00:00 | linux | 4 | 0 | 390`,
  ))

test('queue_waits_hourly: two queues of one name, each in its cluster', () =>
  says(
    `select hour, cluster.name, queue, started, p50_seconds, busy_seconds from analytics.queue_waits_hourly
    join buildkite.clusters as cluster on cluster.id = cluster_id where hour > '2026-03-16' order by hour, name`,
    `17 09:00:00 | Edge | arm | 1 | 120 | 600
    17 09:00:00 | Main | arm | 1 | 30 | 600`,
  ))

test('busy_periods: hours in which a tenth waited more than a minute', () =>
  says(
    'select cluster_id, queue, began_at, ended_at, hours, started, worst_p90_seconds, mean_running_jobs from analytics.busy_periods order by began_at',
    `- | mac | 04 10:00:00 | 04 11:00:00 | 1 | 1 | 300 | 0.25
    ${id('c', 2)} | arm | 17 09:00:00 | 17 10:00:00 | 1 | 1 | 120 | 0.167`,
  ))

test('minutes_daily: each minute lost for one reason', () =>
  says(
    `${daily('minutes_daily', 'branch, queue, tries, minutes, minutes_infra_lost, minutes_canceled, minutes_retried, minutes_rebuilt')}, branch, queue`,
    `2 | app | feature/a | linux | 5 | 14.667 | 3 | 1.667 | 0 | 0
    2 | app | main | linux | 4 | 23 | 0 | 0 | 6 | 0
    3 | app | feature/b | linux | 1 | 1 | 0 | 0 | 0 | 0
    3 | app | main | linux | 2 | 60 | 0 | 0 | 0 | 0
    4 | app | feature/c | linux | 2 | 5 | 0 | 0 | 0 | 2
    4 | deploy | main | mac | 1 | 15 | 0 | 0 | 0 | 0
    5 | lib | trunk | linux | 1 | 20 | 0 | 0 | 0 | 0
    5 | lib | wide | arm | 1 | 5 | 0 | 0 | 0 | 0
    5 | lib | wide | linux | 4 | 6.5 | 0 | 0 | 0.5 | 0
    6 | lib | x | linux | 1 | 10 | 0 | 0 | 0 | 0
    9 | deploy | main | linux | 5 | 41 | 0 | 1 | 0 | 0
    9 | deploy-eu | main | linux | 1 | 10 | 0 | 0 | 0 | 0
    16 | app | feature/d | linux | 2 | 6 | 0 | 0 | 2 | 0
    16 | app | release | linux | 2 | 20 | 0 | 0 | 0 | 0
    16 | deploy | main | linux | 1 | 10 | 0 | 0 | 0 | 0
    16 | lib | wide | linux | 4 | 14 | 0 | 0 | 0 | 0
    17 | lib | arm | arm | 1 | 10 | 0 | 0 | 0 | 0
    17 | lib | arm | arm | 1 | 10 | 0 | 0 | 0 | 0
    18 | app | feature/e | linux | 3 | 10 | 1 | 0 | 2 | 0
    18 | app | main | linux | 2 | 15 | 0 | 0 | 10 | 0
    18 | app | release | linux | 4 | 21.667 | 0 | 0 | 0 | 0
    18 | lib | trunk | linux | 6 | 6 | 0 | 0 | 0 | 0
    31 | app | absurd | linux | 1 | 0 | 0 | 0 | 0 | 0`,
  ))

test('costs_daily: the rate that names the cluster, by id or name, before the one of all', () =>
  says(
    `${daily('costs_daily', 'branch, cluster, queue, minutes_wasted, cost, cost_wasted, currency', 'where day in (date $$2026-03-02$$, date $$2026-03-04$$, date $$2026-03-05$$, date $$2026-03-17$$)')}, branch, queue, cluster`,
    `2 | app | feature/a | - | linux | 4.667 | 7.333 | 2.333 | USD
    2 | app | main | - | linux | 6 | 11.5 | 3 | USD
    4 | app | feature/c | - | linux | 2 | 2.5 | 1 | USD
    4 | deploy | main | - | mac | 0 | 30 | 0 | USD
    5 | lib | trunk | - | linux | 0 | 10 | 0 | USD
    5 | lib | wide | Main | arm | 0 | 20 | 0 | USD
    5 | lib | wide | - | linux | 0.5 | 3.25 | 0.25 | USD
    17 | lib | arm | Edge | arm | 0 | 30 | 0 | USD
    17 | lib | arm | Main | arm | 0 | 40 | 0 | USD`,
  ))

test('queue_costs_daily: all pipelines and branches of a queue', () =>
  says(
    `select extract(day from day)::int, cluster, queue, minutes, minutes_wasted, cost, cost_wasted, currency from analytics.queue_costs_daily
    where day < '2026-03-06' or day = '2026-03-17' order by day, queue, cluster`,
    `2 | - | linux | 37.667 | 10.667 | 18.833 | 5.333 | USD
    3 | - | linux | 61 | 0 | 30.5 | 0 | USD
    4 | - | linux | 5 | 2 | 2.5 | 1 | USD
    4 | - | mac | 15 | 0 | 30 | 0 | USD
    5 | Main | arm | 5 | 0 | 20 | 0 | USD
    5 | - | linux | 26.5 | 0.5 | 13.25 | 0.25 | USD
    17 | Edge | arm | 10 | 0 | 30 | 0 | USD
    17 | Main | arm | 10 | 0 | 40 | 0 | USD`,
  ))

test('agents_daily: what each agent did', () =>
  says(
    'select extract(day from day)::int, agent_name, queue, tries, busy_seconds, infra_lost from analytics.agents_daily order by day, agent_name, queue, tries desc',
    `2 | linux-1 | linux | 9 | 2260 | 1
    3 | linux-1 | linux | 2 | 3660 | 0
    4 | linux-1 | linux | 2 | 900 | 0
    4 | mac-1 | mac | 1 | 900 | 0
    5 | linux-1 | arm | 1 | 300 | 0
    5 | linux-1 | linux | 5 | 990 | 0
    6 | linux-1 | linux | 1 | 600 | 0
    9 | linux-1 | linux | 5 | 2460 | 0
    9 | linux-1 | linux | 1 | 600 | 0
    16 | linux-1 | linux | 9 | 3000 | 0
    17 | linux-1 | arm | 2 | 1200 | 0
    18 | linux-1 | linux | 15 | 3160 | 1
    31 | linux-1 | linux | 1 | 0 | 0`,
  ))

test('trunk_health_daily', () =>
  says(
    daily('trunk_health_daily', 'builds, red_builds, commits, red_commits, green_rate, last_result, blocked'),
    `2 | app | 3 | 1 | 3 | 1 | 0.667 | passed | 0
    3 | app | 2 | 2 | 2 | 2 | 0 | failed | 0
    4 | deploy | 1 | 0 | 1 | 0 | 1 | passed | 0
    4 | lib | 1 | 1 | 1 | 1 | 0 | failed | 0
    5 | lib | 1 | 0 | 1 | 0 | 1 | passed | 0
    6 | lib | 1 | 0 | 1 | 0 | 1 | passed | 0
    9 | deploy | 4 | 2 | 4 | 2 | 0.5 | passed | 1
    9 | deploy-eu | 1 | 0 | 1 | 0 | 1 | passed | 0
    10 | lib | 2 | 2 | 2 | 2 | 0 | failed | 0
    16 | deploy | 1 | 0 | 1 | 0 | 1 | passed | 0
    17 | lib | 1 | 0 | 1 | 0 | 1 | passed | 0
    18 | app | 1 | 0 | 1 | 0 | 1 | passed | 1
    18 | lib | 3 | 3 | 3 | 3 | 0 | failed | 0`,
  ))

test('first_failures_daily', () =>
  says(
    daily('first_failures_daily', 'builds, p50_seconds, p90_seconds'),
    `2 | app | 2 | 240 | 380
    3 | app | 3 | 3600 | 3610
    4 | app | 1 | 120 | 120
    9 | deploy | 2 | 600 | 600
    18 | app | 1 | 600 | 600
    18 | lib | 3 | 60 | 60`,
  ))

test('cancellations_daily: and the minutes they had run', () =>
  says(
    `${daily('cancellations_daily', 'result, cancel_reason, builds, minutes')}, result`,
    `2 | app | canceled | Newer build | 1 | 1.667
    2 | app | skipped | Newer build | 1 | 0
    3 | app | canceled | - | 1 | 0
    9 | deploy | canceled | - | 1 | 1
    16 | app | canceled | - | 1 | 0`,
  ))

test('build_sources_daily: what created builds, and which person', () =>
  says(
    `${daily('build_sources_daily', 'source, person_email, builds')}, source`,
    `2 | app | webhook | ada@example.com | 7
    3 | app | webhook | ada@example.com | 13
    4 | app | ui | bob@example.com | 1
    4 | app | webhook | ada@example.com | 2
    4 | deploy | trigger_job | ada@example.com | 1
    4 | lib | trigger_job | ada@example.com | 1
    4 | lib | webhook | ada@example.com | 1
    5 | lib | webhook | ada@example.com | 1
    6 | lib | webhook | ada@example.com | 3
    9 | deploy | api | ada@example.com | 6
    9 | deploy-eu | webhook | ada@example.com | 1
    10 | lib | schedule | ada@example.com | 2
    16 | app | webhook | ada@example.com | 5
    16 | deploy | api | ada@example.com | 1
    16 | lib | webhook | ada@example.com | 3
    17 | lib | webhook | ada@example.com | 1
    18 | app | webhook | ada@example.com | 6
    18 | deploy | trigger_job | ada@example.com | 1
    18 | lib | webhook | ada@example.com | 3`,
  ))

test('dora_weekly: each organization for itself', () =>
  says(
    `select week::text, organization, service, environment, deployments, failed, change_failure_rate, first_failed, p50_seconds_to_restore, p50_lead_seconds
    from analytics.dora_weekly order by week, service, organization`,
    `2026-03-02 | acme | lib | registry | 3 | 1 | 0.333 | 1 | 49200 | -
    2026-03-02 | acme | shop | production | 1 | 0 | 0 | 0 | - | 177600
    2026-03-09 | globex | eu | staging | 1 | 0 | 0 | 0 | - | -
    2026-03-09 | acme | lib | registry | 2 | 2 | 1 | 2 | 604500 | -
    2026-03-09 | acme | shop | production | 4 | 2 | 0.5 | 2 | 7200 | 7200
    2026-03-09 | globex | shop | production | 1 | 0 | 0 | 0 | - | -
    2026-03-16 | acme | lib | registry | 4 | 3 | 0.75 | 4 | - | -
    2026-03-16 | acme | shop | production | 1 | 0 | 0 | 0 | - | -`,
  ))

test('webhook_loss: builds that only REST reported', () =>
  says(
    `select hour, builds, builds_lost, jobs, jobs_lost from analytics.webhook_loss where hour < '2026-03-02 11:00Z' or hour >= '2026-03-06' and hour < '2026-03-07' order by hour`,
    `02 10:00:00 | 1 | 0 | 1 | 0
    06 08:00:00 | 3 | 1 | 1 | 1`,
  ))

test('data_coverage, data_freshness, drift and reference_syncs', async () => {
  const organization = id('o', 1)
  // deploy is no longer listed. lib appeared later, and has a window of its own.
  await stage.sql`insert into sync.pipeline_coverage (pipeline_id, organization_id, listed_since, unlisted_at, covered_from, covered_until) values
    (${id('p', 1)}, ${organization}, ${at('06 00:00:00')}, null, null, null),
    (${id('p', 2)}, ${organization}, ${at('06 00:00:00')}, ${at('09 00:00:00')}, ${at('02 00:00:00')}, ${at('08 00:00:00')}),
    (${id('p', 3)}, ${organization}, ${at('08 12:00:00')}, null, null, null)`
  await stage.sql`
    insert into sync.windows (organization_id, pipeline_id, created_from, created_to, status, first_verified_at, first_verified_until, verified_at, verified_until)
    select ${organization}, pipeline::uuid, first, last, case when verified is null then 'running' else 'done' end,
      first_verified, first_verified + interval '5 minutes', verified, verified + interval '5 minutes'
    from (values
      (null, ${at('01 00:00:00')}::timestamptz, ${at('03 00:00:00')}::timestamptz, ${at('07 00:00:00')}::timestamptz, ${at('08 00:00:00')}::timestamptz),
      (null, ${at('03 00:00:00')}, ${at('05 00:00:00')}, ${at('07 00:00:00')}, ${at('07 00:00:00')}),
      (null, ${at('06 00:00:00')}, ${at('07 00:00:00')}, ${at('07 00:00:00')}, ${at('09 00:00:00')}),
      (null, ${at('05 00:00:00')}, ${at('06 00:00:00')}, null, null),
      (${id('p', 3)}, ${at('02 00:00:00')}, ${at('04 00:00:00')}, ${at('09 00:00:00')}, ${at('09 00:00:00')})
    ) as read (pipeline, first, last, first_verified, verified)`
  await stage.sql`insert into sync.watermarks (organization_id, watermark, backfill_from, backfill_to, pipelines_read_at, confirmed_to, updated_at)
    values (${organization}, ${at('10 00:00:00')}, ${at('01 00:00:00')}, ${at('07 00:00:00')}, ${at('09 23:30:00')}, ${at('09 23:00:00')}, ${at('10 00:00:00')})`
  await stage.sql`insert into sync.cycles (organization_id, kind, started_at, finished_at) values (${organization}, 'hot', ${at('10 00:00:00')}, ${at('10 00:00:05')})`
  await stage.sql`insert into sync.drift (organization_id, build_id, kind, columns, mirror, buildkite, found_at, found_by, healed_at)
    values (${organization}, ${id('b', 1)}, 'different', '{message}', '{}', '{}', ${at('08 00:00:00')}, 'audit', ${at('08 00:00:30')})`
  await stage.sql`insert into sync.reference_syncs (organization_id, name, status, rows, read_at, updated_at) values (${organization}, 'teams', 'read', 2, ${at('08 00:00:00')}, ${at('08 00:00:00')})`
  await says(
    `select organization, pipeline, complete_from, complete_to, as_of, verified_at, is_listed, is_current
     from analytics.data_coverage order by organization, pipeline, complete_from`,
    `acme | app | 01 00:00:00 | 05 00:00:00 | 09 23:00:00 | 07 00:00:00 | true | false
    acme | app | 06 00:00:00 | 09 23:00:00 | 09 23:00:00 | 07 00:00:00 | true | true
    acme | deploy | 02 00:00:00 | 08 00:00:00 | 08 00:00:00 | - | false | false
    acme | lib | 02 00:00:00 | 04 00:00:00 | 09 23:00:00 | 09 00:00:00 | true | false
    acme | lib | 06 00:00:00 | 07 00:00:00 | 09 23:00:00 | 09 00:00:00 | true | false
    acme | lib | 08 12:00:00 | 09 23:00:00 | 09 23:00:00 | 09 00:00:00 | true | true
    globex | - | - | - | - | - | false | false`,
  )
  await says(
    'select organization, watermark, last_cycle_at, last_webhook_at, last_webhook_lag_seconds, pending_webhooks, failed_webhooks, open_builds, provisional_builds, rollup_days_stale from analytics.data_freshness order by organization',
    `acme | 10 00:00:00 | 10 00:00:05 | 02 00:00:00 | 2 | 0 | 0 | 5 | 1 | 0
    globex | - | - | 02 00:00:00 | 2 | 0 | 0 | 0 | 0 | 0`,
  )
  await says(
    'select kind, columns, found_by, seconds_to_heal from analytics.drift',
    'different | {message} | audit | 30',
  )
  await says('select organization, name, status, rows from analytics.reference_syncs', 'acme | teams | read | 2')
})
