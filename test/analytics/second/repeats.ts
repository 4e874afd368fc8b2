import { placeOf } from './builds.ts'
import type { Build, Facts, Job } from './facts.ts'
import { isCommand, jobName, jobResult } from './job-words.ts'
import { count, dayOf, distinct, grouped, listBy, orNull, type Row, rate } from './values.ts'

// job_repeats and flaky_commits_daily. See "Retries, flaky jobs and breaks" in docs/analytics/definitions.md.

const conclusive = ['passed', 'failed', 'timed_out']

const sameJob = (job: Job) => JSON.stringify([jobName(job), orNull(job.step_key), job.matrix, job.parallel_group_index])

function repeatsOf(facts: Facts, builds: readonly Build[]): Row[] {
  const [first] = [...builds].sort((a, b) => (a.number ?? Infinity) - (b.number ?? Infinity))
  const tries = builds
    .flatMap((build) => build.jobs.filter((job) => isCommand(job) && !facts.nextTries.has(job.id)))
    .filter((job) => conclusive.includes(jobResult(job) ?? ''))
  return [...listBy(tries, sameJob).values()].flatMap((same) => {
    const its = distinct(same.map(({ build_id }) => build_id))
    const [job] = same
    if (its.length < 2 || !first || !job) return []
    const failed = count(its, (id) => same.some((one) => one.build_id === id && jobResult(one) !== 'passed'))
    return {
      ...placeOf(facts, first),
      commit: first.commit,
      job: jobName(job),
      step_key: orNull(job.step_key),
      created_at: first.created_at,
      builds: its.length,
      passed: its.length - failed,
      failed,
      flaky: failed > 0 && failed < its.length,
    }
  })
}

export function jobRepeats(facts: Facts): Row[] {
  const keyOf = ({ pipeline_id, commit }: Build) =>
    commit === null || commit === 'HEAD' ? null : JSON.stringify([pipeline_id, commit])
  return [...listBy(facts.builds, keyOf).values()].flatMap((builds) => repeatsOf(facts, builds))
}

export function flakyCommitsDaily(facts: Facts): Row[] {
  return grouped(
    jobRepeats(facts),
    ({ created_at, organization_id, pipeline_id, job }) => ({
      day: created_at === null ? null : dayOf(Number(created_at)),
      ...{ organization_id, pipeline_id, job },
    }),
    (group) => {
      const flaky = count(group, (row) => row.flaky === true)
      return { repeated: group.length, flaky, flaky_rate: rate(flaky, group.length) }
    },
  )
}
