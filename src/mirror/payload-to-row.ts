import { isObject, type Json, PayloadReader } from '../buildkite/payload-reader.ts'
import type { AgentRow, BuildRow, JobRow, OrganizationRow, PartialRow, PipelineRow } from './observation.ts'

// Payload → partial row, one function for each of Buildkite's objects. Webhooks and REST use the same names, so one function reads both.
// Absent fields stay absent. Each function returns undefined for an object without a usable id.

export function organizationFromPayload(payload: Json): PartialRow<OrganizationRow> | undefined {
  const read = new PayloadReader(payload)
  const id = read.uuid('id')
  if (!id) return undefined
  return {
    id,
    graphql_id: read.text('graphql_id'),
    url: read.text('url'),
    web_url: read.text('web_url'),
    name: read.text('name'),
    slug: read.name('slug'),
    pipelines_url: read.text('pipelines_url'),
    agents_url: read.text('agents_url'),
    emojis_url: read.text('emojis_url'),
    created_at: read.time('created_at'),
    extra: read.rest(),
  }
}

export function pipelineFromPayload(payload: Json): PartialRow<PipelineRow> | undefined {
  const read = new PayloadReader(payload)
  const id = read.uuid('id')
  if (!id) return undefined
  return {
    id,
    graphql_id: read.text('graphql_id'),
    url: read.text('url'),
    web_url: read.text('web_url'),
    name: read.text('name'),
    description: read.text('description'),
    slug: read.name('slug'),
    repository: read.text('repository'),
    cluster_id: read.uuid('cluster_id'),
    cluster_url: read.text('cluster_url'),
    pipeline_template_uuid: read.uuid('pipeline_template_uuid'),
    branch_configuration: read.text('branch_configuration'),
    default_branch: read.text('default_branch'),
    skip_queued_branch_builds: read.boolean('skip_queued_branch_builds'),
    skip_queued_branch_builds_filter: read.text('skip_queued_branch_builds_filter'),
    cancel_running_branch_builds: read.boolean('cancel_running_branch_builds'),
    cancel_running_branch_builds_filter: read.text('cancel_running_branch_builds_filter'),
    allow_rebuilds: read.boolean('allow_rebuilds'),
    provider_id: read.text('provider', 'id'),
    provider_settings: read.json('provider', 'settings'),
    builds_url: read.text('builds_url'),
    // Redacted; null also removes what an earlier version stored.
    badge_url: null,
    clone_mirror_url: read.text('clone_mirror_url'),
    created_by_id: read.uuid('created_by', 'id'),
    created_by_name: read.text('created_by', 'name'),
    created_by_email: read.text('created_by', 'email'),
    created_at: read.time('created_at'),
    archived_at: read.time('archived_at'),
    scheduled_builds_count: read.integer('scheduled_builds_count'),
    running_builds_count: read.integer('running_builds_count'),
    scheduled_jobs_count: read.integer('scheduled_jobs_count'),
    running_jobs_count: read.integer('running_jobs_count'),
    waiting_jobs_count: read.integer('waiting_jobs_count'),
    visibility: read.text('visibility'),
    tags: read.texts('tags'),
    emoji: read.text('emoji'),
    color: read.text('color'),
    env: read.json('env'),
    configuration: read.text('configuration'),
    steps: read.json('steps'),
    default_command_step_timeout: read.integer('default_command_step_timeout'),
    maximum_command_step_timeout: read.integer('maximum_command_step_timeout'),
    extra: read.rest(),
  }
}

export function buildFromPayload(payload: Json): PartialRow<BuildRow> | undefined {
  const read = new PayloadReader(payload)
  const id = read.uuid('id')
  if (!id) return undefined
  // These objects have their own rows, and the counts follow from the jobs.
  for (const key of ['jobs', 'pipeline', 'job_state_counts', 'test_engine']) read.skip(key)
  return {
    id,
    ...author(read),
    pipeline_id: read.uuid('pipeline', 'id') ?? undefined,
    graphql_id: read.text('graphql_id'),
    url: read.text('url'),
    web_url: read.text('web_url'),
    number: read.bigint('number'),
    state: read.name('state'),
    blocked: read.boolean('blocked'),
    blocked_state: read.text('blocked_state'),
    cancel_reason: read.text('cancel_reason'),
    message: read.text('message'),
    commit: read.name('commit'),
    branch: read.name('branch'),
    tag: read.text('tag'),
    source: read.text('source'),
    creator_id: read.uuid('creator', 'id'),
    creator_graphql_id: read.text('creator', 'graphql_id'),
    creator_name: read.text('creator', 'name'),
    creator_email: read.text('creator', 'email'),
    creator_avatar_url: read.text('creator', 'avatar_url'),
    creator_created_at: read.time('creator', 'created_at'),
    created_at: read.time('created_at'),
    scheduled_at: read.time('scheduled_at'),
    started_at: read.time('started_at'),
    finished_at: read.time('finished_at'),
    failing_at: read.time('failing_at'),
    meta_data: read.json('meta_data'),
    env: read.json('env'),
    pull_request_id: read.text('pull_request', 'id'),
    pull_request_base: read.text('pull_request', 'base'),
    pull_request_repository: read.text('pull_request', 'repository'),
    pull_request_labels: read.texts('pull_request', 'labels'),
    merge_queue_base_branch: read.text('merge_queue', 'base_branch'),
    rebuilt_from_id: read.uuid('rebuilt_from', 'id'),
    rebuilt_from_number: read.bigint('rebuilt_from', 'number'),
    rebuilt_from_url: read.text('rebuilt_from', 'url'),
    triggered_from_build_id: read.uuid('triggered_from', 'build_id'),
    triggered_from_build_number: read.bigint('triggered_from', 'build_number'),
    triggered_from_build_pipeline_slug: read.text('triggered_from', 'build_pipeline_slug'),
    cluster_id: read.uuid('cluster_id'),
    cluster_url: read.text('cluster_url'),
    extra: read.rest(),
  }
}

/** The author has six shapes: missing, null, `{}`, with or without a username or a date, or plain text. */
function author(read: PayloadReader) {
  if (typeof read.peek('author') === 'string') return { author_name: read.text('author') }
  return {
    author_username: read.text('author', 'username'),
    author_name: read.text('author', 'name'),
    author_email: read.text('author', 'email'),
    author_date: read.time('author', 'date'),
  }
}

// biome-ignore lint/complexity/noExcessiveLinesPerFunction: a table with one line for each column.
export function jobFromPayload(payload: Json, buildId: string | undefined): PartialRow<JobRow> | undefined {
  const read = new PayloadReader(payload)
  const id = read.uuid('id')
  if (!id) return undefined
  // The agent has its own row; the job's row has the agent's id and its name at the time of the job.
  if (isObject(read.peek('agent'))) read.skip('agent')
  return {
    id,
    build_id: buildId,
    graphql_id: read.text('graphql_id'),
    type: read.text('type'),
    name: read.text('name'),
    label: read.text('label'),
    step_key: read.text('step_key'),
    group_key: read.text('group_key'),
    step_id: read.uuid('step', 'id'),
    step_signature: read.json('step', 'signature'),
    priority_number: read.integer('priority', 'number'),
    agent_query_rules: read.texts('agent_query_rules'),
    state: read.name('state'),
    build_url: read.text('build_url'),
    web_url: read.text('web_url'),
    log_url: read.text('log_url'),
    raw_log_url: read.text('raw_log_url'),
    artifacts_url: read.text('artifacts_url'),
    command: read.text('command'),
    soft_failed: read.boolean('soft_failed'),
    exit_status: read.bigint('exit_status'),
    signal: read.text('signal'),
    signal_reason: read.text('signal_reason'),
    broken_reason: read.text('broken_reason'),
    promised_exit_status: read.bigint('promised_exit_status'),
    promised_exit_status_at: read.time('promised_exit_status_at'),
    promised_exit_status_reason: read.text('promised_exit_status_reason'),
    artifact_paths: read.text('artifact_paths'),
    created_at: read.time('created_at'),
    scheduled_at: read.time('scheduled_at'),
    runnable_at: read.time('runnable_at'),
    concurrency_wait_time_ms: read.bigint('concurrency_wait_time_ms'),
    started_at: read.time('started_at'),
    finished_at: read.time('finished_at'),
    expired_at: read.time('expired_at'),
    retried: read.boolean('retried'),
    retried_in_job_id: read.uuid('retried_in_job_id'),
    retries_count: read.integer('retries_count'),
    retry_source_job_id: read.uuid('retry_source', 'job_id'),
    retry_source_retry_type: read.text('retry_source', 'retry_type'),
    retry_source_retried_by_name: read.text('retry_source', 'retried_by', 'name'),
    retry_source_retried_by_email: read.text('retry_source', 'retried_by', 'email'),
    retry_type: read.text('retry_type'),
    retried_by_id: read.uuid('retried_by', 'id'),
    retried_by_name: read.text('retried_by', 'name'),
    retried_by_email: read.text('retried_by', 'email'),
    parallel_group_index: read.integer('parallel_group_index'),
    parallel_group_total: read.integer('parallel_group_total'),
    matrix: read.json('matrix'),
    agent_id: read.uuid('agent', 'id'),
    agent_name: read.text('agent', 'name'),
    cluster_id: read.uuid('cluster_id'),
    cluster_url: read.text('cluster_url'),
    cluster_queue_id: read.uuid('cluster_queue_id'),
    cluster_queue_url: read.text('cluster_queue_url'),
    unblocked_by_id: read.uuid('unblocked_by', 'id'),
    unblocked_by_name: read.text('unblocked_by', 'name'),
    unblocked_by_email: read.text('unblocked_by', 'email'),
    unblocked_at: read.time('unblocked_at'),
    unblockable: read.boolean('unblockable'),
    unblock_url: read.text('unblock_url'),
    async: read.boolean('async'),
    triggered_build_id: read.uuid('triggered_build', 'id'),
    triggered_build_number: read.bigint('triggered_build', 'number'),
    triggered_build_url: read.text('triggered_build', 'url'),
    triggered_build_web_url: read.text('triggered_build', 'web_url'),
    extra: read.rest(),
  }
}

export function agentFromPayload(payload: Json): PartialRow<AgentRow> | undefined {
  const read = new PayloadReader(payload)
  const id = read.uuid('id')
  if (!id) return undefined
  // The job has its own row.
  if (isObject(read.peek('job'))) read.skip('job')
  return {
    id,
    graphql_id: read.text('graphql_id'),
    url: read.text('url'),
    web_url: read.text('web_url'),
    name: read.name('name'),
    connection_state: read.text('connection_state'),
    hostname: read.text('hostname'),
    ip_address: read.text('ip_address'),
    user_agent: read.text('user_agent'),
    version: read.text('version'),
    os_id: read.text('os_id'),
    arch: read.text('arch'),
    queue: read.text('queue'),
    creator_id: read.uuid('creator', 'id'),
    creator_name: read.text('creator', 'name'),
    creator_email: read.text('creator', 'email'),
    created_at: read.time('created_at'),
    connected_at: read.time('connected_at'),
    disconnected_at: read.time('disconnected_at'),
    lost_at: read.time('lost_at'),
    stopped_at: read.time('stopped_at'),
    job_id: read.uuid('job', 'id'),
    last_job_finished_at: read.time('last_job_finished_at'),
    priority: read.integer('priority'),
    meta_data: read.texts('meta_data'),
    paused: read.boolean('paused'),
    paused_at: read.time('paused_at'),
    paused_by_id: read.uuid('paused_by', 'id'),
    paused_by_name: read.text('paused_by', 'name'),
    paused_by_email: read.text('paused_by', 'email'),
    paused_note: read.text('paused_note'),
    paused_timeout_in_minutes: read.integer('paused_timeout_in_minutes'),
    cluster_url: read.text('cluster_url'),
    cluster_queue_url: read.text('cluster_queue_url'),
    extra: read.rest(),
  }
}
