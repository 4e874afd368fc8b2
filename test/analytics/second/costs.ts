import { endedTries, type Try } from './daily-jobs.ts'
import type { Facts } from './facts.ts'
import { isRetried } from './job-words.ts'
import { clusterOf } from './jobs.ts'
import { dayOf, grouped, type Maybe, type Row } from './values.ts'

// minutes_daily and what they cost. See "Jobs by day and hour" and "Costs" in docs/analytics/definitions.md.

function wasteOf({ job, build, result }: Try, rebuilt: ReadonlySet<string>): string | undefined {
  if (result === 'infra_lost') return 'minutes_infra_lost'
  if (result === 'canceled' || build.state === 'canceled') return 'minutes_canceled'
  if (isRetried(job)) return 'minutes_retried'
  return rebuilt.has(build.id) ? 'minutes_rebuilt' : undefined
}

const reasons = ['minutes_infra_lost', 'minutes_canceled', 'minutes_retried', 'minutes_rebuilt']

export function minutesDaily(facts: Facts): Row[] {
  const rebuilt = new Set(facts.builds.flatMap(({ rebuilt_from_id }) => rebuilt_from_id ?? []))
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
      const minutes = (some: readonly Try[]) => some.reduce((sum, { run }) => sum + (run ?? 0), 0) / 60
      const wasted = reasons.map((reason) => [reason, minutes(group.filter((one) => wasteOf(one, rebuilt) === reason))])
      return { tries: group.length, minutes: minutes(group), ...Object.fromEntries(wasted) }
    },
  )
}

function priced(facts: Facts, row: Row): Row {
  const cluster_id = row.cluster_id as Maybe<string>
  const cluster = clusterOf(facts, { cluster_id })
  const wasted = reasons.reduce((sum, reason) => sum + Number(row[reason]), 0)
  const rates = facts.history.rates.filter(({ queue }) => queue === row.queue)
  const rate =
    rates.find((one) => cluster_id !== null && one.cluster === cluster_id) ??
    rates.find((one) => cluster !== null && one.cluster === cluster) ??
    rates.find((one) => one.cluster === '*')
  return {
    ...row,
    cluster,
    minutes_wasted: wasted,
    cost: rate ? Number(row.minutes) * rate.per_minute : null,
    cost_wasted: rate ? wasted * rate.per_minute : null,
    currency: rate?.currency ?? null,
  }
}

export const costsDaily = (facts: Facts): Row[] => minutesDaily(facts).map((row) => priced(facts, row))

export function queueCostsDaily(facts: Facts): Row[] {
  return grouped(
    minutesDaily(facts),
    ({ day, organization_id, cluster_id, queue }) => ({ day, organization_id, cluster_id, queue }),
    (group) => {
      const sum = (name: string) => group.reduce((all, row) => all + Number(row[name]), 0)
      return Object.fromEntries(['minutes', ...reasons].map((name) => [name, sum(name)]))
    },
  ).map((row) => priced(facts, row))
}
