// The objects of Buildkite's REST API as the simulation stores them, field by field. Times are ISO 8601 in UTC with milliseconds.

export interface Person {
  id: string
  graphql_id: string
  name: string
  email: string
  avatar_url: string
  created_at: string
}

export interface Organization {
  id: string
  graphql_id: string
  url: string
  web_url: string
  name: string
  slug: string
  pipelines_url: string
  agents_url: string
  emojis_url: string
  created_at: string
}

export interface Pipeline {
  id: string
  graphql_id: string
  url: string
  web_url: string
  name: string
  description: string | null
  slug: string
  repository: string
  cluster_id: string | null
  cluster_url: string | null
  pipeline_template_uuid: string | null
  branch_configuration: string | null
  default_branch: string
  skip_queued_branch_builds: boolean
  skip_queued_branch_builds_filter: string | null
  cancel_running_branch_builds: boolean
  cancel_running_branch_builds_filter: string | null
  allow_rebuilds: boolean
  /** `webhook_url` is a secret: Buildkite shows it to users who may edit the pipeline, and includes it in webhooks. */
  provider: { id: string; settings: Record<string, unknown>; webhook_url: string }
  builds_url: string
  badge_url: string
  clone_mirror_url: string | null
  created_by: Person | null
  created_at: string
  archived_at: string | null
  env: Record<string, string> | null
  scheduled_builds_count: number
  running_builds_count: number
  scheduled_jobs_count: number
  running_jobs_count: number
  waiting_jobs_count: number
  visibility: string
  tags: string[] | null
  emoji: string | null
  color: string | null
  /** In minutes. */
  default_command_step_timeout: number | null
  maximum_command_step_timeout: number | null
  configuration: string
  steps: unknown[]
}

export type Author = undefined | null | string | { name?: string; email?: string; username?: string; date?: string }

export interface Build {
  id: string
  graphql_id: string
  url: string
  web_url: string
  number: number
  state: string
  blocked: boolean
  blocked_state: string | null
  cancel_reason: string | null
  message: string | null
  commit: string
  branch: string
  tag: string | null
  env: Record<string, string>
  source: string
  author?: Author
  creator: Person | null
  created_at: string
  scheduled_at: string
  started_at: string | null
  finished_at: string | null
  failing_at: string | null
  meta_data: Record<string, string>
  pull_request: null | { id?: string; base?: string; repository?: string; labels?: string[] }
  merge_queue: { base_branch: string } | null
  rebuilt_from: { id: string; number: number; url: string } | null
  triggered_from: { build_id: string; build_number: number; build_pipeline_slug: string } | null
  cluster_id: string | null
  cluster_url: string | null
  pipeline: Pipeline
  jobs: Job[]
}

interface JobBase {
  id: string
  graphql_id: string
}

/** The common fields of script and trigger jobs, which are scheduled, run and finish. */
interface Runnable extends JobBase {
  name: string | null
  step_key: string | null
  group_key?: string
  state: string
  build_url: string
  web_url: string | null
  soft_failed: boolean
  created_at: string
  scheduled_at: string
  runnable_at: string | null
  started_at: string | null
  finished_at: string | null
}

export interface ScriptJob extends Runnable {
  type: 'script'
  step: { id: string; signature: Record<string, unknown> | null }
  priority: { number: number }
  agent_query_rules: string[]
  log_url: string
  raw_log_url: string
  artifacts_url: string
  command: string | null
  exit_status: number | null
  signal: string | null
  signal_reason: string | null
  broken_reason: string | null
  promised_exit_status?: number
  promised_exit_status_at?: string
  artifact_paths: string | null
  concurrency_wait_time_ms: number | null
  expired_at: string | null
  retried: boolean
  retried_in_job_id: string | null
  retries_count: number | null
  retry_source: { job_id: string; retry_type: string; retried_by: { name: string; email: string } | null } | null
  retry_type: string | null
  retried_by: Person | null
  parallel_group_index: number | null
  parallel_group_total: number | null
  matrix: Record<string, string> | null
  agent: Agent | null
  cluster_id: string | null
  cluster_url: string | null
  cluster_queue_id: string | null
  cluster_queue_url: string | null
}

export interface TriggerJob extends Runnable {
  type: 'trigger'
  async: boolean
  triggered_build: { id: string; number: number; url: string; web_url: string } | null
}

/** A wait step. Buildkite shows only that it exists. */
export interface WaiterJob extends JobBase {
  type: 'waiter'
}

/** A block step. It has a label, but no name and no times of its own. */
export interface ManualJob extends JobBase {
  type: 'manual'
  label: string
  state: string
  step_key: string | null
  web_url: null
  unblocked_by: Person | null
  unblocked_at: string | null
  unblockable: boolean
  unblock_url: string
}

export type Job = ScriptJob | TriggerJob | WaiterJob | ManualJob

export interface Agent {
  id: string
  graphql_id: string
  url: string
  web_url: string
  name: string
  connection_state: string
  hostname: string
  ip_address: string
  user_agent: string
  version: string
  os_id: string
  arch: string
  queue: string
  creator: Person | null
  created_at: string
  connected_at: string | null
  disconnected_at: string | null
  lost_at: string | null
  stopped_at: string | null
  last_job_finished_at: string | null
  priority: number
  meta_data: string[]
  paused: boolean
  paused_at: string | null
  paused_by: Person | null
  paused_note: string | null
  paused_timeout_in_minutes: number | null
  cluster_url: string | null
  cluster_queue_url: string | null
}

/** A change for which Buildkite sends a webhook. */
export interface Change {
  event: string
  build?: Build
  job?: Job
  agent?: Agent
}

/** Part of every secret value of the simulation, so that a test finds leaks with one search. */
export const secretMark = 'demo-canary-secret'

export const iso = (at: number): string => new Date(at).toISOString()

/** The time format until about 2018: `2018-07-01 20:14:38 UTC`. It has no milliseconds. */
export const utcTime = (time: string): string => `${time.slice(0, 19).replace('T', ' ')} UTC`

export const graphqlId = (kind: string, id: string): string => Buffer.from(`${kind}---${id}`).toString('base64')

/** The states of a build that is not finished. */
export const openBuildStates: ReadonlySet<string> = new Set([
  'creating',
  'scheduled',
  'running',
  'failing',
  'canceling',
])
