import { afterAll, beforeAll, expect, test } from 'vitest'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// Expected rows are written by hand from test/analytics/history.ts, not taken from what the views say.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))

test('jobs: why it did not pass, and where its time went', () =>
  says(
    `select build_number, job, type, result, queue, dependency_wait_seconds, concurrency_wait_seconds, agent_wait_seconds, run_seconds, retried
    from analytics.jobs where build_number in (1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12, 18, 19, 21, 22) order by build_number, started_at, job`,
    `1 | test | script | passed | linux | 10 | - | 10 | 600 | false
    2 | test | script | failed | linux | 0 | - | 20 | 300 | false
    3 | test | script | failed | linux | 10 | - | 10 | 360 | true
    3 | test | script | passed | linux | 600 | - | 20 | 120 | false
    4 | lint | script | soft_failed | linux | 0 | - | 30 | 60 | false
    4 | test | script | passed | linux | 0 | - | 30 | 180 | false
    5 | test | script | canceled | linux | 0 | - | 20 | 100 | false
    7 | test | script | infra_lost | linux | 30 | - | 0 | 180 | true
    7 | test | script | passed | linux | 210 | - | 60 | 360 | false
    8 | test | script | expired | linux | 0 | - | - | - | false
    9 | test | script | timed_out | linux | 0 | - | 10 | 3600 | false
    10 | test | script | broken | linux | - | - | - | - | false
    11 | test | script | - | linux | 0 | - | 10 | - | false
    12 | test | script | - | linux | 0 | - | - | - | false
    18 | Ship it? | manual | - | - | - | - | - | - | false
    19 | Ship it? | manual | passed | - | - | - | - | - | false
    21 | deploy it | trigger | passed | - | 0 | - | 0 | 1200 | false
    22 | deploy | script | passed | mac | 0 | - | 300 | 900 | false`,
  ))

test('jobs: a queue known by the cluster, a wait for a concurrency group, parts and matrix', () =>
  says(
    `select job, queue, dependency_wait_seconds, concurrency_wait_seconds, agent_wait_seconds, parallel_group_index, matrix, type
    from analytics.jobs where build_number = 27 order by finished_at nulls last`,
    `parts | linux | 0 | - | 0 | 2 | - | script
    parts | linux | 0 | - | 0 | 0 | - | script
    parts | linux | 0 | - | 0 | 1 | - | script
    parts | linux | 30 | - | 30 | 2 | - | script
    pack arm64 | arm | 210 | 30 | 60 | - | {"arch":"arm64"} | script
    unnamed | - | - | - | - | - | - | waiter`,
  ))

test('jobs: a job whose build is not known is there all the same', () =>
  says(`select job, build_number, result from analytics.jobs where job = 'orphan'`, 'orphan | - | passed'))

test('job_retries: first and last try; a lost agent makes no job flaky, a failure after it does', () =>
  says(
    `select pipeline, job, tries, first_result, final_result, flaky, retry_type, retried_by_name, first_finished_at, final_finished_at
    from analytics.job_retries order by first_finished_at`,
    `app | test | 2 | failed | passed | true | manual | Bob | 02 12:06:20 | 02 12:12:20
    app | test | 2 | infra_lost | passed | false | automatic | - | 02 14:05:00 | 02 14:12:00
    lib | parts | 2 | failed | passed | true | automatic | - | 05 09:00:30 | 05 09:04:00
    app | test | 2 | failed | passed | true | automatic | - | 16 15:02:00 | 16 15:06:00
    app | test | 2 | failed | passed | true | manual | Bob | 18 10:10:00 | 18 12:05:00
    app | test | 3 | infra_lost | passed | true | automatic | - | 18 19:01:00 | 18 19:10:00`,
  ))

test('approvals: since when it waits, who let it go; over REST, from the end of what ran before', () =>
  says(
    'select pipeline, branch, step, state, blocked_at, unblocked_at, wait_seconds, unblocked_by_email from analytics.approvals order by blocked_at',
    `app | release | Ship it? | blocked | 03 13:05:10 | - | - | -
    app | release | Ship it? | unblocked | 03 14:05:10 | 03 15:05:10 | 3600 | carol@example.com
    app | release | Ship it? | unblocked | 16 16:10:00 | 16 17:10:00 | 3600 | carol@example.com`,
  ))

test('parallel_steps: by the last try of each part; without a key, by the name of the first', () =>
  says(
    'select pipeline, step, parts, total, min_seconds, mean_seconds, max_seconds, imbalance from analytics.parallel_steps order by created_at',
    `lib | parts | 3 | 3 | 60 | 120 | 180 | 1.5
    lib | Tests 1/2 | 2 | 2 | 120 | 240 | 360 | 1.5
    lib | Tests 1/2 | 2 | 2 | 120 | 180 | 240 | 1.333`,
  ))

test('critical_paths: from the last job back to what it waited for', () =>
  says(
    `select position, job, agent_wait_seconds, run_seconds from analytics.critical_paths as path
    join buildkite.builds as build on build.id = build_id where number = 27 order by position`,
    `1 | parts | 0 | 30
    2 | parts | 30 | 180
    3 | pack arm64 | 60 | 300`,
  ))

test('first_failures: the first sign, be it failing_at or a job; not what Buildkite retried by itself', () =>
  says(
    `select number, job, first.failing_at, job_failed_at, first_failure_at, seconds_to_first_failure, total_seconds
    from analytics.first_failures as first join buildkite.builds as build on build.id = build_id order by number`,
    `2 | test | 02 11:04:00 | 02 11:05:20 | 02 11:04:00 | 240 | 320
    3 | test | - | 02 12:06:20 | 02 12:06:20 | 380 | 740
    8 | test | - | 03 09:00:00 | 03 09:00:00 | 3600 | 3600
    9 | test | - | 03 10:30:10 | 03 10:30:10 | 3610 | 3610
    13 | lint | 03 12:03:10 | 03 12:03:10 | 03 12:03:10 | 70 | -
    24 | test | - | 04 12:02:00 | 04 12:02:00 | 120 | 120
    32 | deploy | - | 09 11:10:00 | 09 11:10:00 | 600 | 600
    33 | deploy | - | 09 12:10:00 | 09 12:10:00 | 600 | 600
    50 | test | - | 18 10:10:00 | 18 10:10:00 | 600 | 7500
    53 | pack | - | 18 08:01:00 | 18 08:01:00 | 60 | 60
    54 | pack | - | 18 09:01:00 | 18 09:01:00 | 60 | 60
    55 | pack | - | 18 10:01:00 | 18 10:01:00 | 60 | 60`,
  ))

test('job_breaks: passed in the build before, failed or timed out here; each part of a matrix by itself', () =>
  says(
    'select pipeline, job, last_good_build_number, broken_by_build_number, broken_by_commit, broken_by_email, broken_at from analytics.job_breaks order by broken_at',
    `app | test | 1 | 2 | c2 | ada@example.com | 02 11:05:20
    app | test | 3 | 9 | c9 | ada@example.com | 03 10:30:10
    deploy | deploy | 31 | 32 | c32 | ada@example.com | 09 11:10:00
    lib | pack | 54 | 55 | c55 | ada@example.com | 18 10:01:00`,
  ))

test('deployments: what the rules find, in the shape of DX', async () => {
  await says(
    `select build.number, repository, commit_sha, environment, service, success, deployed_at, source_name, integration_branch, deployment_inference_rule_id, merge_commit_shas
    from analytics.deployments left join buildkite.jobs as job on job.id::text = reference_id
    join buildkite.builds as build on build.id::text = reference_id or build.id = job.build_id order by number, environment`,
    `22 | acme/app | c1 | production | shop | true | 04 10:20:00 | DEPLOY | main | 1 | {c1}
    23 | group/sub/lib | c23 | registry | lib | false | 04 10:30:00 | LIB | trunk | 2 | {c23}
    26 | group/sub/lib | c26 | registry | lib | true | 05 00:10:00 | LIB | trunk | 2 | {c26}
    28 | group/sub/lib | c28 | registry | lib | true | 06 08:01:00 | LIB | trunk | 2 | {c28}
    31 | acme/app | c31 | production | shop | true | 09 10:10:00 | DEPLOY | main | 1 | {c31}
    32 | acme/app | c32 | production | shop | false | 09 11:10:00 | DEPLOY | main | 1 | {c32}
    33 | acme/app | c33 | production | shop | false | 09 12:10:00 | DEPLOY | main | 1 | {c33}
    34 | acme/app | c34 | production | shop | true | 09 13:10:00 | DEPLOY | main | 1 | {c34}
    37 | group/sub/lib | c37 | registry | lib | false | 10 08:05:00 | LIB | trunk | 2 | {c37}
    38 | group/sub/lib | c38 | registry | lib | false | 10 09:05:00 | LIB | trunk | 2 | {c38}
    39 | group/sub/lib | c39 | registry | lib | true | 17 08:00:00 | LIB | trunk | 2 | {c39}
    46 | globex/deploy-eu | c46 | production | shop | true | 09 12:40:00 | DEPLOY-EU | main | 1 | {c46}
    46 | globex/deploy-eu | c46 | staging | eu | true | 09 12:40:00 | DEPLOY-EU | main | 3 | {c46}
    47 | acme/app | c47 | production | shop | true | 16 14:10:00 | DEPLOY | main | 1 | {c47}
    53 | group/sub/lib | c53 | registry | lib | false | 18 08:01:00 | LIB | trunk | 2 | {c53}
    54 | group/sub/lib | c54 | registry | lib | false | 18 09:01:00 | LIB | trunk | 2 | {c54}
    55 | group/sub/lib | c55 | registry | lib | false | 18 10:01:00 | LIB | trunk | 2 | {c55}`,
  )
  await says(
    `select string_agg(column_name, ' ' order by ordinal_position) from information_schema.columns where table_schema = 'analytics' and table_name = 'deployments'`,
    'id reference_id service_id repository commit_sha attributed_at merge_commit_shas environment deployed_at success service source_url source_name integration_branch deployment_inference_rule_id deployment_service_id organization_id pipeline_id committed_at first_success',
  )
})

test('deployments: whose they are, and when the commit was written', () =>
  says(
    `select deployment.environment, organization.slug, pipeline.slug, commit_sha, committed_at from analytics.deployments as deployment
    join buildkite.organizations as organization on organization.id = organization_id join buildkite.pipelines as pipeline on pipeline.id = pipeline_id
    where commit_sha in ('c1', 'c31', 'c32', 'c46') order by commit_sha, environment`,
    `production | acme | deploy | c1 | 02 09:00:00
    production | acme | deploy | c31 | 09 08:10:00
    production | acme | deploy | c32 | -
    production | globex | deploy-eu | c46 | -
    staging | globex | deploy-eu | c46 | -`,
  ))

test('build_state and build_result: blocked is no result, canceled always is', () =>
  says(
    `select analytics.build_state(state, blocked), analytics.build_result(state, blocked) from (values
      ('passed', null), ('passed', false), ('passed', true), ('blocked', false), ('canceled', true), ('canceling', false), ('running', true),
      (null, true)) as build (state, blocked)`,
    `passed | passed
    passed | passed
    blocked | -
    blocked | -
    canceled | canceled
    canceling | -
    blocked | -
    blocked | -`,
  ))

test('job_result: by state, signal and exit status', () =>
  says(
    `select state, signal, exit, analytics.job_result(state, soft, exit, signal) from (values
      ('passed', false, 0::bigint, null), ('unblocked', false, null, null), ('failed', false, 1, null), ('failed', true, 1, null),
      ('failed', false, -1, null), ('failed', true, -1, 'agent_stop'), ('failed', false, 1, 'cancel'), ('finished', false, 0, null), ('finished', false, 2, null),
      ('waiting_failed', false, null, null), ('limited', false, null, null), (null, null, null, null)) as job (state, soft, exit, signal)`,
    `passed | - | 0 | passed
    unblocked | - | - | passed
    failed | - | 1 | failed
    failed | - | 1 | soft_failed
    failed | - | -1 | infra_lost
    failed | agent_stop | -1 | infra_lost
    failed | cancel | 1 | failed
    finished | - | 0 | passed
    finished | - | 2 | failed
    waiting_failed | - | - | broken
    limited | - | - | -
    - | - | - | -`,
  ))
