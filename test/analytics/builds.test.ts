import { afterAll, beforeAll, expect, test } from 'vitest'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// Expected rows are written by hand from test/analytics/history.ts, not taken from what the views say.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))

test('pipeline_sources: Buildkite, alone', () =>
  says('select * from analytics.pipeline_sources', '1 | Buildkite | false'))

test('the columns of DX, in its order', () =>
  says(
    `select table_name, string_agg(column_name || ' ' || data_type, ', ' order by ordinal_position) from information_schema.columns
    where table_schema = 'analytics' and table_name in ('pipeline_sources', 'pipeline_runs', 'pipeline_jobs', 'deployments') group by 1 order by 1`,
    `deployments | id text, reference_id text, service_id bigint, repository text, commit_sha text, attributed_at timestamp with time zone, merge_commit_shas ARRAY, environment text, deployed_at timestamp with time zone, success boolean, service text, source_url text, source_name text, integration_branch text, deployment_inference_rule_id bigint, deployment_service_id bigint, organization_id uuid, pipeline_id uuid, committed_at timestamp with time zone, first_success boolean
    pipeline_jobs | id uuid, pipeline_run_id uuid, reference_id text, source_id text, name text, status text, duration integer, started_at timestamp with time zone, finished_at timestamp with time zone
    pipeline_runs | id uuid, reference_id text, source_id text, pipeline_source_id bigint, name text, status text, started_at timestamp with time zone, finished_at timestamp with time zone, updated_at timestamp with time zone, duration integer, repository text, commit_sha text, head_branch text, pr_number integer, pull_id bigint, dx_user_id bigint, email text, source_url text, github_repository_id bigint, github_username text, gitlab_project_id bigint
    pipeline_sources | id bigint, name text, api boolean`,
  ))

test('a query written for DX runs unchanged', async () => {
  await stage.sql`set search_path = analytics, public`
  await says(
    `select s.name, r.name, count(*) as runs, count(*) filter (where r.status = 'success') as green, round(avg(r.duration)) as seconds
    from pipeline_runs r join pipeline_sources s on s.id = r.pipeline_source_id
    where r.repository = 'acme/app' and r.started_at >= '2026-03-09' and r.started_at < '2026-03-16' and r.finished_at is not null
    group by 1, 2`,
    'Buildkite | DEPLOY | 5 | 2 | 492',
  )
  await stage.sql`reset search_path`
})

test('pipeline_runs: a blocked build is no success, one that a retry turned green is', () =>
  says(
    `select number, run.name, status, run.started_at, run.finished_at, run.duration, run.pr_number, run.email
    from analytics.pipeline_runs as run join buildkite.builds using (id) order by number`,
    `1 | APP | success | 02 10:00:20 | 02 10:10:20 | 600 | - | ada@example.com
    2 | APP | failure | 02 11:00:20 | 02 11:05:20 | 300 | - | ada@example.com
    3 | APP | success | 02 12:00:20 | 02 12:12:20 | 720 | - | ada@example.com
    4 | APP | success | 02 13:00:30 | 02 13:03:30 | 180 | 7 | ada@example.com
    5 | APP | cancelled | 02 14:00:20 | 02 14:02:00 | 100 | 7 | ada@example.com
    6 | APP | cancelled | - | - | - | 7 | ada@example.com
    7 | APP | success | 02 14:02:00 | 02 14:12:00 | 600 | 7 | ada@example.com
    8 | APP | failure | - | 03 09:00:00 | - | - | ada@example.com
    9 | APP | failure | 03 09:30:10 | 03 10:30:10 | 3600 | - | ada@example.com
    10 | APP | cancelled | - | 03 11:00:01 | - | - | ada@example.com
    11 | APP | running | 03 12:00:10 | - | - | - | ada@example.com
    12 | APP | running | - | - | - | - | ada@example.com
    13 | APP | running | 03 12:02:10 | - | - | - | ada@example.com
    14 | APP | cancelled | - | 03 12:04:30 | - | - | ada@example.com
    15 | APP | running | 03 12:05:10 | - | - | - | ada@example.com
    16 | APP | running | - | - | - | - | ada@example.com
    17 | APP | unknown | - | - | - | - | ada@example.com
    18 | APP | running | 03 13:00:10 | - | - | - | ada@example.com
    19 | APP | success | 03 14:00:10 | 03 15:06:50 | 4000 | - | ada@example.com
    20 | APP | running | - | - | - | - | ada@example.com
    21 | APP | success | 04 10:00:00 | 04 10:20:00 | 1200 | - | ada@example.com
    22 | DEPLOY | success | 04 10:05:00 | 04 10:20:00 | 900 | - | ada@example.com
    23 | LIB | failure | 04 10:06:30 | 04 10:30:00 | 1410 | - | ada@example.com
    24 | APP | failure | 04 12:00:00 | 04 12:02:00 | 120 | - | ada@example.com
    25 | APP | success | 04 12:10:00 | 04 12:13:00 | 180 | - | bob@example.com
    26 | LIB | success | 04 23:50:00 | 05 00:10:00 | 1200 | - | ada@example.com
    27 | LIB | success | 05 09:00:00 | 05 09:10:00 | 600 | - | ada@example.com
    28 | LIB | success | 06 08:00:00 | 06 08:01:00 | 60 | - | ada@example.com
    29 | LIB | success | 06 08:10:00 | 06 08:11:00 | 60 | - | ada@example.com
    30 | LIB | success | 06 08:20:00 | 06 08:30:00 | 600 | - | ada@example.com
    31 | DEPLOY | success | 09 10:00:00 | 09 10:10:00 | 600 | - | ada@example.com
    32 | DEPLOY | failure | 09 11:00:00 | 09 11:10:00 | 600 | - | ada@example.com
    33 | DEPLOY | failure | 09 12:00:00 | 09 12:10:00 | 600 | - | ada@example.com
    34 | DEPLOY | success | 09 13:00:00 | 09 13:10:00 | 600 | - | ada@example.com
    35 | DEPLOY | cancelled | 09 14:00:00 | 09 14:01:00 | 60 | - | ada@example.com
    36 | DEPLOY | running | 09 15:00:00 | - | - | - | ada@example.com
    37 | LIB | failure | 10 08:00:00 | 10 08:05:00 | 300 | - | ada@example.com
    38 | LIB | failure | 10 09:00:00 | 10 09:05:00 | 300 | - | ada@example.com
    39 | LIB | success | 16 23:20:00 | 17 08:00:00 | 31200 | - | ada@example.com
    40 | APP | cancelled | 16 09:00:00 | 16 09:30:00 | 1800 | - | ada@example.com
    41 | APP | running | 16 10:00:10 | - | - | - | ada@example.com
    42 | APP | success | 16 11:00:00 | 31 00:00:00 | - | - | ada@example.com
    43 | LIB | success | 16 12:00:00 | 16 12:06:00 | 360 | - | ada@example.com
    44 | LIB | success | 16 13:00:00 | 16 13:04:00 | 240 | - | ada@example.com
    45 | LIB | success | 17 09:00:30 | 17 09:12:00 | 690 | - | ada@example.com
    46 | DEPLOY-EU | success | 09 12:30:00 | 09 12:40:00 | 600 | - | ada@example.com
    47 | DEPLOY | success | 16 14:00:00 | 16 14:10:00 | 600 | - | ada@example.com
    48 | APP | success | 16 15:00:00 | 16 15:06:00 | 360 | - | ada@example.com
    49 | APP | success | 16 16:00:00 | 16 17:20:00 | 4800 | - | ada@example.com
    50 | APP | success | 18 10:00:00 | 18 12:05:00 | 7500 | - | ada@example.com
    51 | APP | success | 18 13:00:00 | 18 14:10:00 | 4200 | - | ada@example.com
    52 | APP | running | 18 15:00:00 | - | - | - | ada@example.com
    53 | LIB | failure | 18 08:00:00 | 18 08:01:00 | 60 | - | ada@example.com
    54 | LIB | failure | 18 09:00:00 | 18 09:01:00 | 60 | - | ada@example.com
    55 | LIB | failure | 18 10:00:00 | 18 10:01:00 | 60 | - | ada@example.com
    56 | APP | success | 18 19:00:00 | 18 19:10:00 | 600 | - | ada@example.com
    57 | APP | success | 18 20:00:00 | 18 20:20:00 | 1200 | - | ada@example.com
    58 | DEPLOY | running | 18 20:19:00 | - | - | - | ada@example.com
    59 | APP | success | 18 17:00:10 | 18 18:06:50 | 4000 | - | ada@example.com`,
  ))

test('pipeline_runs: the rest of its columns', () =>
  says(
    `select pipeline_source_id, repository, commit_sha, head_branch, github_username, source_id = id::text, count(*)
    from analytics.pipeline_runs where commit_sha in ('c4', 'c31', 'c26', 'c46') group by 1, 2, 3, 4, 5, 6 order by commit_sha`,
    `1 | group/sub/lib | c26 | trunk | - | true | 1
    1 | acme/app | c31 | main | - | true | 1
    1 | acme/app | c4 | feature/a | - | true | 1
    1 | globex/deploy-eu | c46 | main | - | true | 1`,
  ))

test('pipeline_jobs: command and trigger jobs, every try', () =>
  says(
    `select build.number, job.name, job.status, count(*), sum(job.duration) from analytics.pipeline_jobs as job
    left join buildkite.builds as build on build.id = pipeline_run_id group by 1, 2, 3 order by 1, 2, 3`,
    `1 | test | success | 1 | 600
    2 | test | failure | 1 | 300
    3 | test | failure | 1 | 360
    3 | test | success | 1 | 120
    4 | lint | failure | 1 | 60
    4 | test | success | 1 | 180
    5 | test | not_finished | 1 | 100
    7 | test | failure | 1 | 180
    7 | test | success | 1 | 360
    8 | test | failure | 1 | -
    9 | test | failure | 1 | 3600
    10 | test | not_finished | 1 | -
    11 | test | not_finished | 1 | -
    12 | test | not_finished | 1 | -
    13 | lint | failure | 1 | 60
    21 | deploy it | success | 1 | 1200
    22 | deploy | success | 1 | 900
    24 | test | failure | 1 | 120
    25 | test | success | 1 | 180
    26 | nightly | success | 1 | 1200
    27 | pack arm64 | success | 1 | 300
    27 | parts | failure | 1 | 30
    27 | parts | success | 3 | 360
    30 | test | success | 1 | 600
    31 | deploy | success | 1 | 600
    32 | deploy | failure | 1 | 600
    33 | deploy | failure | 1 | 600
    34 | deploy | success | 1 | 600
    35 | deploy | not_finished | 1 | 60
    42 | test | success | 1 | -
    43 | Tests 1/2 | success | 1 | 120
    43 | Tests 2/2 | success | 1 | 360
    44 | Tests 1/2 | success | 1 | 120
    44 | Tests 2/2 | success | 1 | 240
    45 | pack | success | 2 | 1200
    46 | deploy | success | 1 | 600
    47 | deploy | success | 1 | 600
    48 | test | failure | 1 | 120
    48 | test | success | 1 | 240
    49 | ship | success | 1 | 600
    49 | test | success | 1 | 600
    50 | test | failure | 1 | 600
    50 | test | success | 1 | 300
    51 | ship | success | 1 | 600
    51 | test | success | 1 | 300
    53 | pack | failure | 1 | 60
    53 | pack | success | 1 | 60
    54 | pack | failure | 1 | 60
    54 | pack | success | 1 | 60
    55 | pack | failure | 2 | 120
    56 | test | failure | 2 | 180
    56 | test | success | 1 | 420
    59 | ship | success | 1 | 100
    59 | test | success | 1 | 300
    - | orphan | success | 1 | -`,
  ))

test('builds: state and result, first and final, waits and runs', () =>
  says(
    `select build_number, state, result, first_result, attempts, started_at, finished_at, wait_seconds, run_seconds, first_run_seconds, total_seconds
    from analytics.builds where build_number <= 20 or build_number >= 39 order by build_number`,
    `1 | passed | passed | passed | 1 | 02 10:00:20 | 02 10:10:20 | 20 | 600 | 600 | 620
    2 | failed | failed | failed | 1 | 02 11:00:20 | 02 11:05:20 | 20 | 300 | 300 | 320
    3 | passed | passed | failed | 2 | 02 12:00:20 | 02 12:12:20 | 20 | 480 | 360 | 740
    4 | passed | passed | passed | 1 | 02 13:00:30 | 02 13:03:30 | 30 | 180 | 180 | 210
    5 | canceled | canceled | canceled | 1 | 02 14:00:20 | 02 14:02:00 | 20 | 100 | 100 | 120
    6 | skipped | skipped | - | 0 | - | - | - | - | - | -
    7 | passed | passed | passed | 1 | 02 14:02:00 | 02 14:12:00 | 30 | 600 | 600 | 630
    8 | failed | failed | failed | 1 | - | 03 09:00:00 | - | - | - | 3600
    9 | failed | failed | failed | 1 | 03 09:30:10 | 03 10:30:10 | 10 | 3600 | 3600 | 3610
    10 | not_run | not_run | - | 0 | - | 03 11:00:01 | - | - | - | 1
    11 | running | - | - | 0 | 03 12:00:10 | - | 10 | - | - | -
    12 | scheduled | - | - | 0 | - | - | - | - | - | -
    13 | failing | - | - | 0 | 03 12:02:10 | - | 10 | - | - | -
    14 | canceled | canceled | canceled | 1 | - | 03 12:04:30 | - | - | - | 30
    15 | canceling | - | - | 0 | 03 12:05:10 | - | 10 | - | - | -
    16 | creating | - | - | 0 | - | - | - | - | - | -
    17 | stalled | - | - | 0 | - | - | - | - | - | -
    18 | blocked | - | - | 0 | 03 13:00:10 | - | 10 | 300 | 300 | -
    19 | passed | passed | passed | 1 | 03 14:00:10 | 03 15:06:50 | 10 | 400 | 400 | 4010
    20 | blocked | - | - | 0 | - | - | - | - | - | -
    39 | passed | passed | failed | 2 | 16 23:20:00 | 17 08:00:00 | 0 | 1200 | 600 | 31200
    40 | canceled | canceled | canceled | 1 | 16 09:00:00 | 16 09:30:00 | 0 | 300 | 300 | 1800
    41 | blocked | - | - | 0 | 16 10:00:10 | - | 10 | 300 | 300 | -
    42 | passed | passed | passed | 1 | 16 11:00:00 | 31 00:00:00 | 0 | - | - | -
    43 | passed | passed | passed | 1 | 16 12:00:00 | 16 12:06:00 | 0 | 360 | 360 | 360
    44 | passed | passed | passed | 1 | 16 13:00:00 | 16 13:04:00 | 0 | 240 | 240 | 240
    45 | passed | passed | passed | 1 | 17 09:00:30 | 17 09:12:00 | 30 | 690 | 690 | 720
    46 | passed | passed | passed | 1 | 09 12:30:00 | 09 12:40:00 | 0 | 600 | 600 | 600
    47 | passed | passed | passed | 1 | 16 14:00:00 | 16 14:10:00 | 0 | 600 | 600 | 600
    48 | passed | passed | passed | 1 | 16 15:00:00 | 16 15:06:00 | 0 | 360 | 360 | 360
    49 | passed | passed | passed | 1 | 16 16:00:00 | 16 17:20:00 | 0 | 1200 | 1200 | 4800
    50 | passed | passed | failed | 2 | 18 10:00:00 | 18 12:05:00 | 0 | 900 | 600 | 7500
    51 | passed | passed | passed | 1 | 18 13:00:00 | 18 14:10:00 | 0 | 900 | 900 | 4200
    52 | blocked | - | - | 0 | 18 15:00:00 | - | 0 | 300 | 300 | -
    53 | failed | failed | failed | 1 | 18 08:00:00 | 18 08:01:00 | 0 | 60 | 60 | 60
    54 | failed | failed | failed | 1 | 18 09:00:00 | 18 09:01:00 | 0 | 60 | 60 | 60
    55 | failed | failed | failed | 1 | 18 10:00:00 | 18 10:01:00 | 0 | 60 | 60 | 60
    56 | passed | passed | passed | 1 | 18 19:00:00 | 18 19:10:00 | 0 | 600 | 600 | 600
    57 | passed | passed | passed | 1 | 18 20:00:00 | 18 20:20:00 | 0 | 1200 | 1200 | 1200
    58 | blocked | - | - | 0 | 18 20:19:00 | - | 0 | 120 | 120 | -
    59 | passed | passed | passed | 1 | 18 17:00:10 | 18 18:06:50 | 10 | 100 | 100 | 4010`,
  ))

test('builds: whose they are, what they ran on, what is known of them', () =>
  says(
    `select build_number, pipeline, branch, is_default_branch, pr_number, queues, tags, teams, source, creator_email, is_provisional, deleted_at
    from analytics.builds where build_number in (1, 4, 18, 22, 24, 27, 28, 29, 37) order by build_number`,
    `1 | app | main | true | - | {linux} | {web,tier-1} | {payments} | webhook | ada@example.com | false | -
    4 | app | feature/a | false | 7 | {linux} | {web,tier-1} | {payments} | webhook | ada@example.com | false | -
    18 | app | release | false | - | {} | {web,tier-1} | {payments} | webhook | ada@example.com | false | -
    22 | deploy | main | true | - | {mac} | {} | {} | trigger_job | ada@example.com | false | -
    24 | app | feature/c | false | - | {linux} | {web,tier-1} | {payments} | webhook | ada@example.com | false | -
    27 | lib | wide | false | - | {arm,linux} | {} | {} | webhook | ada@example.com | false | -
    28 | lib | trunk | true | - | {} | {} | {} | webhook | ada@example.com | false | 08 00:00:00
    29 | lib | x | false | - | {} | {} | {} | webhook | ada@example.com | true | -
    37 | lib | trunk | true | - | {} | {} | {} | schedule | - | false | -`,
  ))

test('build_attempts: each finish, a stop at a gate among them', () =>
  says(
    `select build_number, attempt, state, result, started_at, finished_at, run_seconds from analytics.build_attempts
    where build_number in (3, 5, 14, 18, 19, 20, 39, 40) order by build_number, attempt`,
    `3 | 1 | failed | failed | 02 12:00:20 | 02 12:06:20 | 360
    3 | 2 | passed | passed | 02 12:10:20 | 02 12:12:20 | 120
    5 | 1 | canceled | canceled | 02 14:00:20 | 02 14:02:00 | 100
    14 | 1 | canceled | canceled | - | 03 12:04:30 | -
    18 | 1 | blocked | - | 03 13:00:10 | 03 13:05:10 | 300
    19 | 1 | blocked | - | 03 14:00:10 | 03 14:05:10 | 300
    19 | 2 | passed | passed | 03 15:05:10 | 03 15:06:50 | 100
    20 | 1 | blocked | - | - | 03 16:00:01 | -
    39 | 1 | failed | failed | 16 23:20:00 | 16 23:30:00 | 600
    39 | 2 | passed | passed | 17 07:50:00 | 17 08:00:00 | 600
    40 | 1 | blocked | - | 16 09:00:00 | 16 09:05:00 | 300
    40 | 2 | canceled | canceled | - | 16 09:30:00 | -`,
  ))

test('attempt_runs: up to the first result, and after it', () =>
  says(
    `select number, run_seconds, is_first from analytics.attempt_runs join buildkite.builds on id = build_id where number in (3, 19) order by number, attempt_runs.finished_at`,
    `3 | 360 | true
    3 | 120 | false
    19 | 300 | true
    19 | 100 | true`,
  ))

test('pipelines: with tags, teams and cluster', () =>
  says(
    'select pipeline, organization, repository, default_branch, tags, teams, cluster from analytics.pipelines order by pipeline',
    `app | acme | acme/app | main | {web,tier-1} | {payments} | -
    deploy | acme | acme/app | main | {} | {} | Main
    deploy-eu | globex | globex/deploy-eu | main | {} | {} | -
    lib | acme | group/sub/lib | trunk | {} | {} | -`,
  ))

test('repository_name and repository_url: never a credential', () =>
  says(
    `select analytics.repository_name(url), analytics.repository_url(url) from (values
      (1, 'https://github.com/acme/app.git'), (2, 'git@github.com:acme/app.git'), (3, 'https://x-access-token:ghp_SECRET@github.com/acme/app.git'),
      (4, 'https://ghp_SECRET@github.com/acme/app/'), (5, 'HTTPS://user:p@ss@example.com:8443/a/b/c'), (6, 'ssh://git:SECRET@example.com:22/acme/app.git'),
      (7, 'github.com/acme/app'), (8, 'acme/app'), (9, 'git://github.com/acme/app.git'), (10, null)) as repository (number, url) order by number`,
    `acme/app | https://github.com/acme/app.git
    acme/app | git@github.com:acme/app.git
    acme/app | https://github.com/acme/app.git
    acme/app | https://github.com/acme/app/
    a/b/c | HTTPS://example.com:8443/a/b/c
    acme/app | ssh://git@example.com:22/acme/app.git
    acme/app | github.com/acme/app
    acme/app | acme/app
    acme/app | git://github.com/acme/app.git
    - | -`,
  ))

test('rebuilds: beside what they repeat', () =>
  says(
    'select pipeline, original_build_number, original_result, rebuild_number, rebuild_result, same_commit, passed_on_rebuild, rebuilt_by_email from analytics.rebuilds',
    'app | 24 | failed | 25 | passed | true | true | bob@example.com',
  ))

test('trigger_edges: reported by the job, or by the child alone', () =>
  says(
    `select parent.number, child.number, trigger_job_id is null, async, parent_result, child_result from analytics.trigger_edges
    join buildkite.builds as parent on parent.id = parent_build_id join buildkite.builds as child on child.id = child_build_id order by 1`,
    `21 | 22 | false | false | passed | passed
    22 | 23 | true | - | passed | failed
    57 | 58 | true | - | passed | -`,
  ))

test('trigger_trees: from the top to the last that finished, once all have', () =>
  says(
    'select build.number, builds, depth, total_seconds, failed from analytics.trigger_trees join buildkite.builds as build on build.id = root_build_id order by number',
    `21 | 3 | 2 | 1800 | 1
    57 | 2 | 1 | - | 0`,
  ))

test('pull_requests: pushes, builds and time', () =>
  says(
    'select repository, pr_number, pr_base, pushes, builds, failed_builds, first_build_at, last_finished_at, run_seconds from analytics.pull_requests',
    'acme/app | 7 | main | 4 | 4 | 0 | 02 13:00:00 | 02 14:12:00 | 880',
  ))

test('trunk_recoveries: a spell ends with the next build that passed', () =>
  says(
    'select pipeline, broken_by_build_number, broken_by_email, broken_at, recovered_by_build_number, seconds_to_green from analytics.trunk_recoveries order by broken_at',
    `app | 2 | ada@example.com | 02 11:05:20 | 3 | 4020
    app | 8 | ada@example.com | 03 09:00:00 | 50 | 1307100
    lib | 23 | ada@example.com | 04 10:30:00 | 26 | 49200
    deploy | 32 | ada@example.com | 09 11:10:00 | 34 | 7200
    lib | 37 | ada@example.com | 10 08:05:00 | 39 | 604500
    lib | 53 | ada@example.com | 18 08:01:00 | - | -`,
  ))

test('users: one person by id and e-mail', () =>
  says(
    'select name, email, emails, is_member, teams from analytics.users order by email',
    `Ada Lovelace | ada@example.com | {ada@example.com} | true | {payments}
    Bob | bob@example.com | {bob@example.com} | false | {}
    Carol | carol@example.com | {carol@example.com} | false | {}`,
  ))

test('pipeline_schedules and agents', async () => {
  await says(
    'select pipeline, label, cronline, branch, enabled from analytics.pipeline_schedules',
    'lib | Nightly | @daily | trunk | true',
  )
  await says(
    'select agent_name, queue, connection_state, is_connected, is_busy, version from analytics.agents order by agent_name',
    `linux-1 | linux | connected | true | false | 3.100
    mac-1 | mac | lost | false | false | 3.99`,
  )
})

test('builds: what few questions need, at the end', async () => {
  await stage.sql`
    update buildkite.builds set meta_data = '{"region": "eu"}', merge_queue_base_branch = 'main', scheduled_at = '2026-03-02 13:00:00Z',
      pull_request_repository = 'https://token@github.com/bob/app.git', author_username = 'ada'
    where number = 4`
  await says(
    `select meta_data ->> 'region', merge_queue_base_branch, pull_request_repository, scheduled_at, author_username
    from analytics.builds where build_number in (4, 5) order by build_number`,
    `eu | main | bob/app | 02 13:00:00 | ada
    - | - | - | - | -`,
  )
})
