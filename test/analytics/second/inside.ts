import { attemptsOf, effectiveState } from './attempts.ts'
import { buildResult, placeOf, prNumber, runSecondsOf } from './builds.ts'
import type { Build, Facts, Job } from './facts.ts'
import { agentWait, isManual, isRetried, jobName, runSeconds } from './job-words.ts'
import {
  distinct,
  greatest,
  grouped,
  isPresent,
  least,
  listBy,
  lower,
  type Maybe,
  mean,
  type Row,
  repositoryOf,
  seconds,
  total,
} from './values.ts'

// See "Inside and between builds" in docs/analytics/definitions.md.

type Ran = Job & { started_at: number; finished_at: number }
const hasRun = (job: Job): job is Ran => job.started_at !== null && job.finished_at !== null

const lastToFinish = (jobs: readonly Ran[]) =>
  [...jobs].sort((a, b) => b.finished_at - a.finished_at || (a.id < b.id ? -1 : 1))[0]

export function criticalPaths(facts: Facts): Row[] {
  return facts.builds.flatMap((build) => {
    const jobs = build.jobs.filter(hasRun)
    const path: Ran[] = []
    for (let job = lastToFinish(jobs); job; ) {
      path.unshift(job)
      const ready = job.runnable_at ?? job.started_at
      const start = job.started_at
      job = lastToFinish(jobs.filter((one) => one.finished_at <= ready + 1_000 && one.started_at < start))
    }
    return path.map((job, index) => ({
      ...placeOf(facts, build),
      build_id: build.id,
      created_at: build.created_at,
      position: index + 1,
      job_id: job.id,
      job: jobName(job),
      started_at: job.started_at,
      finished_at: job.finished_at,
      agent_wait_seconds: agentWait(job),
      run_seconds: runSeconds(job),
    }))
  })
}

export function parallelSteps(facts: Facts): Row[] {
  return facts.builds.flatMap((build) => {
    const parts = build.jobs.filter((job) => !isRetried(job) && hasRun(job) && (job.parallel_group_total ?? 0) > 1)
    const keyOf = (job: Job) => (job.step_key === '' ? null : job.step_key) ?? job.step_id ?? job.name
    return grouped(
      parts,
      (job) => ({ build_id: build.id, group: keyOf(job) }),
      (group) => {
        const runs = group.map(runSeconds)
        const [max, average] = [greatest(runs), mean(runs)]
        return {
          ...placeOf(facts, build),
          created_at: build.created_at,
          step:
            group.find(({ step_key }) => isPresent(step_key) && step_key !== '')?.step_key ?? least(group.map(jobName)),
          parts: group.length,
          total: greatest(group.map(({ parallel_group_total }) => parallel_group_total)),
          min_seconds: least(runs),
          mean_seconds: average,
          max_seconds: max,
          imbalance: max === null || average === null || average === 0 ? null : max / average,
        }
      },
    )
  })
}

export function approvals(facts: Facts): Row[] {
  return facts.jobs.filter(isManual).map((job) => {
    const at = blockedAt(job)
    return {
      job_id: job.id,
      build_id: job.build_id,
      ...placeOf(facts, job.build),
      branch: job.build?.branch ?? null,
      step: stepName(job),
      state: job.state,
      blocked_at: at,
      unblocked_at: job.unblocked_at,
      wait_seconds: seconds(at, job.unblocked_at),
      unblocked_by_id: job.unblocked_by_id,
      unblocked_by_name: job.unblocked_by_name,
      unblocked_by_email: lower(job.unblocked_by_email),
      created_at: job.created_at,
    }
  })
}

const stepName = (job: Job) => jobName(Object.assign(Object.create(job), { command: null }) as Job)

function blockedAt(job: Job): Maybe<number> {
  const { build, unblocked_at } = job
  const wasCanceledThere = job.state === 'canceled' && build?.blocked === true
  if (unblocked_at === null && job.state !== 'blocked' && !wasCanceledThere) return null
  const isBefore = (time: Maybe<number>) => time !== null && (unblocked_at === null || time <= unblocked_at)
  const stops = (build ? attemptsOf(build) : []).filter(
    ({ isDerived, state, blocked }) => !isDerived && effectiveState(state, blocked) === 'blocked',
  )
  return (
    greatest(stops.map(({ finished_at }) => finished_at).filter(isBefore)) ??
    job.runnable_at ??
    greatest((build?.jobs ?? []).map(({ finished_at }) => finished_at).filter(isBefore)) ??
    job.created_at ??
    build?.created_at ??
    null
  )
}

interface Edge {
  readonly parent: string
  readonly child: string
  readonly job: Maybe<Job>
  readonly created_at: Maybe<number>
}

function edgesOf({ jobs, builds }: Facts): Edge[] {
  const triggers = jobs.flatMap((job) =>
    job.triggered_build_id === null ? [] : [{ job, child: job.triggered_build_id }],
  )
  const named = new Set(triggers.map(({ child }) => child))
  return [
    ...triggers.map(({ job, child }) => ({ parent: job.build_id ?? '', child, job, created_at: job.created_at })),
    ...builds.flatMap(({ id, triggered_from_build_id: parent, created_at }) =>
      parent === null || named.has(id) ? [] : [{ parent, child: id, job: null, created_at }],
    ),
  ]
}

export function triggerEdges(facts: Facts): Row[] {
  return edgesOf(facts).map(({ parent, child, job, created_at }) => {
    const [above, below] = [facts.buildById.get(parent), facts.buildById.get(child)]
    return {
      parent_build_id: job ? (above?.id ?? null) : parent,
      parent_pipeline_id: above?.pipeline_id ?? null,
      parent_result: above ? buildResult(above) : null,
      trigger_job_id: job?.id ?? null,
      async: job?.async ?? null,
      child_build_id: child,
      child_pipeline_id: below?.pipeline_id ?? null,
      child_result: below ? buildResult(below) : null,
      created_at,
    }
  })
}

export function triggerTrees(facts: Facts): Row[] {
  const edges = edgesOf(facts)
  const children = listBy(edges, ({ parent }) => parent)
  const named = new Set(edges.flatMap(({ child, job }) => (job ? [child] : [])))
  return facts.builds.flatMap((root) => {
    if (root.triggered_from_build_id !== null || named.has(root.id)) return []
    const depths = new Map([[root.id, 0]])
    let level = [root.id]
    for (let depth = 1; depth <= 100 && level.length > 0; depth++) {
      level = distinct(level.flatMap((id) => children.get(id)?.map(({ child }) => child) ?? []))
      for (const id of level) depths.set(id, depth)
    }
    if (depths.size < 2) return []
    const known = [...depths.keys()].flatMap((id) => facts.buildById.get(id) ?? [])
    const isOpen = known.some((build) => buildResult(build) === null)
    return [
      {
        root_build_id: root.id,
        ...placeOf(facts, root),
        created_at: root.created_at,
        builds: depths.size,
        depth: Math.max(...depths.values()),
        total_seconds: isOpen ? null : seconds(root.created_at, greatest(known.map(({ finished_at }) => finished_at))),
        failed: known.filter((build) => buildResult(build) === 'failed').length,
      },
    ]
  })
}

export function pullRequests(facts: Facts): Row[] {
  const repository = ({ pipeline, pull_request_repository }: Build) =>
    repositoryOf(pipeline?.repository ?? null) ?? repositoryOf(pull_request_repository)
  return grouped(
    facts.builds.filter((build) => prNumber(build) !== null),
    (build) => ({ organization_id: build.organization_id, repository: repository(build), pr_number: prNumber(build) }),
    (group, key) => ({
      organization: facts.organizationSlugs.get(key.organization_id ?? '') ?? null,
      pr_base: greatest(group.map(({ pull_request_base }) => pull_request_base)),
      author_email: lower(greatest(group.map(({ author_email }) => lower(author_email)))),
      head_repository: greatest(group.map((build) => repositoryOf(build.pull_request_repository))),
      pushes: distinct(group.flatMap(({ commit }) => commit ?? [])).length,
      builds: group.length,
      failed_builds: group.filter((build) => buildResult(build) === 'failed').length,
      first_build_at: least(group.map(({ created_at }) => created_at)),
      last_finished_at: greatest(group.map((build) => (buildResult(build) === null ? null : build.finished_at))),
      run_seconds: total(group.map(runSecondsOf)),
    }),
  )
}
