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
  histogram,
  type Maybe,
  mean,
  percentile,
  periodsOf,
  type Row,
  rate,
  seconds,
  sortedWords,
  startBefore,
  startOfHour,
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
      const ended = count(group, has('passed', 'failed'))
      const counts = resultCounts(group)
      return {
        finished: ended,
        ...counts,
        failure_rate: rate(counts.failed, ended),
        first_failure_rate: rate(counts.first_failed, ended),
      }
    },
  )
}

function resultCounts(group: readonly Build[]) {
  const failedFirst = group.filter(has('passed', 'failed')).filter((build) => firstResult(build) === 'failed')
  return {
    passed: count(group, has('passed')),
    failed: count(group, has('failed')),
    canceled: count(group, has('canceled')),
    skipped: count(group, has('skipped', 'not_run')),
    blocked: count(group, isBlocked),
    first_failed: failedFirst.length,
    passed_on_retry: count(failedFirst, has('passed')),
  }
}

export function buildsHourly({ builds }: Facts): Row[] {
  const ended = builds.flatMap((build) => {
    const at = build.finished_at ?? build.created_at
    return at === null || (buildResult(build) === null && !isBlocked(build)) ? [] : [{ build, hour: startOfHour(at) }]
  })
  return grouped(
    ended,
    ({ hour, build: { organization_id, pipeline_id, branch } }) => ({ hour, organization_id, pipeline_id, branch }),
    (inHour) => {
      const group = inHour.map(({ build }) => build)
      const timed = group.filter(has('passed', 'failed'))
      const runs = total(timed.map(runSecondsOf))
      const last = greatest(timed.map(({ number }) => number))
      const lastBuild = timed.find(({ number }) => number === last)
      const { run_histogram, passed_run_histogram, first_run_histogram, wait_histogram } = allDurations(timed)
      return {
        ...resultCounts(group),
        run_ms: runs === null ? null : Math.round(runs * 1_000),
        ...{ run_histogram, passed_run_histogram, first_run_histogram, wait_histogram },
        commits: sortedWords(timed.map(({ commit }) => commit)),
        red_commits: sortedWords(timed.filter(has('failed')).map(({ commit }) => commit)),
        last_build_number: last,
        last_result: lastBuild ? buildResult(lastBuild) : null,
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
    run_histogram: histogram(runs),
    passed_run_histogram: histogram(passed.map(runSecondsOf)),
  }
}

const waitOf = (build: Build) => seconds(build.created_at, firstStart(build))

/** With first runs and waits. */
function allDurations(group: readonly Build[]): Row {
  return {
    ...durations(group),
    first_p50_seconds: percentile(group.map(firstRunSecondsOf), 0.5),
    first_p90_seconds: percentile(group.map(firstRunSecondsOf), 0.9),
    wait_p50_seconds: percentile(group.map(waitOf), 0.5),
    first_run_histogram: histogram(group.map(firstRunSecondsOf)),
    wait_histogram: histogram(group.map(waitOf)),
  }
}

const timed = ({ builds }: Facts) => builds.filter(has('passed', 'failed')).filter((build) => endDay(build) !== null)

export function pipelineDurationsDaily(facts: Facts): Row[] {
  return grouped(timed(facts), (build) => byPipeline(endDay(build), build), allDurations)
}

export function pipelineDurationsByPeriod(facts: Facts): Row[] {
  const inPeriods = timed(facts).flatMap((build) =>
    periodsOf(build.finished_at ?? build.created_at ?? 0).map((period) => ({ build, ...period })),
  )
  return grouped(
    inPeriods,
    ({ period, starts_on, build: { organization_id, pipeline_id } }) => ({
      ...{ period, starts_on, organization_id, pipeline_id },
    }),
    (group) => {
      const builds = group.map(({ build }) => build)
      return {
        ...allDurations(builds),
        failure_rate: rate(builds.length - count(builds, has('passed')), builds.length),
      }
    },
  )
}

export function periodChanges(facts: Facts): Row[] {
  const rows = pipelineDurationsByPeriod(facts)
  const names = ['builds', 'p50_seconds', 'p90_seconds', 'failure_rate', 'wait_p50_seconds']
  return rows.map((row) => {
    const { period, starts_on, organization_id, pipeline_id } = row
    const last = startBefore(String(period), String(starts_on))
    const before = rows.find(
      (one) =>
        one.period === period &&
        one.starts_on === last &&
        one.organization_id === organization_id &&
        one.pipeline_id === pipeline_id,
    )
    return {
      ...{ period, starts_on, organization_id, pipeline_id },
      ...Object.fromEntries(names.map((name) => [name, row[name]])),
      ...Object.fromEntries(names.map((name) => [`previous_${name}`, before?.[name] ?? null])),
    }
  })
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
