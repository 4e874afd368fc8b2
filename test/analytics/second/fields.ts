import type { Maybe, Row } from './values.ts'

// The fields of API objects, flat, with times in milliseconds. See "Objects and fields" in docs/analytics/definitions.md.

export type Json = Record<string, unknown>

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Reads one field; undefined if it is absent or of another type. */
type Read = (value: unknown) => unknown

const text: Read = (value) =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : value === null ? null : undefined
/** Names of places and the like; longer ones are absent. */
const shortText: Read = (value) => {
  const read = text(value)
  return typeof read === 'string' && read.length > 600 ? undefined : read
}
const uuid: Read = (value) =>
  value === null
    ? null
    : typeof value === 'string' && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(value)
      ? value.toLowerCase()
      : undefined
const number: Read = (value) => (value === null || typeof value === 'number' ? value : undefined)
const flag: Read = (value) => (value === null || typeof value === 'boolean' ? value : undefined)
const anything: Read = (value) => value
const object: Read = (value) => (value === null || isObject(value) ? value : undefined)
const texts: Read = (value) =>
  value === null || (Array.isArray(value) && value.every((one) => typeof one === 'string')) ? value : undefined
const time: Read = (value) => {
  if (value === null) return null
  if (typeof value !== 'string') return undefined
  const at = Date.parse(value.replace(/^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) UTC$/, '$1T$2Z'))
  return Number.isNaN(at) ? undefined : at
}

type Shape = Record<string, readonly [path: string, read: Read]>

/** Absent keys stay absent; below a null, all is null. */
function flatten(object: Json, shape: Shape): Row {
  const row: Row = {}
  for (const [name, [path, read]] of Object.entries(shape)) {
    let value: unknown = object
    for (const key of path.split('.')) {
      if (value === null || value === undefined) break
      value = isObject(value) && key in value ? value[key] : undefined
    }
    const found = value === undefined ? undefined : read(value)
    if (found !== undefined) row[name] = found
  }
  return row
}

const of = (read: Read, ...names: string[]): Shape =>
  Object.fromEntries(
    names.map((path) => [path.replace(/\./g, '_'), [path, read] as const] as [string, readonly [string, Read]]),
  )

const buildShape: Shape = {
  ...of(uuid, 'id', 'creator.id', 'rebuilt_from.id', 'triggered_from.build_id', 'cluster_id', 'pipeline.id'),
  ...of(shortText, 'state', 'commit', 'branch'),
  ...of(text, 'tag', 'message', 'source', 'cancel_reason', 'web_url', 'url'),
  ...of(text, 'pull_request.id', 'pull_request.base', 'pull_request.repository'),
  ...of(text, 'author.name', 'author.email', 'author.username', 'creator.name', 'creator.email'),
  ...of(text, 'merge_queue.base_branch'),
  ...of(texts, 'pull_request.labels'),
  ...of(time, 'created_at', 'scheduled_at', 'started_at', 'finished_at', 'failing_at', 'author.date'),
  ...of(number, 'number'),
  ...of(flag, 'blocked'),
  ...of(object, 'meta_data'),
}

const jobShape: Shape = {
  ...of(uuid, 'id', 'step.id', 'retried_in_job_id', 'retried_by.id', 'retry_source.job_id', 'agent.id'),
  ...of(uuid, 'cluster_id', 'cluster_queue_id', 'triggered_build.id', 'unblocked_by.id'),
  ...of(shortText, 'state', 'agent.name'),
  ...of(text, 'type', 'name', 'label', 'step_key', 'group_key', 'command', 'signal', 'signal_reason', 'retry_type'),
  ...of(text, 'web_url', 'retried_by.name', 'retried_by.email', 'unblocked_by.name', 'unblocked_by.email'),
  ...of(text, 'retry_source.retry_type', 'retry_source.retried_by.name', 'retry_source.retried_by.email'),
  ...of(time, 'created_at', 'scheduled_at', 'runnable_at', 'started_at', 'finished_at', 'expired_at'),
  ...of(time, 'unblocked_at', 'promised_exit_status_at'),
  ...of(number, 'exit_status', 'concurrency_wait_time_ms', 'promised_exit_status'),
  ...of(number, 'parallel_group_index', 'parallel_group_total'),
  ...of(flag, 'soft_failed', 'retried', 'async', 'unblockable'),
  ...of(texts, 'agent_query_rules'),
  ...of(anything, 'matrix'),
}

const pipelineShape: Shape = {
  ...of(uuid, 'id', 'cluster_id', 'created_by.id'),
  ...of(shortText, 'slug'),
  ...of(text, 'name', 'repository', 'default_branch', 'visibility', 'web_url', 'url', 'provider.id'),
  ...of(text, 'created_by.name', 'created_by.email'),
  ...of(texts, 'tags'),
  ...of(object, 'env'),
  ...of(number, 'default_command_step_timeout', 'maximum_command_step_timeout'),
  ...of(time, 'created_at', 'archived_at'),
}

const agentShape: Shape = {
  ...of(uuid, 'id'),
  ...of(shortText, 'name'),
  ...of(text, 'queue', 'connection_state', 'version', 'hostname', 'os_id', 'arch', 'url', 'ip_address'),
  ...of(text, 'cluster_url', 'cluster_queue_url'),
  ...of(time, 'connected_at', 'disconnected_at', 'lost_at', 'stopped_at', 'last_job_finished_at', 'created_at'),
  ...of(flag, 'paused'),
  ...of(texts, 'meta_data'),
  ...of(object, 'job'),
}

export function buildFields(build: Json): Row {
  const row = flatten(build, buildShape)
  if (typeof build.author === 'string') row.author_name = build.author
  return row
}
export const jobFields = (job: Json): Row => flatten(job, jobShape)
export const pipelineFields = (pipeline: Json): Row => flatten(pipeline, pipelineShape)
export const agentFields = (agent: Json): Row => flatten(agent, agentShape)

/** The slug of the organization in an object's URL. */
export const organizationOf = (row: Row): Maybe<string> =>
  /\/organizations\/([^/]+)/.exec(String(row.url ?? ''))?.[1] ?? null
