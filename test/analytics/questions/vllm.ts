import type { Build, ScriptJob } from '../../../src/simulator/model/shapes.ts'
import type { Truth } from '../../../src/simulator/model/state.ts'
import {
  dayOf,
  groups,
  isHardFailure,
  isLost,
  isResult,
  isScript,
  nameOf,
  onTrunk,
  percentile,
  type Question,
  ratio,
  scripts,
  seconds,
  sum,
  time,
  type Unanswered,
} from './question.ts'

// What vLLM's CI dashboards ask: torchci/clickhouse_queries/vllm in https://github.com/pytorch/test-infra
// Where theirs name one pipeline, ours ask about all.

type Of = { build: Build; job: ScriptJob }
const pipelineJob = ({ build, job }: Of) => [build.pipeline.slug, nameOf(job)]
const trunk = (truth: Truth) => scripts(truth).filter(({ build }) => onTrunk(build))
const isSoft = ({ job }: Of) => job.state === 'failed' && job.soft_failed && !isLost(job)
const count = (all: readonly Of[], is: (one: Of) => boolean) => all.filter(is).length
/** Builds of default branches that passed or failed, by pipeline and number. */
const trunkResults = (truth: Truth) =>
  groups(
    truth.builds.filter((build) => onTrunk(build) && isResult(build, 'passed', 'failed')),
    ({ pipeline }) => pipeline.slug,
  ).map((builds) => builds.toSorted((a, b) => a.number - b.number))
const dateOf = (text: string | null) => (text ? new Date(text) : null)
const isLastTry = ({ job }: Of) => !job.retried && job.retried_in_job_id === null

export const vllm: Question[] = [
  {
    name: 'build_failed_jobs',
    question: 'Which jobs failed hard in builds of the default branch, and how long did they run?',
    sql: `select pipeline, build_number, job, state, exit_status, started_at, finished_at, run_seconds from analytics.jobs
      where is_default_branch and type = 'script' and result = 'failed' order by pipeline, build_number, job`,
    rows: (truth) =>
      trunk(truth)
        .filter(({ job }) => isHardFailure(job))
        .map(({ build, job }) => [
          ...[build.pipeline.slug, build.number, nameOf(job), job.state, job.exit_status],
          ...[dateOf(job.started_at), dateOf(job.finished_at), seconds(job.started_at, job.finished_at)],
        ]),
  },
  {
    name: 'ci_reliability',
    question: 'How many builds of the default branch passed, failed and were canceled, day by day?',
    sql: `select created_at::date::text as day, count(*) filter (where result = 'passed') as passed, count(*) filter (where result = 'failed') as failed,
        count(*) filter (where result = 'canceled') as canceled,
        count(*) filter (where result = 'passed')::float / nullif(count(*) filter (where result in ('passed', 'failed')), 0) as success_rate
      from analytics.builds where is_default_branch group by day order by day`,
    rows: (truth) =>
      groups(truth.builds.filter(onTrunk), ({ created_at }) => dayOf(created_at)).map((builds) => {
        const passed = builds.filter((build) => isResult(build, 'passed')).length
        const failed = builds.filter((build) => isResult(build, 'failed')).length
        const canceled = builds.filter(({ state }) => state === 'canceled').length
        return [dayOf(builds[0]?.created_at ?? null), passed, failed, canceled, ratio(passed, passed + failed)]
      }),
  },
  {
    name: 'ci_run_duration',
    question: 'How long did each build of the default branch take, from its creation to its end?',
    sql: `select pipeline, build_number, result, finished_at, total_seconds from analytics.builds
      where is_default_branch and result in ('passed', 'failed') order by finished_at`,
    rows: (truth) =>
      trunkResults(truth)
        .flat()
        .map((build) => [
          ...[build.pipeline.slug, build.number, build.state, dateOf(build.finished_at)],
          seconds(build.created_at, build.finished_at),
        ]),
  },
  {
    name: 'continuous_builds',
    question: 'Which builds did schedules create, with how many jobs, and how many of them failed hard?',
    sql: `select build.pipeline, build.build_number, build.state, build.message, build.commit, count(*) as jobs, count(*) filter (where job.result = 'failed') as failed
      from analytics.builds as build join analytics.jobs as job on job.build_id = build.id and job.type = 'script'
      where build.source = 'schedule' group by build.id, build.pipeline, build.build_number, build.state, build.message, build.commit, build.created_at
      order by build.created_at desc`,
    rows: (truth) =>
      groups(
        scripts(truth).filter(({ build }) => build.source === 'schedule'),
        ({ build }) => build.id,
      ).flatMap((its) => {
        const build = its[0]?.build
        if (!build) return []
        const state = build.blocked && build.state !== 'canceled' ? 'blocked' : build.state
        const failed = count(its, ({ job }) => isHardFailure(job))
        return [[build.pipeline.slug, build.number, state, build.message, build.commit, its.length, failed]]
      }),
  },
  {
    name: 'docker_build_runtime',
    question: 'How long did the job that builds the image run in each build of the default branch?',
    sql: `select pipeline, build_number, started_at, run_seconds / 60 as minutes from analytics.jobs
      where is_default_branch and job = 'Image :docker:' and result in ('passed', 'failed') and run_seconds is not null order by started_at`,
    rows: (truth) =>
      trunk(truth)
        .filter(({ job }) => nameOf(job) === 'Image :docker:' && (job.state === 'passed' || isHardFailure(job)))
        .filter(({ job }) => job.started_at && job.finished_at)
        .map(({ build, job }) => [
          ...[build.pipeline.slug, build.number, dateOf(job.started_at)],
          (seconds(job.started_at, job.finished_at) ?? 0) / 60,
        ]),
  },
  {
    name: 'job_first_failure',
    question: 'Which build broke a job on the default branch, and which was the last good one?',
    sql: `select distinct pipeline, job, last_good_build_number, broken_by_build_number, broken_by_commit from analytics.job_breaks`,
    rows(truth) {
      const result = (one: Of) =>
        isHardFailure(one.job) || one.job.state === 'timed_out' ? 'failed' : isSoft(one) ? 'soft' : one.job.state
      const known = trunk(truth).filter(
        (one) =>
          isLastTry(one) &&
          ['failed', 'soft', 'passed'].includes(result(one)) &&
          !(one.job.state === 'failed' && isLost(one.job)),
      )
      const same = ({ build, job }: Of) => [
        build.pipeline.id,
        nameOf(job),
        job.step_key,
        job.matrix,
        job.parallel_group_index,
      ]
      const found = groups(known, same).flatMap((runs) => {
        // Of several in one build the lowest id counts.
        const byBuild = groups(runs, ({ build }) => build.number)
          .map((its) => its.toSorted((a, b) => (a.job.id < b.job.id ? -1 : 1)))
          .sort((a, b) => (a[0]?.build.number ?? 0) - (b[0]?.build.number ?? 0))
        return byBuild.flatMap((its, index) => {
          const before = byBuild[index - 1]?.[0]
          if (!before || result(before) !== 'passed') return []
          return its
            .filter((one) => result(one) === 'failed')
            .map((one) => [...pipelineJob(one), before.build.number, one.build.number, one.build.commit])
        })
      })
      return groups(found, (row) => row).flatMap(([row]) => (row ? [row] : []))
    },
  },
  {
    name: 'job_list',
    question: 'Which jobs ran on the default branch, how often, and when last?',
    sql: `select pipeline, job, count(*) as runs, count(*) filter (where result = 'passed') as passed,
        count(*) filter (where result in ('failed', 'soft_failed')) as failed, max(finished_at) as last_run_at
      from analytics.jobs where is_default_branch and type = 'script' and finished_at is not null group by pipeline, job order by last_run_at desc`,
    rows: (truth) =>
      groups(
        trunk(truth).filter(({ job }) => job.finished_at),
        pipelineJob,
      ).map((runs) => [
        ...(runs[0] ? pipelineJob(runs[0]) : []),
        runs.length,
        count(runs, ({ job }) => job.state === 'passed'),
        count(runs, (one) => isHardFailure(one.job) || isSoft(one)),
        new Date(Math.max(...runs.map(({ job }) => time(job.finished_at)))),
      ]),
  },
  {
    name: 'job_reliability',
    question: 'Which jobs pass least often on the default branch? A soft failure is no pass.',
    sql: `select pipeline, job, passed, soft_failed, failed, passed::float / (passed + soft_failed + failed) as success_rate
      from (select pipeline, job, count(*) filter (where result = 'passed') as passed, count(*) filter (where result = 'soft_failed') as soft_failed,
          count(*) filter (where result = 'failed') as failed
        from analytics.jobs where is_default_branch and type = 'script' group by pipeline, job) as counted
      where passed + soft_failed + failed >= 3 order by success_rate, pipeline, job`,
    rows: (truth) =>
      groups(trunk(truth), pipelineJob).flatMap((runs) => {
        const passed = count(runs, ({ job }) => job.state === 'passed')
        const soft = count(runs, isSoft)
        const failed = count(runs, ({ job }) => isHardFailure(job))
        const total = passed + soft + failed
        return total < 3 || !runs[0] ? [] : [[...pipelineJob(runs[0]), passed, soft, failed, passed / total]]
      }),
  },
  {
    name: 'job_retry_stats',
    question: 'Which jobs are retried most often on the default branch?',
    sql: `select pipeline, job, count(*) as runs, count(*) filter (where retried) as retried, count(*) filter (where retried)::float / count(*) as retry_rate
      from analytics.jobs where is_default_branch and type = 'script' group by pipeline, job order by retry_rate desc, retried desc`,
    rows: (truth) =>
      groups(trunk(truth), pipelineJob).map((runs) => {
        const retried = count(runs, (one) => !isLastTry(one))
        return [...(runs[0] ? pipelineJob(runs[0]) : []), runs.length, retried, retried / runs.length]
      }),
  },
  {
    name: 'job_runtime_trends',
    question: 'How long does each job run on the default branch, day by day?',
    sql: `select pipeline, job, (started_at at time zone 'UTC')::date::text as day, count(*) as runs, avg(run_seconds) as mean_seconds,
        percentile_disc(0.9) within group (order by run_seconds) as p90_seconds, max(run_seconds) as max_seconds
      from analytics.jobs where is_default_branch and type = 'script' and result in ('passed', 'soft_failed', 'failed') and run_seconds is not null
      group by pipeline, job, day order by pipeline, job, day`,
    rows: (truth) =>
      groups(
        trunk(truth)
          .filter((one) => one.job.state === 'passed' || isHardFailure(one.job) || isSoft(one))
          .filter(({ job }) => job.started_at && job.finished_at),
        (one) => [...pipelineJob(one), dayOf(one.job.started_at)],
      ).flatMap((runs) => {
        const first = runs[0]
        const took = runs.map(({ job }) => seconds(job.started_at, job.finished_at) ?? 0)
        if (!first) return []
        const numbers = [runs.length, sum(took) / took.length, percentile(took, 0.9), Math.max(...took)]
        return [[...pipelineJob(first), dayOf(first.job.started_at), ...numbers]]
      }),
  },
  {
    name: 'queue_per_build_windowed',
    question: 'What did each build use of each queue, how long did its jobs wait there, and what did it cost?',
    sql: `select cost.pipeline, cost.build_number, cost.repository, cost.pr_number, cost.is_default_branch, round(cost.cost::numeric, 6)::float as cost,
        (select jsonb_object_agg(queue, round(minutes::numeric, 6)) from
          (select queue, sum(minutes) as minutes from analytics.build_minutes_hourly where build_id = cost.build_id group by queue) as used) as minutes,
        (select percentile_disc(0.9) within group (order by agent_wait_seconds) from analytics.jobs
          where build_id = cost.build_id and type = 'script' and started_at is not null) as wait_p90_seconds
      from analytics.build_costs as cost order by cost.created_at`,
    rows: (truth) =>
      groups(
        scripts(truth).filter(
          ({ job }) => (job.finished_at || job.expired_at) && !['broken', 'skipped'].includes(job.state),
        ),
        ({ build }) => build.id,
      ).flatMap((ended) => {
        const build = ended[0]?.build
        if (!build) return []
        const minutes = Object.fromEntries(
          groups(ended, ({ job }) => queueOf(job)).map((its) => [
            queueOf(its[0]?.job),
            rounded(sum(its.map(({ job }) => seconds(job.started_at, job.finished_at))) / 60),
          ]),
        )
        const cost = rounded(
          sum(Object.entries(minutes).map(([queue, used]) => used * (queue === 'deploy' ? 0.016 : 0.008))),
        )
        const waits = build.jobs.filter(isScript).map((job) => seconds(job.runnable_at, job.started_at))
        const pull = build.pull_request?.id ? Number(build.pull_request.id) : null
        const repository = /[^/:]+\/[^/]+?(?=(\.git)?$)/.exec(build.pipeline.repository)?.[0]
        return [
          [build.pipeline.slug, build.number, repository, pull, onTrunk(build), cost, minutes, percentile(waits, 0.9)],
        ]
      }),
  },
  {
    name: 'rebuild_rate',
    question: 'What share of the jobs of the default branch is retried, day by day?',
    sql: `select (created_at at time zone 'UTC')::date::text as day, count(*) as jobs, count(*) filter (where retried) as retried,
        count(*) filter (where retried)::float / count(*) as retry_rate
      from analytics.jobs where is_default_branch and type = 'script' group by day order by day`,
    rows: (truth) =>
      groups(trunk(truth), ({ job }) => dayOf(job.created_at)).map((jobs) => {
        const retried = count(jobs, (one) => !isLastTry(one))
        return [dayOf(jobs[0]?.job.created_at ?? null), jobs.length, retried, retried / jobs.length]
      }),
  },
  {
    name: 'recent_job_builds',
    question: 'How did one job do in the latest builds of the default branch?',
    sql: `select pipeline, build_number, commit, job, state, soft_failed, started_at, finished_at, run_seconds from analytics.jobs
      where is_default_branch and job = 'Deploy' and finished_at is not null order by finished_at desc`,
    rows: (truth) =>
      trunk(truth)
        .filter(({ job }) => nameOf(job) === 'Deploy' && job.finished_at)
        .map(({ build, job }) => [
          ...[build.pipeline.slug, build.number, build.commit, nameOf(job), job.state, job.soft_failed],
          ...[dateOf(job.started_at), dateOf(job.finished_at), seconds(job.started_at, job.finished_at)],
        ]),
  },
  {
    name: 'trunk_health',
    question: 'Was each build of the default branch green: not canceled, and without a hard failure in its last tries?',
    sql: `select build.pipeline, build.build_number, count(*) filter (where job.result = 'failed' and not job.retried) as hard_failures,
        build.state <> 'canceled' and count(*) filter (where job.result = 'failed' and not job.retried) = 0 as is_green
      from analytics.builds as build left join analytics.jobs as job on job.build_id = build.id and job.type = 'script'
      where build.is_default_branch group by build.id, build.pipeline, build.build_number, build.state order by build.pipeline, build.build_number`,
    rows: (truth) =>
      truth.builds.filter(onTrunk).map((build) => {
        const jobs = build.jobs.filter(isScript).map((job) => ({ build, job }))
        const hard = count(jobs, (one) => isHardFailure(one.job) && isLastTry(one))
        return [build.pipeline.slug, build.number, hard, build.state !== 'canceled' && hard === 0]
      }),
  },
  {
    name: 'trunk_recovery_time',
    question: 'How long did it take until the default branch was green again?',
    sql: `select pipeline, broken_by_build_number, broken_at, recovered_by_build_number, recovered_at, seconds_to_green / 3600 as hours
      from analytics.trunk_recoveries order by pipeline, broken_at`,
    rows: (truth) =>
      trunkResults(truth).flatMap((builds) =>
        builds.flatMap((build, index) => {
          if (build.state !== 'failed' || builds[index - 1]?.state === 'failed') return []
          const green = builds.slice(index).find(({ state }) => state === 'passed')
          const took = seconds(build.finished_at, green?.finished_at ?? null)
          const red = [build.pipeline.slug, build.number, dateOf(build.finished_at)]
          return [
            [...red, green?.number ?? null, dateOf(green?.finished_at ?? null), took === null ? null : took / 3_600],
          ]
        }),
      ),
  },
]

export const notVllm: Unanswered[] = [
  { name: 'merges_percentage', why: 'needs the merges of pull requests, which GitHub knows' },
  { name: 'pr_cycle_time_breakdown', why: 'needs reviews and labels of pull requests, which GitHub knows' },
]

const rounded = (value: number) => Math.round(value * 1e6) / 1e6
const queueOf = (job: ScriptJob | undefined) =>
  job?.agent_query_rules.find((rule) => rule.startsWith('queue='))?.slice('queue='.length) ?? 'default'
