import { attemptResult } from './attempts.ts'
import { buildResult, buildUrl, finishOf, firstAttempt, slugOf } from './builds.ts'
import type { Build, Facts, Job } from './facts.ts'
import type { Rule } from './history.ts'
import { isRetried, jobResult } from './job-words.ts'
import {
  dayOf,
  grouped,
  least,
  type Maybe,
  matches,
  percentile,
  type Row,
  rate,
  repositoryOf,
  seconds,
  startOfWeek,
} from './values.ts'

// See "Deployments" in docs/analytics/definitions.md.

interface Candidate {
  readonly build: Build
  readonly job: Maybe<Job>
  readonly at: number
  readonly success: boolean
}

interface Deployment extends Candidate {
  readonly rule: Rule
  readonly service: Maybe<string>
}

const deployed = ['passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out']

function candidatesOf({ builds, jobs }: Facts): Candidate[] {
  const whole = builds.flatMap((build) => {
    const at = finishOf(build)
    const result = buildResult(build)
    if (at === null || (result !== 'passed' && result !== 'failed')) return []
    return [{ build, job: null, at, success: result === 'passed' }]
  })
  const steps = jobs.flatMap((job) => {
    const { build, finished_at: at } = job
    const result = jobResult(job)
    if (!build || at === null || isRetried(job) || !deployed.includes(result ?? '')) return []
    return job.type === 'script' || job.type === 'trigger' ? [{ build, job, at, success: result === 'passed' }] : []
  })
  return [...whole, ...steps]
}

function isMatch(facts: Facts, rule: Rule, { build, job }: Candidate): boolean {
  const { pipeline } = build
  if (!rule.enabled || !pipeline || (rule.step === null) !== (job === null)) return false
  const isPipeline = matches(rule.pipeline, pipeline.slug) || rule.pipeline.toLowerCase() === pipeline.id
  if (!isPipeline || !matches(rule.branch, build.branch)) return false
  if (!matches(rule.organization, slugOf(facts, pipeline.organization_id) ?? '')) return false
  return job === null || rule.step === null || matches(rule.step, job.step_key) || matches(rule.step, job.name)
}

const closeness = ({ pipeline, step, branch, organization }: Rule) =>
  [pipeline, step ?? '', branch, organization].join('').replaceAll('*', '').length

function deploymentsOf(facts: Facts): Deployment[] {
  return candidatesOf(facts).flatMap((candidate) => {
    const [rule] = facts.history.rules
      .filter((one) => isMatch(facts, one, candidate))
      .sort((a, b) => closeness(b) - closeness(a) || a.id - b.id)
    return rule ? [{ ...candidate, rule, service: rule.service ?? candidate.build.pipeline?.slug ?? null }] : []
  })
}

function firstSuccess(facts: Facts, { build, job, success }: Candidate): boolean {
  if (job === null) {
    const first = firstAttempt(build)
    return first ? attemptResult(first) === 'passed' : success
  }
  let first = job
  for (let i = 0; i < 1_000; i++) {
    const before = facts.jobs.find(({ retried_in_job_id }) => retried_in_job_id === first.id)
    if (!before) break
    first = before
  }
  return jobResult(first) === 'passed'
}

function committedAt(facts: Facts, { organization_id, commit }: Build): Maybe<number> {
  if (commit === null || commit === 'HEAD') return null
  const same = facts.builds.filter((one) => one.organization_id === organization_id && one.commit === commit)
  return least(same.map(({ author_date }) => author_date))
}

export function sourceUrl({ build, job }: Candidate): Maybe<string> {
  const web = build.pipeline?.web_url ?? null
  if (web === null || build.number === null) return job ? (job.web_url ?? build.web_url) : build.web_url
  return job ? `${buildUrl(build)}#${job.id}` : buildUrl(build)
}

export function deployments(facts: Facts): Row[] {
  return deploymentsOf(facts).map((one) => {
    const { build, job, at, rule, success, service } = one
    const reference = job?.id ?? build.id
    const pipeline = build.pipeline
    return {
      id: `${rule.id}:${reference}`,
      reference_id: reference,
      ...{ organization_id: build.organization_id, pipeline_id: build.pipeline_id },
      organization: slugOf(facts, build.organization_id),
      pipeline: pipeline?.slug ?? null,
      ...{ deployed_at: at, attributed_at: at, success, service },
      first_success: firstSuccess(facts, one),
      commit_sha: build.commit,
      merge_commit_shas: [build.commit],
      committed_at: committedAt(facts, build),
      environment: rule.environment,
      repository: repositoryOf(pipeline?.repository ?? null),
      integration_branch: pipeline?.default_branch ?? null,
      source_name: pipeline?.name ?? pipeline?.slug ?? null,
      source_url: sourceUrl(one),
      deployment_inference_rule_id: rule.id,
      ...{ service_id: null, deployment_service_id: null },
    }
  })
}

export function doraWeekly(facts: Facts): Row[] {
  const all = deploymentsOf(facts).sort((a, b) => a.at - b.at)
  return grouped(
    all,
    ({ build: { organization_id }, rule, service }) => ({ organization_id, service, environment: rule.environment }),
    (group) => ({ group }),
  ).flatMap(({ group, ...key }) => {
    const series = group as Deployment[]
    return grouped(
      series,
      ({ at }) => ({ ...key, week: dayOf(startOfWeek(at)) }),
      (inWeek) => {
        const failed = inWeek.filter(({ success }) => !success)
        const failedFirst = inWeek.filter((one) => !firstSuccess(facts, one)).length
        return {
          organization: slugOf(facts, key.organization_id as Maybe<string>),
          deployments: inWeek.length,
          failed: failed.length,
          change_failure_rate: rate(failed.length, inWeek.length),
          first_failed: failedFirst,
          first_change_failure_rate: rate(failedFirst, inWeek.length),
          p50_seconds_to_restore: percentile(
            failed.map((one) => restoreSeconds(series, one)),
            0.5,
          ),
          p50_lead_seconds: percentile(
            inWeek.filter(({ success }) => success).map(({ build, at }) => seconds(committedAt(facts, build), at)),
            0.5,
          ),
        }
      },
    )
  })
}

function restoreSeconds(series: readonly Deployment[], failed: Deployment): Maybe<number> {
  const before = series.findLast(({ at }) => at < failed.at)
  if (before && !before.success) return null
  return seconds(failed.at, series.find(({ at, success }) => success && at > failed.at)?.at ?? null)
}
