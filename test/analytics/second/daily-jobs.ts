import type { Build, Facts, Job } from './facts.ts'
import { agentWait, endOf, isCommand, isRetried, jobName, jobResult, queueOf, runSeconds } from './job-words.ts'
import {
  count,
  dayOf,
  distinct,
  greatest,
  grouped,
  histogram,
  isPresent,
  listBy,
  type Maybe,
  mean,
  percentile,
  periodsOf,
  type Row,
  rate,
  startOfDay,
  startOfHour,
  startOfWeek,
  total,
} from './values.ts'

// See "Jobs by day and hour" in docs/analytics/definitions.md.

const HOUR = 3_600_000
const DAY = 24 * HOUR

export interface Try {
  readonly job: Job
  readonly build: Build
  readonly result: Maybe<string>
  readonly queue: string
  readonly run: Maybe<number>
  readonly wait: Maybe<number>
  readonly end: Maybe<number>
}

/** The tries of command jobs whose build is known. */
export function triesOf(facts: Facts): Try[] {
  return facts.jobs.filter(isCommand).flatMap((job) => {
    if (!job.build) return []
    const common = { result: jobResult(job), queue: queueOf(facts, job), run: runSeconds(job), wait: agentWait(job) }
    return [{ job, build: job.build, ...common, end: endOf(job) }]
  })
}

const place = ({ build: { organization_id, pipeline_id } }: Try) => ({ organization_id, pipeline_id })
const queuePlace = ({ build: { organization_id }, job: { cluster_id }, queue }: Try) => ({
  ...{ organization_id, cluster_id, queue },
})
const has = (result: string) => (one: Try) => one.result === result

const counts = (one: Try): one is Try & { end: number } =>
  one.end !== null && one.result !== 'skipped' && one.result !== 'broken' && one.result !== null

/** Tries that ended on a known day, neither skipped nor broken. */
export const endedTries = (facts: Facts): (Try & { end: number })[] => triesOf(facts).filter(counts)

const results = ['passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out', 'expired', 'canceled']

const resultCounts = (group: readonly Try[]): Row => ({
  tries: group.length,
  ...Object.fromEntries(results.map((result) => [result, count(group, has(result))])),
  retried: count(group, ({ job }) => isRetried(job)),
})

const runsOf = (group: readonly Try[]) => ({
  runs: group.map(({ run }) => run),
  passed: group.filter(has('passed')).map(({ run }) => run),
})

const histograms = (group: readonly Try[]): Row => ({
  run_histogram: histogram(runsOf(group).runs),
  passed_run_histogram: histogram(runsOf(group).passed),
})

function jobDurations(group: readonly Try[]): Row {
  const { runs, passed } = runsOf(group)
  return {
    ...resultCounts(group),
    mean_seconds: mean(runs),
    max_seconds: greatest(runs),
    p50_seconds: percentile(runs, 0.5),
    p75_seconds: percentile(runs, 0.75),
    p90_seconds: percentile(runs, 0.9),
    p95_seconds: percentile(runs, 0.95),
    passed_p50_seconds: percentile(passed, 0.5),
    passed_p90_seconds: percentile(passed, 0.9),
    run_seconds: total(runs) ?? 0,
    ...histograms(group),
  }
}

export function jobsDaily(facts: Facts): Row[] {
  return grouped(
    endedTries(facts),
    (one) => ({ day: dayOf(one.end), ...place(one), job: jobName(one.job) }),
    jobDurations,
  )
}

export function jobsHourly(facts: Facts): Row[] {
  const inMs = (seconds: Maybe<number>) => (seconds === null ? null : Math.round(seconds * 1_000))
  return grouped(
    endedTries(facts),
    (one) => ({ hour: startOfHour(one.end), ...place(one), job: jobName(one.job) }),
    (group) => ({
      ...resultCounts(group),
      run_ms: inMs(total(runsOf(group).runs)) ?? 0,
      max_run_ms: inMs(greatest(runsOf(group).runs)),
      ...histograms(group),
    }),
  )
}

export function jobsByPeriod(facts: Facts): Row[] {
  const inPeriods = endedTries(facts).flatMap((one) => periodsOf(one.end).map((period) => ({ ...one, ...period })))
  return grouped(
    inPeriods,
    (one) => ({ period: one.period, starts_on: one.starts_on, ...place(one), job: jobName(one.job) }),
    (group) => {
      const notCanceled = group.length - count(group, has('canceled'))
      return { ...jobDurations(group), hard_failure_rate: rate(count(group, isHard), notCanceled) }
    },
  )
}

const isHard = ({ result }: Try) => result === 'failed' || result === 'timed_out'

export function jobRegressions(facts: Facts): Row[] {
  const all = endedTries(facts)
  const byJob = listBy(all, (one) => JSON.stringify([place(one), jobName(one.job)]))
  return [...byJob.values()].flatMap((tries) =>
    distinct(tries.map(({ end }) => startOfWeek(end))).flatMap((week) => {
      const now = tries.filter(({ end }) => startOfWeek(end) === week)
      const before = tries.filter(({ end }) => end < week && end >= week - 28 * DAY)
      const [first] = now
      const row = regression(now, before)
      return first && row ? [{ week: dayOf(week), ...place(first), job: jobName(first.job), ...row }] : []
    }),
  )
}

/** The numbers of a week and of the span before, if the job is slower or fails more. */
function regression(now: readonly Try[], before: readonly Try[]): Row | undefined {
  const numbers = (tries: readonly Try[]) => {
    const notCanceled = tries.length - count(tries, has('canceled'))
    const hard = count(tries, isHard)
    const passed = count(tries, has('passed'))
    return { passed, notCanceled, hard, hardRate: rate(hard, notCanceled), p50: percentile(runsOf(tries).passed, 0.5) }
  }
  const [week, span] = [numbers(now), numbers(before)]
  const [n, m] = [week.notCanceled, span.notCanceled]
  const [p50, previous] = [week.p50 ?? 0, span.p50 ?? 0]
  const isSlower = week.passed >= 20 && span.passed >= 20 && p50 >= 1.25 * previous && p50 >= previous + 10
  const both = (week.hard + span.hard) / (n + m)
  const limit = 3 * Math.sqrt(both * (1 - both) * (1 / n + 1 / m))
  const failsMore = n >= 20 && m >= 20 && (week.hardRate ?? 0) - (span.hardRate ?? 0) > limit
  if (!isSlower && !failsMore) return undefined
  return {
    ...{ is_slower: isSlower, fails_more: failsMore },
    ...{ passed: week.passed, previous_passed: span.passed },
    ...{ passed_p50_seconds: week.p50, previous_passed_p50_seconds: span.p50 },
    ...{ not_canceled: n, previous_not_canceled: m },
    ...{ hard_failure_rate: week.hardRate, previous_hard_failure_rate: span.hardRate },
  }
}

export function jobFailuresDaily(facts: Facts): Row[] {
  return grouped(
    jobsDaily(facts),
    ({ day, organization_id, pipeline_id }) => ({ day, organization_id, pipeline_id }),
    (group) => {
      const sum = (...names: string[]) =>
        group.reduce((all, row) => all + names.reduce((n, name) => n + Number(row[name]), 0), 0)
      const whole = sum('tries') - sum('canceled')
      const [hard, soft, infra] = [sum('failed', 'timed_out'), sum('soft_failed'), sum('infra_lost', 'expired')]
      return {
        ...{ tries: sum('tries'), canceled: sum('canceled') },
        ...{ hard_failed: hard, soft_failed: soft, infra_failed: infra },
        hard_failure_rate: rate(hard, whole),
        soft_failure_rate: rate(soft, whole),
        infra_failure_rate: rate(infra, whole),
      }
    },
  )
}

const startedTries = (facts: Facts) =>
  triesOf(facts).flatMap((one) => (one.job.started_at === null ? [] : [{ ...one, start: one.job.started_at }]))

export function queueWaitsDaily(facts: Facts): Row[] {
  return grouped(
    startedTries(facts),
    (one) => ({ day: dayOf(one.start), ...queuePlace(one) }),
    (group) => {
      const waits = group.map(({ wait }) => wait)
      return {
        started: group.length,
        mean_seconds: mean(waits),
        max_seconds: greatest(waits),
        p50_seconds: percentile(waits, 0.5),
        p75_seconds: percentile(waits, 0.75),
        p90_seconds: percentile(waits, 0.9),
        p95_seconds: percentile(waits, 0.95),
        wait_histogram: histogram(waits),
        concurrency_wait_seconds: (total(group.map(({ job }) => job.concurrency_wait_time_ms)) ?? 0) / 1_000,
      }
    },
  )
}

/** The seconds that a try ran within a period. */
function ranWithin(start: number, finish: number, from: number, length: number): number {
  return Math.max(0, Math.min(finish, from + length) - Math.max(start, from)) / 1_000
}

/** The hours that a try belongs to. */
function hoursOf({ start, job, run }: Try & { start: number }): number[] {
  const first = startOfHour(start)
  const finish = job.finished_at
  if (run === null || finish === null || finish < start) return [first]
  const hours: number[] = []
  const days = [start, finish, job.expired_at].filter(isPresent).map(startOfDay)
  const isLong = startOfDay(finish) - startOfDay(start) > DAY
  for (let hour = first; hour <= finish; hour += HOUR) {
    if (!isLong || days.includes(startOfDay(hour))) hours.push(hour)
  }
  return hours
}

export function queueWaitsHourly(facts: Facts): Row[] {
  const inHours = startedTries(facts).flatMap((one) => hoursOf(one).map((hour) => ({ ...one, hour })))
  return grouped(
    inHours,
    (one) => ({ hour: one.hour, ...queuePlace(one) }),
    (group) => {
      const begun = group.filter(({ start, hour }) => startOfHour(start) === hour)
      const waits = begun.map(({ wait }) => wait)
      return {
        started: begun.length,
        p50_seconds: percentile(waits, 0.5),
        p90_seconds: percentile(waits, 0.9),
        p95_seconds: percentile(waits, 0.95),
        max_seconds: greatest(waits),
        wait_histogram: histogram(waits),
        busy_seconds: group.reduce(
          (sum, { start, job, run, hour }) =>
            sum + (run === null ? 0 : ranWithin(start, job.finished_at ?? start, hour, HOUR)),
          0,
        ),
      }
    },
  )
}

export function busyPeriods(facts: Facts): Row[] {
  const busy = queueWaitsHourly(facts)
    .filter(({ p90_seconds }) => p90_seconds !== null && Number(p90_seconds) > 60)
    .sort((a, b) => Number(a.hour) - Number(b.hour))
  return grouped(
    busy,
    ({ organization_id, cluster_id, queue }) => ({ organization_id, cluster_id, queue }),
    (group) => ({ group }),
  ).flatMap(({ group, ...key }) => {
    const periods: Row[][] = []
    for (const row of group as Row[]) {
      const last = periods.at(-1)
      if (last && Number(last.at(-1)?.hour) + HOUR === row.hour) last.push(row)
      else periods.push([row])
    }
    return periods.map((hours) => {
      const sum = (name: string) => hours.reduce((all, row) => all + Number(row[name]), 0)
      return {
        ...key,
        began_at: hours[0]?.hour,
        ended_at: Number(hours.at(-1)?.hour) + HOUR,
        hours: hours.length,
        started: sum('started'),
        worst_p90_seconds: greatest(hours.map((row) => Number(row.p90_seconds))),
        mean_running_jobs: sum('busy_seconds') / hours.length / 3_600,
      }
    })
  })
}

/** The days on which a try of an agent counts. */
const daysOf = ({ job: { started_at, finished_at, expired_at } }: Try) =>
  distinct([started_at, finished_at, expired_at].filter(isPresent).map(startOfDay))

export function agentsDaily(facts: Facts): Row[] {
  const inDays = triesOf(facts)
    .filter(({ job }) => job.agent_id !== null)
    .flatMap((one) => daysOf(one).map((day) => ({ ...one, day })))
  return grouped(
    inDays,
    (one) => ({
      day: dayOf(one.day),
      organization_id: one.build.organization_id,
      agent_id: one.job.agent_id,
      queue: one.queue,
    }),
    (group) => {
      const ended = group.filter((one) => counts(one) && startOfDay(one.end) === one.day)
      return {
        agent_name: greatest(group.map(({ job }) => job.agent_name)),
        tries: ended.length,
        infra_lost: count(ended, has('infra_lost')),
        busy_seconds: group.reduce(
          (sum, { job, run, day }) =>
            sum + (run === null ? 0 : ranWithin(job.started_at ?? 0, job.finished_at ?? 0, day, DAY)),
          0,
        ),
      }
    },
  )
}
