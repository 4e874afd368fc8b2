import { attemptRuns, buildAttempts, buildRows, pipelineRuns } from './builds.ts'
import { agentConnections, agentsHourly } from './connections.ts'
import {
  buildCosts,
  buildMinutesHourly,
  costsDaily,
  jobCostsDaily,
  jobMinutesHourly,
  minutesDaily,
  queueCostsDaily,
} from './costs.ts'
import {
  branchDurationsDaily,
  buildResultsDaily,
  buildSourcesDaily,
  buildsHourly,
  cancellationsDaily,
  periodChanges,
  pipelineDurationsByPeriod,
  pipelineDurationsDaily,
  trunkHealthDaily,
} from './daily-builds.ts'
import {
  agentsDaily,
  busyPeriods,
  jobFailuresDaily,
  jobRegressions,
  jobsByPeriod,
  jobsDaily,
  jobsHourly,
  queueWaitsDaily,
  queueWaitsHourly,
} from './daily-jobs.ts'
import { deployedCommits } from './deployed-commits.ts'
import { deploymentServices, deployments } from './deployments.ts'
import { queueDepths, queuesNow } from './depths.ts'
import { deploymentOutcomes, doraWeekly } from './dora.ts'
import type { Facts } from './facts.ts'
import { approvals, criticalPaths, parallelSteps, pullRequests, triggerEdges, triggerTrees } from './inside.ts'
import { jobRows, pipelineJobs } from './jobs.ts'
import { annotations, clusters, pipelineVariables, queues, teams } from './lists.ts'
import {
  agents,
  organizations,
  pipelineSchedules,
  pipelineSources,
  pipelines,
  users,
  webhookLoss,
} from './reference.ts'
import { flakyCommitsDaily, jobRepeats } from './repeats.ts'
import {
  firstFailures,
  firstFailuresDaily,
  firstTrunkRecoveries,
  flakyJobsDaily,
  jobBreaks,
  jobRetries,
  rebuilds,
  trunkRecoveries,
} from './retries.ts'
import { buildStages, pipelineStageNames, stageDurationsDaily } from './stages.ts'
import type { Row } from './values.ts'

export interface View {
  readonly name: string
  readonly keys: readonly string[]
  readonly rows: (facts: Facts) => Row[]
  /** Columns that only the mirror knows. */
  readonly leaveOut?: readonly string[]
  /** Several rows may have the same keys. */
  readonly hasTwins?: boolean
}

const mirrors = ['changed_at', 'deleted_at']
const daily = ['day', 'organization_id', 'pipeline_id']
const period = ['period', 'starts_on', 'organization_id']
const step = ['group_key', 'step_key', 'job']
const byQueue = ['organization_id', 'cluster_id', 'queue']

/** The views and tables that docs/analytics/definitions.md defines. */
export const views: readonly View[] = [
  { name: 'attempt_runs', keys: ['build_id', 'finished_at'], rows: attemptRuns },
  { name: 'build_attempts', keys: ['build_id', 'attempt'], rows: buildAttempts, leaveOut: mirrors },
  { name: 'builds', keys: ['id'], rows: buildRows, leaveOut: [...mirrors, 'is_provisional'] },
  { name: 'pipeline_runs', keys: ['id'], rows: pipelineRuns, leaveOut: ['updated_at'] },
  { name: 'jobs', keys: ['id'], rows: jobRows, leaveOut: mirrors },
  { name: 'pipeline_jobs', keys: ['id'], rows: pipelineJobs },
  { name: 'build_results_daily', keys: daily, rows: buildResultsDaily },
  { name: 'pipeline_durations_daily', keys: daily, rows: pipelineDurationsDaily },
  { name: 'branch_durations_daily', keys: [...daily, 'branch'], rows: branchDurationsDaily },
  { name: 'trunk_health_daily', keys: daily, rows: trunkHealthDaily },
  { name: 'build_sources_daily', keys: [...daily, 'source', 'person_email'], rows: buildSourcesDaily },
  { name: 'cancellations_daily', keys: [...daily, 'result', 'cancel_reason'], rows: cancellationsDaily },
  { name: 'builds_hourly', keys: ['hour', ...daily.slice(1), 'branch'], rows: buildsHourly },
  { name: 'pipeline_durations_by_period', keys: [...period, 'pipeline_id'], rows: pipelineDurationsByPeriod },
  { name: 'period_changes', keys: [...period, 'pipeline_id'], rows: periodChanges },
  { name: 'jobs_hourly', keys: ['hour', ...daily.slice(1), 'job'], rows: jobsHourly },
  { name: 'jobs_by_period', keys: [...period, 'pipeline_id', 'job'], rows: jobsByPeriod },
  { name: 'job_regressions', keys: ['week', ...daily.slice(1), 'job'], rows: jobRegressions },
  { name: 'jobs_daily', keys: [...daily, 'job'], rows: jobsDaily },
  { name: 'job_failures_daily', keys: daily, rows: jobFailuresDaily },
  { name: 'queue_waits_daily', keys: ['day', ...byQueue], rows: queueWaitsDaily },
  { name: 'queue_waits_hourly', keys: ['hour', ...byQueue], rows: queueWaitsHourly },
  { name: 'busy_periods', keys: [...byQueue, 'began_at'], rows: busyPeriods },
  { name: 'minutes_daily', keys: [...daily, 'branch', 'queue', 'cluster_id'], rows: minutesDaily },
  { name: 'agents_daily', keys: ['day', 'organization_id', 'agent_id', 'queue'], rows: agentsDaily },
  { name: 'costs_daily', keys: [...daily, 'branch', 'queue', 'cluster_id'], rows: costsDaily },
  { name: 'queue_costs_daily', keys: ['day', ...byQueue], rows: queueCostsDaily },
  { name: 'build_minutes_hourly', keys: ['hour', 'build_id', 'queue', 'cluster_id'], rows: buildMinutesHourly },
  {
    name: 'job_minutes_hourly',
    keys: ['hour', ...daily.slice(1), ...step, ...byQueue.slice(1)],
    rows: jobMinutesHourly,
  },
  { name: 'build_costs', keys: ['build_id', 'currency'], rows: buildCosts },
  { name: 'job_costs_daily', keys: [...daily, ...step, ...byQueue.slice(1)], rows: jobCostsDaily },
  { name: 'job_repeats', keys: ['pipeline_id', 'commit', 'job', 'step_key'], rows: jobRepeats, hasTwins: true },
  { name: 'flaky_commits_daily', keys: [...daily, 'job'], rows: flakyCommitsDaily },
  { name: 'build_stages', keys: ['build_id', 'level', 'name', 'group_key'], rows: buildStages },
  {
    name: 'stage_durations_daily',
    keys: [...daily, 'level', 'name', 'group_key', 'is_stage'],
    rows: stageDurationsDaily,
  },
  { name: 'pipeline_stage_names', keys: ['pipeline_id', 'name'], rows: pipelineStageNames },
  { name: 'job_retries', keys: ['first_job_id'], rows: jobRetries },
  { name: 'flaky_jobs_daily', keys: [...daily, 'job'], rows: flakyJobsDaily },
  { name: 'first_failures', keys: ['build_id'], rows: firstFailures },
  { name: 'first_failures_daily', keys: daily, rows: firstFailuresDaily },
  { name: 'job_breaks', keys: ['job_id'], rows: jobBreaks },
  { name: 'trunk_recoveries', keys: ['broken_by_build_id'], rows: trunkRecoveries },
  { name: 'first_trunk_recoveries', keys: ['broken_by_build_id'], rows: firstTrunkRecoveries },
  { name: 'rebuilds', keys: ['rebuild_id'], rows: rebuilds },
  { name: 'critical_paths', keys: ['build_id', 'position'], rows: criticalPaths },
  { name: 'parallel_steps', keys: ['build_id', 'step', 'parts'], rows: parallelSteps },
  { name: 'approvals', keys: ['job_id'], rows: approvals },
  { name: 'trigger_edges', keys: ['child_build_id', 'trigger_job_id'], rows: triggerEdges },
  { name: 'trigger_trees', keys: ['root_build_id'], rows: triggerTrees },
  { name: 'pull_requests', keys: ['organization_id', 'repository', 'pr_number'], rows: pullRequests },
  { name: 'deployments', keys: ['reference_id'], rows: deployments },
  { name: 'deployment_services', keys: ['organization_id', 'name'], rows: deploymentServices },
  { name: 'deployment_outcomes', keys: ['deployment_id'], rows: deploymentOutcomes },
  { name: 'deployed_commits', keys: ['deployment_id', 'commit'], rows: deployedCommits },
  { name: 'dora_weekly', keys: ['week', 'organization_id', 'service', 'environment'], rows: doraWeekly },
  { name: 'organizations', keys: ['id'], rows: organizations, leaveOut: mirrors },
  { name: 'pipelines', keys: ['id'], rows: pipelines, leaveOut: mirrors },
  { name: 'pipeline_variables', keys: ['pipeline_id', 'variable'], rows: pipelineVariables },
  { name: 'teams', keys: ['id'], rows: teams, leaveOut: mirrors },
  { name: 'clusters', keys: ['id'], rows: clusters, leaveOut: mirrors },
  { name: 'annotations', keys: ['id'], rows: annotations, leaveOut: mirrors },
  { name: 'queues', keys: ['id'], rows: queues, leaveOut: mirrors },
  { name: 'pipeline_schedules', keys: ['id'], rows: pipelineSchedules, leaveOut: mirrors },
  { name: 'pipeline_sources', keys: ['id'], rows: pipelineSources },
  { name: 'agents', keys: ['id'], rows: agents, leaveOut: mirrors },
  {
    name: 'agent_connections',
    keys: ['agent_id', 'connected_at'],
    rows: agentConnections,
    leaveOut: mirrors,
  },
  { name: 'agents_hourly', keys: ['hour', ...byQueue], rows: agentsHourly },
  { name: 'queue_depths', keys: ['at', ...byQueue], rows: queueDepths },
  { name: 'queues_now', keys: byQueue, rows: queuesNow },
  { name: 'users', keys: ['key'], rows: users, leaveOut: mirrors },
  { name: 'webhook_loss', keys: ['hour', 'organization_id'], rows: webhookLoss },
]
