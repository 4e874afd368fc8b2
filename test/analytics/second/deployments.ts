import { attemptResult } from './attempts.ts'
import { buildResult, buildUrl, finishOf, firstAttempt, slugOf } from './builds.ts'
import type { Build, Facts, Job } from './facts.ts'
import type { Rule } from './history.ts'
import { isRetried, jobResult } from './job-words.ts'
import { grouped, idOf, least, listBy, type Maybe, matches, type Row, repositoryOf } from './values.ts'

// See "Deployments" in docs/analytics/definitions.md.

interface Candidate {
  readonly build: Build
  readonly job: Maybe<Job>
  readonly at: number
  readonly success: boolean
}

export interface Deployment extends Candidate {
  readonly id: string
  readonly organization_id: Maybe<string>
  readonly rule: Rule
  readonly service: Maybe<string>
  readonly environment: string
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

const cache = new WeakMap<Facts, Deployment[]>()

export function deploymentsOf(facts: Facts): Deployment[] {
  const cached = cache.get(facts)
  if (cached) return cached
  const found = candidatesOf(facts).flatMap((candidate) => {
    const { build, job } = candidate
    const [rule] = facts.history.rules
      .filter((one) => isMatch(facts, one, candidate))
      .sort((a, b) => closeness(b) - closeness(a) || a.id - b.id)
    if (!rule) return []
    return [
      {
        ...candidate,
        id: `${rule.id}:${job?.id ?? build.id}`,
        organization_id: build.organization_id,
        rule,
        service: rule.service ?? build.pipeline?.slug ?? null,
        environment: rule.environment,
      },
    ]
  })
  cache.set(facts, found)
  return found
}

/** Deployments of one organization, service and environment, from the first to the last; of equals, by the id. */
export function seriesOf(facts: Facts): Deployment[][] {
  const lists = listBy(deploymentsOf(facts), ({ organization_id, service, environment }) =>
    JSON.stringify([organization_id, service, environment]),
  )
  return [...lists.values()].map((list) => list.sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1)))
}

export function firstSuccess(facts: Facts, { build, job, success }: Candidate): boolean {
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

export function committedAt(
  facts: Facts,
  { organization_id, commit }: Pick<Build, 'organization_id' | 'commit'>,
): Maybe<number> {
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
    const { id, build, job, at, rule, success, service } = one
    const reference = job?.id ?? build.id
    const pipeline = build.pipeline
    return {
      id,
      reference_id: reference,
      ...{ organization_id: build.organization_id, pipeline_id: build.pipeline_id },
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
      service_id: null,
      deployment_service_id: idOf(`${build.organization_id ?? ''}:${service}`),
    }
  })
}

export function deploymentServices(facts: Facts): Row[] {
  return grouped(
    deploymentsOf(facts),
    ({ organization_id, service }) => ({ organization_id, name: service }),
    (_, { organization_id, name }) => ({
      id: idOf(`${organization_id ?? ''}:${name}`),
      identifier: name,
      organization: slugOf(facts, organization_id),
    }),
  )
}
