import { isDefaultBranch, placeOf } from './builds.ts'
import { jobMinutesHourly } from './costs.ts'
import type { Build, Facts, Job } from './facts.ts'
import { jobName, runSeconds } from './job-words.ts'
import {
  dayOf,
  distinct,
  greatest,
  grouped,
  idOf,
  least,
  listBy,
  type Maybe,
  mean,
  orNull,
  percentile,
  type Row,
  repositoryOf,
  total,
} from './values.ts'

// build_stages and what follows from them. See "Inside and between builds" in docs/analytics/definitions.md.

type Ran = Job & { started_at: number; finished_at: number }

const stepOf = (job: Job) => orNull(job.step_key) ?? jobName(job)

/** The seconds in which at least one of the jobs ran. */
function unionSeconds(jobs: readonly Ran[]): number {
  let [until, sum] = [-Infinity, 0]
  for (const { started_at, finished_at } of [...jobs].sort((a, b) => a.started_at - b.started_at)) {
    sum += Math.max(0, finished_at - Math.max(started_at, until))
    until = Math.max(until, finished_at)
  }
  return sum / 1_000
}

function stage(jobs: readonly Ran[]): Row {
  return {
    jobs: jobs.length,
    started_at: least(jobs.map(({ started_at }) => started_at)),
    finished_at: greatest(jobs.map(({ finished_at }) => finished_at)),
    run_seconds: unionSeconds(jobs),
    job_seconds: total(jobs.map(runSeconds)),
  }
}

function stagesOf(facts: Facts, build: Build): Row[] {
  const jobs = build.jobs.filter(
    (job): job is Ran => (job.type === 'script' || job.type === 'trigger') && runSeconds(job) !== null,
  )
  const common = {
    build_id: build.id,
    ...placeOf(facts, build),
    ...{ build_number: build.number, branch: build.branch, is_default_branch: isDefaultBranch(build) },
    created_at: build.created_at,
  }
  const groupOf = (job: Job) => orNull(job.group_key)
  const steps = grouped(
    jobs,
    (job) => ({
      ...common,
      level: 'step',
      name: stepOf(job),
      group_key: groupOf(job),
      is_stage: groupOf(job) === null,
    }),
    stage,
  )
  const groups = grouped(
    jobs.filter((job) => groupOf(job) !== null),
    (job) => ({ ...common, level: 'group', name: groupOf(job), group_key: groupOf(job), is_stage: true }),
    stage,
  )
  return [...steps, ...groups]
}

export const buildStages = (facts: Facts): Row[] => facts.builds.flatMap((build) => stagesOf(facts, build))

export function stageDurationsDaily(facts: Facts): Row[] {
  return grouped(
    buildStages(facts),
    ({ created_at, organization_id, pipeline_id, level, name, group_key, is_stage }) => ({
      day: created_at === null ? null : dayOf(Number(created_at)),
      ...{ organization_id, pipeline_id, level, name, group_key, is_stage },
    }),
    (group) => {
      const runs = group.map(({ run_seconds }) => run_seconds as Maybe<number>)
      return {
        builds: group.length,
        mean_seconds: mean(runs),
        p50_seconds: percentile(runs, 0.5),
        p90_seconds: percentile(runs, 0.9),
        p95_seconds: percentile(runs, 0.95),
        max_seconds: greatest(runs),
        job_seconds: total(group.map(({ job_seconds }) => job_seconds as Maybe<number>)),
      }
    },
  )
}

export function pipelineStageNames(facts: Facts): Row[] {
  const rows = jobMinutesHourly(facts)
  return [...listBy(rows, ({ pipeline_id }) => pipeline_id as Maybe<string>)].flatMap(([pipeline_id, own]) => {
    const pipeline = facts.pipelines.find(({ id }) => id === pipeline_id)
    const names = distinct(own.map(({ group_key, step_key, job }) => String(group_key ?? step_key ?? job)))
    return names.map((name) => ({
      id: idOf(`${pipeline_id}:${name}`),
      pipeline_source_id: 1,
      name,
      repository: repositoryOf(pipeline?.repository ?? null),
      pipeline_id,
    }))
  })
}
