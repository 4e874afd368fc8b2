import { slugOf } from './builds.ts'
import { deployedCommits } from './deployed-commits.ts'
import { committedAt, type Deployment, deploymentsOf, firstSuccess, seriesOf } from './deployments.ts'
import type { Facts } from './facts.ts'
import type { Incident } from './history.ts'
import {
  count,
  dayOf,
  greatest,
  isPresent,
  least,
  listBy,
  type Maybe,
  percentile,
  type Row,
  rate,
  seconds,
  startOfWeek,
} from './values.ts'

// deployment_outcomes and dora_weekly. See "Deployments" in docs/analytics/definitions.md.

const WEEK = 7 * 86_400_000

/** The latest deployment before another; of equals, the one with the greatest id. */
const earlier = (series: readonly Deployment[], { at }: Deployment) => series.findLast((one) => one.at < at)

function restoredAt(series: readonly Deployment[], one: Deployment): Maybe<number> {
  if (one.success || earlier(series, one)?.success === false) return null
  return series.find(({ at, success }) => success && at > one.at)?.at ?? null
}

const incidentsOf = (facts: Facts, { organization_id, service, environment }: Deployment): Incident[] =>
  facts.history.incidents.filter(
    (incident) =>
      incident.service === service &&
      incident.environment === environment &&
      (incident.organization === '*' || incident.organization === slugOf(facts, organization_id)),
  )

function causeOf(facts: Facts, series: readonly Deployment[], incident: Incident): Deployment | undefined {
  const named = deploymentsOf(facts).find(({ id }) => id === incident.deployment_id)
  return named ?? series.findLast(({ at, success }) => success && at <= incident.started_at)
}

function byDeployments(series: readonly Deployment[], one: Deployment, first: boolean): Row {
  const restored = restoredAt(series, one)
  return {
    failures_from: 'deployments',
    failed: !one.success,
    first_failed: !first,
    recovered_at: restored,
    recovery_seconds: seconds(one.at, restored),
    is_rework: earlier(series, one)?.success === false,
  }
}

function byIncidents(facts: Facts, series: readonly Deployment[], one: Deployment, first: boolean): Row {
  const incidents = incidentsOf(facts, one)
  // An incident of another service may name this deployment.
  const caused = facts.history.incidents.filter(
    (incident) =>
      incident.deployment_id === one.id || (incidents.includes(incident) && causeOf(facts, series, incident) === one),
  )
  const resolved = caused.map(({ resolved_at }) => resolved_at)
  const recovered = resolved.includes(null) ? null : greatest(resolved)
  const isDuring = ({ started_at, resolved_at }: Incident) =>
    one.at > started_at && (resolved_at === null || one.at <= resolved_at)
  return {
    failures_from: 'incidents',
    failed: caused.length > 0,
    first_failed: caused.length > 0 || !first,
    recovered_at: recovered,
    recovery_seconds: seconds(least(caused.map(({ started_at }) => started_at)), recovered),
    is_rework: incidents.some((incident) => !caused.includes(incident) && isDuring(incident)),
  }
}

function outcomesOf(facts: Facts, series: readonly Deployment[]): Row[] {
  const has = (one: Deployment) => facts.history.incidents.some(({ deployment_id }) => deployment_id === one.id)
  const hasIncidents = (series[0] && incidentsOf(facts, series[0]).length > 0) || series.some(has)
  return series.map((one) => {
    const first = firstSuccess(facts, one)
    return {
      deployment_id: one.id,
      ...{ organization_id: one.organization_id, organization: slugOf(facts, one.organization_id) },
      ...{ service: one.service, environment: one.environment, deployed_at: one.at },
      ...{ success: one.success, first_success: first },
      ...(hasIncidents ? byIncidents(facts, series, one, first) : byDeployments(series, one, first)),
      restored_at: restoredAt(series, one),
      committed_at: committedAt(facts, one.build),
    }
  })
}

export const deploymentOutcomes = (facts: Facts): Row[] =>
  seriesOf(facts).flatMap((series) => outcomesOf(facts, series))

function weekOf(outcomes: readonly Row[], commits: readonly Row[]): Row {
  const all = outcomes.length
  const times = (rows: readonly Row[], from: string, to: string) =>
    rows.map((row) => seconds(row[from] as Maybe<number>, row[to] as Maybe<number>))
  const is = (name: string) => count(outcomes, (row) => row[name] === true)
  const succeeded = outcomes.filter(({ success }) => success === true)
  const failed = all - succeeded.length
  const failedFirst = count(outcomes, ({ first_success }) => first_success === false)
  const middle = (values: readonly unknown[]) => percentile(values as Maybe<number>[], 0.5)
  return {
    deployments: all,
    deployment_frequency: all / 7,
    ...{ failed, change_failure_rate: rate(failed, all) },
    ...{ first_failed: failedFirst, first_change_failure_rate: rate(failedFirst, all) },
    p50_seconds_to_restore: middle(times(outcomes, 'deployed_at', 'restored_at')),
    p50_lead_seconds: middle(times(succeeded, 'committed_at', 'deployed_at')),
    p50_change_lead_seconds: middle(commits.map(({ lead_seconds }) => lead_seconds)),
    commits: commits.length,
    commits_with_time: count(commits, ({ committed_at }) => isPresent(committed_at)),
    ...{ change_fails: is('failed'), change_fail_rate: rate(is('failed'), all) },
    first_change_fail_rate: rate(is('first_failed'), all),
    p50_recovery_seconds: middle(outcomes.map(({ recovery_seconds }) => recovery_seconds)),
    ...{ reworks: is('is_rework'), deployment_rework_rate: rate(is('is_rework'), all) },
  }
}

export function doraWeekly(facts: Facts): Row[] {
  const commits = listBy(deployedCommits(facts), ({ deployment_id }) => String(deployment_id))
  return seriesOf(facts).flatMap((series) => {
    const outcomes = outcomesOf(facts, series)
    const [first] = series
    if (!first) return []
    const { organization_id, service, environment } = first
    const created = facts.builds.filter((build) => build.organization_id === organization_id)
    const newest = greatest([...created.map(({ created_at }) => created_at), ...series.map(({ at }) => at)]) ?? first.at
    const weeks: Row[] = []
    for (let week = startOfWeek(first.at); week <= startOfWeek(newest); week += WEEK) {
      const inWeek = outcomes.filter(({ deployed_at }) => startOfWeek(Number(deployed_at)) === week)
      const brought = inWeek.flatMap(({ deployment_id }) => commits.get(String(deployment_id)) ?? [])
      weeks.push({
        week: dayOf(week),
        ...{ organization_id, organization: slugOf(facts, organization_id), service, environment },
        failures_from: outcomes[0]?.failures_from,
        ...weekOf(inWeek, brought),
      })
    }
    return weeks
  })
}
