import { attemptResult, firstStart } from './attempts.ts'
import {
  buildResult,
  firstAttempt,
  firstRunSecondsOf,
  isDefaultBranch,
  personOf,
  runSecondsOf,
  stateOf,
} from './builds.ts'
import type { Build, Facts } from './facts.ts'
import { isCommand, runSeconds } from './job-words.ts'
import {
  count,
  dayOf,
  distinct,
  greatest,
  grouped,
  type Maybe,
  mean,
  percentile,
  type Row,
  rate,
  seconds,
  total,
} from './values.ts'

// See "Builds by day" in docs/analytics/definitions.md.

const dayOrNull = (time: Maybe<number>) => (time === null ? null : dayOf(time))
const endDay = (build: Build) => dayOrNull(build.finished_at ?? build.created_at)
const isBlocked = (build: Build) => stateOf(build) === 'blocked'
const has =
  (...results: string[]) =>
  (build: Build) =>
    results.includes(buildResult(build) ?? '')
const firstResult = (build: Build) => {
  const first = firstAttempt(build)
  return first ? attemptResult(first) : null
}
const byPipeline = (day: Maybe<string>, { organization_id, pipeline_id }: Build) => ({
  day,
  organization_id,
  pipeline_id,
})

export function buildResultsDaily({ builds }: Facts): Row[] {
  const counted = builds.filter((build) => buildResult(build) !== null || isBlocked(build))
  return grouped(
    counted.filter((build) => endDay(build) !== null),
    (build) => byPipeline(endDay(build), build),
    (group) => {
      const ended = group.filter(has('passed', 'failed'))
      const failedFirst = ended.filter((build) => firstResult(build) === 'failed')
      return {
        finished: ended.length,
        passed: count(group, has('passed')),
        failed: count(group, has('failed')),
        canceled: count(group, has('canceled')),
        skipped: count(group, has('skipped', 'not_run')),
        blocked: count(group, isBlocked),
        first_failed: failedFirst.length,
        passed_on_retry: count(failedFirst, has('passed')),
        failure_rate: rate(count(group, has('failed')), ended.length),
        first_failure_rate: rate(failedFirst.length, ended.length),
      }
    },
  )
}

function durations(group: readonly Build[]): Row {
  const runs = group.map(runSecondsOf)
  const passed = group.filter(has('passed'))
  return {
    builds: group.length,
    passed: passed.length,
    mean_seconds: mean(runs),
    p50_seconds: percentile(runs, 0.5),
    p75_seconds: percentile(runs, 0.75),
    p90_seconds: percentile(runs, 0.9),
    p95_seconds: percentile(runs, 0.95),
    passed_p50_seconds: percentile(passed.map(runSecondsOf), 0.5),
    passed_p90_seconds: percentile(passed.map(runSecondsOf), 0.9),
  }
}

const timed = ({ builds }: Facts) => builds.filter(has('passed', 'failed')).filter((build) => endDay(build) !== null)

export function pipelineDurationsDaily(facts: Facts): Row[] {
  return grouped(
    timed(facts),
    (build) => byPipeline(endDay(build), build),
    (group) => ({
      ...durations(group),
      first_p50_seconds: percentile(group.map(firstRunSecondsOf), 0.5),
      first_p90_seconds: percentile(group.map(firstRunSecondsOf), 0.9),
      wait_p50_seconds: percentile(
        group.map((build) => seconds(build.created_at, firstStart(build))),
        0.5,
      ),
    }),
  )
}

export function branchDurationsDaily(facts: Facts): Row[] {
  return grouped(timed(facts), (build) => ({ ...byPipeline(endDay(build), build), branch: build.branch }), durations)
}

export function trunkHealthDaily({ builds }: Facts): Row[] {
  const trunk = builds.filter(
    (build) =>
      isDefaultBranch(build) === true && endDay(build) !== null && (isBlocked(build) || has('passed', 'failed')(build)),
  )
  return grouped(
    trunk,
    (build) => byPipeline(endDay(build), build),
    (group) => {
      const ended = group.filter(has('passed', 'failed'))
      const red = group.filter(has('failed'))
      const commits = (some: readonly Build[]) => distinct(some.flatMap(({ commit }) => commit ?? [])).length
      const last = greatest(ended.map(({ number }) => number))
      const lastBuild = ended.find(({ number }) => number === last)
      return {
        builds: ended.length,
        red_builds: red.length,
        commits: commits(ended),
        red_commits: commits(red),
        green_rate: rate(ended.length - red.length, ended.length),
        last_result: lastBuild ? buildResult(lastBuild) : null,
        blocked: count(group, isBlocked),
      }
    },
  )
}

export function buildSourcesDaily({ builds }: Facts): Row[] {
  return grouped(
    builds,
    (build) => ({
      ...byPipeline(dayOrNull(build.created_at), build),
      source: build.source,
      person_email: personOf(build),
    }),
    (group) => ({ builds: group.length }),
  )
}

export function cancellationsDaily({ builds }: Facts): Row[] {
  return grouped(
    builds.filter(has('canceled', 'skipped')),
    (build) => ({
      ...byPipeline(dayOrNull(build.created_at), build),
      result: buildResult(build),
      cancel_reason: build.cancel_reason,
    }),
    (group) => ({
      builds: group.length,
      minutes: (total(group.flatMap(({ jobs }) => jobs.filter(isCommand).map(runSeconds))) ?? 0) / 60,
    }),
  )
}
