import { isDeepStrictEqual } from 'node:util'
import { isObject, isUuid, type Json } from '../buildkite/payload-reader.ts'
import { redact } from '../buildkite/redact.ts'
import { slugsOf } from '../buildkite/urls.ts'
import type { Via } from '../database/schema.ts'
import { MINUTE } from '../runtime/time.ts'
import {
  type BuildRow,
  combine,
  type JobRow,
  type MirrorRow,
  noObservations,
  type Observation,
  type Observations,
  type PartialRow,
  type PipelineRow,
  type Place,
} from './observation.ts'
import {
  agentFromPayload,
  buildFromPayload,
  jobFromPayload,
  organizationFromPayload,
  pipelineFromPayload,
} from './payload-to-row.ts'

export interface ObserveOptions {
  /** Whether `env`, pipeline configuration and steps may be stored. */
  storeEnv: boolean
  /** The id of the requested organization, if it is known; payloads contain only the slug. */
  organizationId?: string
}

/** A webhook's payload without anything to mirror. The message names what is missing, never a value. */
export class PayloadError extends Error {
  override name = 'PayloadError'
}

/** Live counters of the pipelines list. In a webhook they may be out of date, so only a REST read sets them. */
const pipelineCounters = [
  'scheduled_builds_count',
  'running_builds_count',
  'scheduled_jobs_count',
  'running_jobs_count',
  'waiting_jobs_count',
] as const satisfies (keyof PipelineRow)[]

/**
 * The observations in a webhook, as of `at`. An event of an unknown kind has none.
 * @throws PayloadError when the event's object is missing or has no id.
 */
export function observeWebhook(event: string, payload: unknown, at: Date, options: ObserveOptions): Observations {
  const safe = redact(payload, options)
  if (!isObject(safe)) throw new PayloadError(`The payload of ${event} is not a JSON object.`)
  const kind = event.split('.')[0] ?? ''
  if (kind !== 'ping' && kind !== 'build' && kind !== 'job' && kind !== 'agent') return noObservations()
  const observed = observePayload(safe, { at, via: 'webhook' })
  const subject = { ping: undefined, build: observed.builds, job: observed.jobs, agent: observed.agents }[kind]
  if (subject?.length === 0) throw new PayloadError(`The payload of ${event} contains no ${kind} with an id.`)
  return observed
}

/** The observations in builds from REST: the builds, their jobs, and the agents of the jobs, as of `at`. */
export function observeBuilds(builds: readonly unknown[], at: Date, options: ObserveOptions): Observations {
  const sight: Sight = { at, via: 'rest', agents: new Map() }
  return observeRest(builds, (build) => ({ build, pipeline: build.pipeline }), sight, options)
}

/** The observations in pipelines from REST, as of `at`. */
export function observePipelines(pipelines: readonly unknown[], at: Date, options: ObserveOptions): Observations {
  return observeRest(pipelines, (pipeline) => ({ pipeline }), { at, via: 'rest' }, options)
}

/** The observations in agents from REST, as of `at`. */
export function observeAgents(agents: readonly unknown[], at: Date, options: ObserveOptions): Observations {
  return observeRest(agents, (agent) => ({ agent }), { at, via: 'rest' }, options)
}

/** The observations in organizations from REST, as of `at`. */
export function observeOrganizations(organizations: readonly unknown[], at: Date): Observations {
  return observeRest(organizations, (organization) => ({ organization }), { at, via: 'rest' }, { storeEnv: false })
}

/** Observes the items of a list, each as a payload, and assigns them to the requested organization. */
function observeRest(
  items: readonly unknown[],
  payloadOf: (item: Json) => Json,
  sight: Sight,
  options: ObserveOptions,
): Observations {
  const all = items.map((item) => {
    const safe = redact(item, options)
    return isObject(safe) ? observePayload(payloadOf(safe), sight) : { ...noObservations(), unreadable: 1 }
  })
  const observed = combine(all)
  if (options.organizationId === undefined) return observed
  for (const { fields } of [...observed.pipelines, ...observed.builds, ...observed.agents]) {
    fields.organization_id = options.organizationId
  }
  return observed
}

interface Sight {
  at: Date
  via: Via
  /** Agents of the page so far, by id: an agent with the same values in many jobs is observed once. */
  agents?: Map<unknown, Json>
}

function observePayload(payload: Json, sight: Sight): Observations {
  const observed = noObservations()
  const { organization, build, job, agent } = payload
  const pipeline = payload.pipeline ?? payload.project // webhooks of 2015 use `project`
  if (isObject(organization)) {
    add(observed, observed.organizations, organizationFromPayload(organization), sight, {})
  }
  let pipelineId: string | undefined
  if (isObject(pipeline)) {
    const fields = pipelineFromPayload(pipeline)
    if (fields && sight.via === 'webhook') for (const counter of pipelineCounters) delete fields[counter]
    pipelineId = fields?.id
    add(observed, observed.pipelines, fields, sight, slugsOf(fields?.url), build !== undefined)
  }
  let buildId: string | undefined
  if (isObject(build)) {
    const fields = buildFromPayload(build)
    buildId = fields?.id
    if (fields && pipelineId) fields.pipeline_id = pipelineId
    const seen = sight.via === 'rest' ? { ...sight, at: atLeastItsTimes(fields, sight.at) } : sight
    add(observed, observed.builds, fields, seen, slugsOf(fields?.url))
    // A build webhook contains no jobs; the empty list of some captures is no information about them.
    if (Array.isArray(build.jobs)) for (const item of build.jobs) observeJob(observed, item, buildId, sight)
  }
  if (job !== undefined) {
    const reason = payload.promised_exit_status_reason
    observeJob(
      observed,
      isObject(job) && reason !== undefined ? { promised_exit_status_reason: reason, ...job } : job,
      buildId,
      sight,
    )
  }
  if (agent !== undefined) observeAgent(observed, agent, sight)
  return observed
}

/** The most that a date of a build may be later than its response: a larger difference is a wrong clock, not a slow response. */
const SLOW_ANSWER = MINUTE

/**
 * The earliest time at which a build from REST had its state. A slow response may contain a build that finished after the response's own
 * time. With that time, the observation would lose against webhooks from before the finish.
 */
function atLeastItsTimes(build: PartialRow<BuildRow> | undefined, at: Date): Date {
  const times = [build?.started_at, build?.finished_at].map((time) => time?.getTime() ?? 0)
  const latest = Math.max(at.getTime(), ...times)
  return latest - at.getTime() <= SLOW_ANSWER ? new Date(latest) : at
}

function observeJob(observed: Observations, job: unknown, buildId: string | undefined, sight: Sight): void {
  if (!isObject(job)) return
  const fields = jobFromPayload(job, buildId)
  add(observed, observed.jobs, fields, sight, {})
  if (fields && sight.via === 'webhook') observeRetried(observed, fields, sight)
  observeAgent(observed, job.agent, sight, true)
}

/**
 * Buildkite sends no event when a job is retried; only `retry_source` in the events of the new job mentions it. Updates the row of the
 * retried job as REST would.
 */
function observeRetried(observed: Observations, retry: PartialRow<JobRow>, sight: Sight): void {
  const id = retry.retry_source_job_id
  if (!id) return
  const retried: PartialRow<JobRow> = {
    id,
    build_id: retry.build_id,
    retried: true,
    retried_in_job_id: retry.id,
    retry_type: retry.retry_source_retry_type,
    retried_by_name: retry.retry_source_retried_by_name,
    retried_by_email: retry.retry_source_retried_by_email,
    extra: {},
  }
  add(observed, observed.jobs, retried, sight, {})
}

function observeAgent(observed: Observations, agent: unknown, sight: Sight, isEmbedded?: boolean): void {
  if (!isObject(agent) || Object.keys(agent).length === 0) return
  if (isUuid(agent.id) && isDeepStrictEqual(sight.agents?.get(agent.id), agent)) return
  sight.agents?.set(agent.id, agent)
  const fields = agentFromPayload(agent)
  add(observed, observed.agents, fields, sight, slugsOf(fields?.url), isEmbedded)
}

function add<Row extends MirrorRow>(
  observed: Observations,
  list: Observation<Row>[],
  fields: PartialRow<Row> | undefined,
  sight: Sight,
  place: Place,
  isEmbedded?: boolean,
): void {
  if (fields) list.push({ fields, at: sight.at, via: sight.via, place, isEmbedded })
  else observed.unreadable++
}
