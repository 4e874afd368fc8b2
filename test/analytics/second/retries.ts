import { attemptResult, attemptsOf } from './attempts.ts'
import { breakerOf, buildResult, isDefaultBranch, placeOf, totalSeconds } from './builds.ts'
import type { Build, Facts, Job } from './facts.ts'
import { endOf, isCommand, isFailed, isRetried, jobName, jobResult, runSeconds } from './job-words.ts'
import {
  dayOf,
  grouped,
  isPresent,
  least,
  listBy,
  lower,
  type Maybe,
  percentile,
  type Row,
  seconds,
  total,
} from './values.ts'

// See "Retries, flaky jobs and breaks" in docs/analytics/definitions.md.

interface Chain {
  readonly build: Build
  readonly first: Job
  readonly last: Job
  readonly tries: Job[]
}

const isFlake = (result: Maybe<string>) => ['failed', 'soft_failed', 'timed_out'].includes(result ?? '')

function chainsOf(facts: Facts): Chain[] {
  return facts.jobs.flatMap((first) => {
    if (first.retried_in_job_id === null || facts.nextTries.has(first.id) || !first.build) return []
    const tries = [first]
    let last = first
    while (tries.length < 1_000) {
      const next = facts.jobById.get(last.retried_in_job_id ?? '')
      if (!next || tries.includes(next)) break
      tries.push(next)
      last = next
    }
    return [{ build: first.build, first, last, tries }]
  })
}

export function jobRetries(facts: Facts): Row[] {
  return chainsOf(facts).map(({ build, first, last, tries }) => ({
    ...placeOf(facts, build),
    build_id: build.id,
    branch: build.branch,
    commit: build.commit,
    job: jobName(first),
    first_job_id: first.id,
    final_job_id: last.id,
    tries: tries.length,
    first_result: jobResult(first),
    final_result: jobResult(last),
    flaky: jobResult(last) === 'passed' && tries.some((one) => one !== last && isFlake(jobResult(one))),
    retry_type: first.retry_type,
    retried_by_name: first.retried_by_name ?? last.retry_source_retried_by_name,
    first_finished_at: first.finished_at,
    final_finished_at: last.finished_at,
  }))
}

export function flakyJobsDaily(facts: Facts): Row[] {
  const chains = chainsOf(facts).flatMap((chain) => {
    const end = endOf(chain.first)
    const failed = chain.tries.filter((one) => one.retried_in_job_id !== null && isFlake(jobResult(one)))
    return failed.length === 0 ? [] : [{ ...chain, failed, day: end === null ? null : dayOf(end) }]
  })
  return grouped(
    chains,
    ({ day, build: { organization_id, pipeline_id }, first }) => ({
      day,
      organization_id,
      pipeline_id,
      job: jobName(first),
    }),
    (group) => ({
      retried: group.length,
      flaky: group.filter(({ last }) => jobResult(last) === 'passed').length,
      wasted_seconds: total(group.flatMap(({ failed }) => failed.map(runSeconds))),
    }),
  )
}

/** When a job showed that it failed. */
function failedAt(job: Job): Maybe<number> {
  const promised = (job.promised_exit_status ?? 0) === 0 ? null : job.promised_exit_status_at
  return least([endOf(job), promised])
}

const isAutomatic = (job: Job) => job.retried === true && job.retry_type === 'automatic'

export function firstFailures(facts: Facts): Row[] {
  return facts.builds.flatMap((build) => {
    const isCandidate =
      build.failing_at !== null ||
      ['failed', 'failing', 'canceling', 'canceled'].includes(build.state ?? '') ||
      attemptsOf(build).some(({ isDerived, state }) => !isDerived && state === 'failed')
    if (!isCandidate) return []
    const [job] = build.jobs
      .filter((one) => isCommand(one) && one.soft_failed !== true && isFailed(jobResult(one)) && !isAutomatic(one))
      .sort((a, b) => order(failedAt(a), failedAt(b)) || (a.id < b.id ? -1 : 1))
    const at = job ? failedAt(job) : null
    if (build.failing_at === null && at === null) return []
    const first = least([build.failing_at, at])
    return [
      {
        build_id: build.id,
        ...placeOf(facts, build),
        branch: build.branch,
        is_default_branch: isDefaultBranch(build),
        created_at: build.created_at,
        failing_at: build.failing_at,
        job_id: job?.id ?? null,
        job: job ? jobName(job) : null,
        job_failed_at: at,
        first_failure_at: first,
        seconds_to_first_failure: seconds(build.created_at, first),
        total_seconds: totalSeconds(build),
      },
    ]
  })
}

const order = (a: Maybe<number>, b: Maybe<number>) => (a ?? Number.MAX_VALUE) - (b ?? Number.MAX_VALUE)

export function firstFailuresDaily(facts: Facts): Row[] {
  return grouped(
    firstFailures(facts),
    ({ created_at, organization_id, pipeline_id }) => ({
      day: created_at === null ? null : dayOf(Number(created_at)),
      ...{ organization_id, pipeline_id },
    }),
    (group) => {
      const times = group.map((row) => row.seconds_to_first_failure as Maybe<number>)
      return { builds: group.length, p50_seconds: percentile(times, 0.5), p90_seconds: percentile(times, 0.9) }
    },
  )
}

const sameJob = ({ name, step_key, matrix, parallel_group_index }: Job) =>
  JSON.stringify([name, step_key, matrix, parallel_group_index])

export function jobBreaks(facts: Facts): Row[] {
  const breaks: Row[] = []
  const pipelines = listBy(facts.builds, (build) => (isDefaultBranch(build) ? build.pipeline_id : null))
  for (const builds of pipelines.values()) {
    const jobs = builds
      .filter(({ number }) => number !== null)
      .sort((a, b) => Number(a.number) - Number(b.number))
      .flatMap((build) => build.jobs.filter((job) => isCommand(job) && !isRetried(job)).map((job) => ({ build, job })))
    for (const same of listBy(jobs, ({ job }) => sameJob(job)).values()) {
      const ended = same.filter(({ job }) => ['passed', ...flakes].includes(jobResult(job) ?? ''))
      for (const { build, job } of same.filter((one) => ['failed', 'timed_out'].includes(jobResult(one.job) ?? ''))) {
        const before = ended.findLast((one) => Number(one.build.number) < Number(build.number))?.build
        const [good] = ended.filter((one) => one.build === before).sort((a, b) => (a.job.id < b.job.id ? -1 : 1))
        if (!before || !good || jobResult(good.job) !== 'passed') continue
        breaks.push({
          ...placeOf(facts, build),
          job: jobName(job),
          job_id: job.id,
          ...brokenBy(build),
          last_good_build_number: before.number,
          broken_at: job.finished_at,
        })
      }
    }
  }
  return breaks
}

const flakes = ['failed', 'soft_failed', 'timed_out']

const brokenBy = (build: Build): Row => ({
  broken_by_build_id: build.id,
  broken_by_build_number: build.number,
  broken_by_commit: build.commit,
  broken_by_email: breakerOf(build),
})

export function trunkRecoveries(facts: Facts): Row[] {
  const trunk = facts.builds
    .filter((build) => isDefaultBranch(build) && ['passed', 'failed'].includes(buildResult(build) ?? ''))
    .sort((a, b) => Number(a.number) - Number(b.number))
  return [...listBy(trunk, ({ pipeline_id }) => pipeline_id).values()].flatMap((builds) =>
    builds.flatMap((first, index) => {
      const before = builds[index - 1]
      if (buildResult(first) !== 'failed' || (before && buildResult(before) === 'failed')) return []
      const green = builds.slice(index + 1).find((build) => buildResult(build) === 'passed')
      return [
        {
          ...placeOf(facts, first),
          branch: first.branch,
          ...brokenBy(first),
          broken_at: first.finished_at,
          recovered_by_build_id: green?.id ?? null,
          recovered_by_build_number: green?.number ?? null,
          recovered_by_commit: green?.commit ?? null,
          recovered_at: green?.finished_at ?? null,
          seconds_to_green: seconds(first.finished_at, green?.finished_at ?? null),
        },
      ]
    }),
  )
}

interface First {
  readonly build: Build
  readonly result: Maybe<string>
  readonly at: number
  readonly passedAt: Maybe<number>
}

function firstOf(build: Build): First[] {
  const attempts = attemptsOf(build).map((one) => ({ at: one.finished_at, result: attemptResult(one) }))
  const first = attempts.find(({ result }) => result !== null)
  if (!first || !['passed', 'failed'].includes(first.result ?? '')) return []
  return [{ build, ...first, passedAt: attempts.find(({ result }) => result === 'passed')?.at ?? null }]
}

/** The build of a red period that made the trunk green: no newer one was known to be red then. */
function recoveryOf(period: readonly First[]): (First & { passedAt: number }) | undefined {
  const isRed = ({ result, at, passedAt }: First, time: number) =>
    result === 'failed' && at <= time && (passedAt === null || passedAt > time)
  return period
    .flatMap((one, place) => {
      const { passedAt } = one
      if (passedAt === null || period.slice(place + 1).some((newer) => isRed(newer, passedAt))) return []
      return [{ ...one, passedAt }]
    })
    .sort((a, b) => a.passedAt - b.passedAt || Number(a.build.number) - Number(b.build.number))[0]
}

export function firstTrunkRecoveries(facts: Facts): Row[] {
  const trunk = facts.builds
    .filter((build) => isDefaultBranch(build))
    .sort((a, b) => Number(a.number) - Number(b.number))
    .flatMap(firstOf)
  return [...listBy(trunk, ({ build }) => build.pipeline_id).values()].flatMap((builds) =>
    builds.flatMap((first, index) => {
      const before = builds[index - 1]
      const isGreenBefore = before?.result !== 'failed' || (before.passedAt ?? Infinity) <= first.at
      if (first.result !== 'failed' || !isGreenBefore) return []
      const green = builds.findIndex(({ result }, place) => place > index && result === 'passed')
      const recovery = recoveryOf(builds.slice(index, green < 0 ? undefined : green + 1))
      return [
        {
          ...placeOf(facts, first.build),
          ...{ branch: first.build.branch, created_at: first.build.created_at },
          ...brokenBy(first.build),
          broken_at: first.at,
          recovered_by_build_id: recovery?.build.id ?? null,
          recovered_by_build_number: recovery?.build.number ?? null,
          recovered_at: recovery?.passedAt ?? null,
          recovered_by_retry: recovery ? recovery.result === 'failed' : null,
          seconds_to_green: seconds(first.at, recovery?.passedAt ?? null),
        },
      ]
    }),
  )
}

export function rebuilds(facts: Facts): Row[] {
  return facts.builds.flatMap((build) => {
    if (build.rebuilt_from_id === null) return []
    const original = facts.buildById.get(build.rebuilt_from_id)
    const [was, is] = [original ? buildResult(original) : null, buildResult(build)]
    const same = isPresent(original?.commit) && build.commit !== null ? original.commit === build.commit : null
    const failedFirst = was === null ? null : was === 'failed'
    const passedThen = is === null ? null : is === 'passed'
    return [
      {
        ...placeOf(facts, build),
        original_build_id: original?.id ?? null,
        original_build_number: original?.number ?? null,
        original_result: was,
        rebuild_id: build.id,
        rebuild_number: build.number,
        rebuild_result: is,
        same_commit: same,
        passed_on_rebuild: failedFirst === false || passedThen === false ? false : failedFirst && passedThen,
        rebuilt_by_email: lower(build.creator_email),
        created_at: build.created_at,
      },
    ]
  })
}
