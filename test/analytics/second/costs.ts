import { isDefaultBranch, placeOf, prNumber } from './builds.ts'
import { endedTries, type Try } from './daily-jobs.ts'
import type { Facts } from './facts.ts'
import type { Rate } from './history.ts'
import { isRetried, jobName } from './job-words.ts'
import { clusterOf } from './jobs.ts'
import { dayOf, grouped, listBy, lower, type Maybe, orNull, type Row, repositoryOf, startOfHour } from './values.ts'

// Minutes of jobs and what they cost. See "Jobs by day and hour" and "Costs" in docs/analytics/definitions.md.

function wasteOf({ job, build, result }: Try, rebuilt: ReadonlySet<string>): string | undefined {
  if (result === 'infra_lost') return 'minutes_infra_lost'
  if (result === 'canceled' || build.state === 'canceled') return 'minutes_canceled'
  if (isRetried(job)) return 'minutes_retried'
  return rebuilt.has(build.id) ? 'minutes_rebuilt' : undefined
}

const rebuiltBuilds = (facts: Facts) => new Set(facts.builds.flatMap(({ rebuilt_from_id }) => rebuilt_from_id ?? []))
const minutesOf = (tries: readonly Try[]) => tries.reduce((sum, { run }) => sum + (run ?? 0), 0) / 60
const reasons = ['minutes_infra_lost', 'minutes_canceled', 'minutes_retried', 'minutes_rebuilt']

export function minutesDaily(facts: Facts): Row[] {
  const rebuilt = rebuiltBuilds(facts)
  return grouped(
    endedTries(facts),
    ({ end, build, job, queue }) => ({
      day: dayOf(end),
      organization_id: build.organization_id,
      pipeline_id: build.pipeline_id,
      branch: build.branch,
      queue,
      cluster_id: job.cluster_id,
    }),
    (group) => {
      const wasted = reasons.map((reason) => [
        reason,
        minutesOf(group.filter((one) => wasteOf(one, rebuilt) === reason)),
      ])
      return { tries: group.length, minutes: minutesOf(group), ...Object.fromEntries(wasted) }
    },
  )
}

function rateOf(facts: Facts, row: Row): Rate | undefined {
  const cluster_id = row.cluster_id as Maybe<string>
  const cluster = clusterOf(facts, { cluster_id })
  const rates = facts.history.rates.filter(({ queue }) => queue === row.queue)
  return (
    rates.find((one) => cluster_id !== null && one.cluster === cluster_id) ??
    rates.find((one) => cluster !== null && one.cluster === cluster) ??
    rates.find((one) => one.cluster === '*')
  )
}

/** A row with its cluster, and what its minutes cost. */
function priced(facts: Facts, row: Row): Row {
  const rate = rateOf(facts, row)
  return {
    ...row,
    cluster: clusterOf(facts, { cluster_id: row.cluster_id as Maybe<string> }),
    cost: rate ? Number(row.minutes) * rate.per_minute : null,
    cost_wasted: rate ? Number(row.minutes_wasted) * rate.per_minute : null,
    currency: rate?.currency ?? null,
  }
}

const sumOf = (rows: readonly Row[], name: string) => rows.reduce((all, row) => all + Number(row[name]), 0)
const sumsOf = (rows: readonly Row[], names: readonly string[]): Row =>
  Object.fromEntries(names.map((name) => [name, sumOf(rows, name)]))
const withWasted = (row: Row): Row => ({
  ...row,
  minutes_wasted: reasons.reduce((sum, reason) => sum + Number(row[reason]), 0),
})

export const costsDaily = (facts: Facts): Row[] => minutesDaily(facts).map((row) => priced(facts, withWasted(row)))

export function queueCostsDaily(facts: Facts): Row[] {
  return grouped(
    minutesDaily(facts),
    ({ day, organization_id, cluster_id, queue }) => ({ day, organization_id, cluster_id, queue }),
    (group) => sumsOf(group, ['minutes', ...reasons]),
  ).map((row) => priced(facts, withWasted(row)))
}

function minutesHourly(facts: Facts, keyOf: (one: Try) => Row): Row[] {
  const rebuilt = rebuiltBuilds(facts)
  return grouped(
    endedTries(facts),
    (one) => ({
      hour: startOfHour(one.end),
      organization_id: one.build.organization_id,
      pipeline_id: one.build.pipeline_id,
      ...keyOf(one),
      queue: one.queue,
      cluster_id: one.job.cluster_id,
    }),
    (group) => ({
      tries: group.length,
      minutes: minutesOf(group),
      minutes_wasted: minutesOf(group.filter((one) => wasteOf(one, rebuilt) !== undefined)),
    }),
  )
}

export const buildMinutesHourly = (facts: Facts): Row[] => minutesHourly(facts, ({ build }) => ({ build_id: build.id }))

export const jobMinutesHourly = (facts: Facts): Row[] =>
  minutesHourly(facts, ({ job }) => ({
    group_key: orNull(job.group_key),
    step_key: orNull(job.step_key),
    job: jobName(job),
  }))

const totals = ['tries', 'minutes', 'minutes_wasted']

export function jobCostsDaily(facts: Facts): Row[] {
  return grouped(
    jobMinutesHourly(facts),
    ({ hour, tries: _, minutes: __, minutes_wasted: ___, ...key }) => ({ day: dayOf(Number(hour)), ...key }),
    (group) => sumsOf(group, totals),
  ).map((row) => priced(facts, row))
}

export function buildCosts(facts: Facts): Row[] {
  const rows = buildMinutesHourly(facts).map((row) => priced(facts, row))
  return [...listBy(rows, ({ build_id, currency }) => `${build_id} ${currency ?? ''}`).values()].flatMap((group) => {
    const build = facts.buildById.get(String(group[0]?.build_id))
    if (!build) return []
    const currency = group[0]?.currency ?? null
    return {
      build_id: build.id,
      ...placeOf(facts, build),
      build_number: build.number,
      branch: build.branch,
      is_default_branch: isDefaultBranch(build),
      repository: repositoryOf(build.pipeline?.repository ?? null),
      pr_number: prNumber(build),
      author_email: orNull(lower(build.author_email)),
      creator_email: orNull(lower(build.creator_email)),
      source: build.source,
      created_at: build.created_at,
      ...sumsOf(group, totals),
      cost: currency === null ? null : sumOf(group, 'cost'),
      cost_wasted: currency === null ? null : sumOf(group, 'cost_wasted'),
      currency,
    }
  })
}
