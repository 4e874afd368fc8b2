import { attemptRuns, buildAttempts, buildRows, pipelineRuns } from './builds.ts'
import type { Facts } from './facts.ts'
import { jobRows, pipelineJobs } from './jobs.ts'
import type { Row } from './values.ts'

export interface View {
  readonly name: string
  readonly keys: readonly string[]
  readonly rows: (facts: Facts) => Row[]
  /** Columns that only the mirror knows. */
  readonly leaveOut?: readonly string[]
}

const mirrors = ['changed_at', 'deleted_at']

/** Every view and table that docs/analytics/definitions.md defines. */
export const views: readonly View[] = [
  { name: 'attempt_runs', keys: ['build_id', 'finished_at'], rows: attemptRuns },
  { name: 'build_attempts', keys: ['build_id', 'attempt'], rows: buildAttempts, leaveOut: mirrors },
  { name: 'builds', keys: ['id'], rows: buildRows, leaveOut: [...mirrors, 'is_provisional'] },
  { name: 'pipeline_runs', keys: ['id'], rows: pipelineRuns, leaveOut: ['updated_at'] },
  { name: 'jobs', keys: ['id'], rows: jobRows, leaveOut: mirrors },
  { name: 'pipeline_jobs', keys: ['id'], rows: pipelineJobs },
]
