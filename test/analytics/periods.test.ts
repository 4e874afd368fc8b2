import { afterAll, beforeAll, expect, test } from 'vitest'
import { id } from './history.ts'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// Expected rows are written by hand. The history: test/analytics/history.ts, and jobs of a pipeline of this file's own.

const slow = id('p', 91)
let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
  await addJobs()
  await stage.refresh()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))

/**
 * Four weeks and the week after them, from Monday 1 June 2026, 30 tries of each job in a week. `grows` takes 100 s and then 130 s, `same`
 * 100 s and 124 s, `fails` fails once a week and then six times, `unlucky` once a week and then twice, `rare` has too few tries.
 */
async function addJobs(): Promise<void> {
  await stage.sql`
    insert into buildkite.pipelines (id, organization_id, slug, observed_at, first_seen_at, first_seen_via, changed_at)
    values (${slow}, ${id('o', 1)}, 'slow', now(), now(), 'rest', now())`
  await stage.sql`
    insert into buildkite.builds (id, organization_id, pipeline_id, number, state, branch, commit, created_at, started_at, finished_at,
      observed_at, first_seen_at, first_seen_via, changed_at)
    select md5('slow' || week)::uuid, ${id('o', 1)}, ${slow}, week, 'passed', 'main', 'c' || week, t, t, t + interval '1 hour', t, t, 'webhook', t
    from generate_series(0, 4) as week cross join lateral (select timestamptz '2026-06-01 10:00Z' + week * interval '7 days' as t) as at`
  await stage.sql`
    insert into buildkite.jobs (id, build_id, type, name, state, exit_status, started_at, finished_at,
      observed_at, first_seen_at, first_seen_via, changed_at)
    select md5(name || week || n)::uuid, md5('slow' || week)::uuid, 'script', name, case when n <= failed then 'failed' else 'passed' end,
      case when n <= failed then 1 else 0 end, t, t + make_interval(secs => case when n <= failed then 5 else seconds end), t, t, 'webhook', t
    from generate_series(0, 4) as week
    cross join lateral (values
      ('grows', 30, 0, case when week = 4 then 130 else 100 end),
      ('same', 30, 0, case when week = 4 then 124 else 100 end),
      ('fails', 30, case when week = 4 then 6 else 1 end, 100),
      ('unlucky', 30, case when week = 4 then 2 else 1 end, 100),
      ('rare', 4, case when week = 4 then 4 else 0 end, case when week = 4 then 500 else 100 end)
    ) as job (name, tries, failed, seconds)
    cross join lateral generate_series(1, tries) as n
    cross join lateral (select timestamptz '2026-06-01 10:00Z' + week * interval '7 days' + n % 5 * interval '1 day' as t) as at`
}

test('pipeline_durations_by_period: percentiles of the builds of a week and of a month, not of its days', async () => {
  const columns =
    'period, starts_on::text, slug, builds, passed, failure_rate, mean_seconds, p50_seconds, p90_seconds, first_p50_seconds'
  await says(
    `select ${columns} from analytics.pipeline_durations_by_period join buildkite.pipelines on pipelines.id = pipeline_id
    where slug = 'lib' order by period desc, starts_on`,
    `week | 2026-03-02 | lib | 6 | 5 | 0.167 | 655 | 600 | 1410 | 600
    week | 2026-03-09 | lib | 2 | 0 | 1 | 300 | 300 | 300 | 300
    week | 2026-03-16 | lib | 7 | 4 | 0.429 | 381.429 | 240 | 1200 | 240
    month | 2026-03-01 | lib | 15 | 9 | 0.4 | 480 | 300 | 1200 | 300`,
  )
})

test('jobs_by_period', () =>
  says(
    `select period, starts_on::text, job, tries, passed, failed, hard_failure_rate, p50_seconds, p90_seconds, max_seconds, run_seconds
    from analytics.jobs_by_period where pipeline_id = '${slow}' and job = 'fails' order by period desc, starts_on`,
    `week | 2026-06-01 | fails | 30 | 29 | 1 | 0.033 | 100 | 100 | 100 | 2905
    week | 2026-06-08 | fails | 30 | 29 | 1 | 0.033 | 100 | 100 | 100 | 2905
    week | 2026-06-15 | fails | 30 | 29 | 1 | 0.033 | 100 | 100 | 100 | 2905
    week | 2026-06-22 | fails | 30 | 29 | 1 | 0.033 | 100 | 100 | 100 | 2905
    week | 2026-06-29 | fails | 30 | 24 | 6 | 0.2 | 100 | 100 | 100 | 2430
    month | 2026-06-01 | fails | 132 | 125 | 7 | 0.053 | 100 | 100 | 100 | 12535
    month | 2026-07-01 | fails | 18 | 15 | 3 | 0.167 | 100 | 100 | 100 | 1515`,
  ))

test('period_changes: each period beside the one before it, if that has builds', () =>
  says(
    `select period, starts_on::text, builds, previous_builds, p50_seconds, previous_p50_seconds, failure_rate, previous_failure_rate
    from analytics.period_changes join buildkite.pipelines on pipelines.id = pipeline_id where slug = 'lib' order by period desc, starts_on`,
    `week | 2026-03-02 | 6 | - | 600 | - | 0.167 | -
    week | 2026-03-09 | 2 | 6 | 300 | 600 | 1 | 0.167
    week | 2026-03-16 | 7 | 2 | 240 | 300 | 0.429 | 1
    month | 2026-03-01 | 15 | - | 300 | - | 0.4 | -`,
  ))

test('job_regressions: clearly slower, or failing clearly more often, than in the four weeks before', () =>
  says(
    `select week::text, job, is_slower, fails_more, passed, previous_passed, passed_p50_seconds, previous_passed_p50_seconds,
      not_canceled, previous_not_canceled, hard_failure_rate, previous_hard_failure_rate
    from analytics.job_regressions where pipeline_id = '${slow}' order by week, job`,
    `2026-06-29 | fails | false | true | 24 | 116 | 100 | 100 | 30 | 120 | 0.2 | 0.033
    2026-06-29 | grows | true | false | 30 | 120 | 130 | 100 | 30 | 120 | 0 | 0`,
  ))
