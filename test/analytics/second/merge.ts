import { agentFields, buildFields, isObject, type Json, jobFields, organizationOf, pipelineFields } from './fields.ts'
import type { History, Payload } from './history.ts'
import type { Row } from './values.ts'

// One object from several payloads. See that section in docs/analytics/definitions.md.

type Kind = 'build' | 'pipeline' | 'agent' | 'job'

export interface Merged {
  row: Row
  /** The time of the newest payload. */
  at: number
  /** Of jobs: the time of the newest REST read. */
  readAt: number
  isRest: boolean
  firstVia: Payload['via']
  firstAt: number
}

/** What one payload showed of the finish of a build. */
export interface Finish extends Pick<Payload, 'via' | 'at'> {
  readonly row: Row
}

/** What one payload showed of an agent. */
export type Sighting = Finish

export interface Objects {
  readonly organizations: Map<string, string>
  readonly pipelines: Map<string, Merged>
  readonly builds: Map<string, Merged>
  readonly jobs: Map<string, Merged>
  readonly agents: Map<string, Merged>
  readonly finishes: Map<string, Finish[]>
  readonly sightings: Map<string, Sighting[]>
}

const second = (time: number) => Math.floor(time / 1_000)

const buildStates = ['creating', 'scheduled', 'running', 'failing', 'canceling', 'blocked']
/** These are not filled from an older payload, and erased by any later null. */
const volatile: Record<Kind, string[]> = {
  build: ['state', 'blocked', 'cancel_reason', 'scheduled_at', 'started_at', 'finished_at'],
  pipeline: ['archived_at'],
  agent: ['connection_state', 'connected_at', 'disconnected_at', 'lost_at', 'stopped_at', 'job'],
  job: [],
}

const ended = ['passed', 'failed', 'canceled', 'skipped', 'not_run']

function stage(row: Row): number {
  const state = row.blocked === true && row.state !== 'canceled' ? 'blocked' : row.state
  const place = buildStates.indexOf(String(state))
  if (place >= 0) return place
  return ended.includes(String(state)) ? buildStates.length : -1
}

/** Whether payload `next` of a build wins over what is known, from the same second. */
function isMoreAdvanced(next: Row, nextIsRest: boolean, known: Merged): boolean {
  const { row } = known
  const after = (a: unknown, b: unknown) => typeof a === 'number' && typeof b === 'number' && a > b
  if (after(next.started_at, row.finished_at)) return true
  if (after(row.started_at, next.finished_at)) return false
  if (stage(next) !== stage(row)) return stage(next) > stage(row)
  const [finish, knownFinish] = [Number(next.finished_at ?? 0), Number(row.finished_at ?? 0)]
  if (finish !== knownFinish) return finish > knownFinish
  return nextIsRest || !known.isRest
}

/** A webhook's time in whole seconds does not replace a time with milliseconds in the same second. */
export function finer(known: unknown, value: unknown, isRest: boolean): unknown {
  const isCoarse = typeof known === 'number' && typeof value === 'number' && value % 1_000 === 0 && value > 1e11
  return isCoarse && !isRest && second(known) === second(value) ? known : value
}

function add(map: Map<string, Merged>, fields: Row, payload: Payload, kind: Kind, at = payload.at): void {
  const id = String(fields.id)
  const isRest = payload.via === 'rest'
  const known = map.get(id)
  if (!known) {
    map.set(id, {
      ...{ row: { ...fields }, at, readAt: isRest ? at : -Infinity, isRest },
      ...{ firstVia: payload.via, firstAt: payload.appliedAt },
    })
    return
  }
  const [now, before] = [second(at), second(known.at)]
  const wins = now > before || (now === before && (kind === 'build' ? isMoreAdvanced(fields, isRest, known) : true))
  for (const [key, value] of Object.entries(fields)) {
    const isVolatile = volatile[kind].includes(key)
    if (wins ? value !== null || isRest || isVolatile : (known.row[key] ?? null) === null && !isVolatile) {
      known.row[key] = finer(known.row[key], value, isRest)
    }
  }
  if (wins) Object.assign(known, { at: Math.max(at, known.at), isRest })
}

const jobStates = [
  ['pending'],
  ['waiting', 'blocked'],
  ['waiting_failed', 'blocked_failed'],
  ['limiting', 'platform_limiting'],
  ['limited', 'platform_limited'],
  ...[['scheduled'], ['reserved'], ['assigned'], ['accepted'], []],
  ['running'],
  ['canceling', 'timing_out'],
  ['finished'],
  ['passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'unblocked'],
  ['unblocked_failed'],
]
const unlisted = jobStates.findIndex((states) => states.length === 0)
function jobStage(state: unknown): number {
  const place = jobStates.findIndex((states) => states.includes(String(state)))
  return place < 0 ? unlisted : place
}

function join(key: string, a: unknown, b: unknown): unknown {
  if (a === null || a === undefined || b === null || b === undefined) return a ?? b ?? null
  if (key === 'state')
    return jobStage(a) === jobStage(b) ? (String(a) > String(b) ? a : b) : jobStage(a) > jobStage(b) ? a : b
  if (key === 'unblockable') return a && b
  if (typeof a === 'boolean') return a || b
  if (typeof a === 'number' && typeof b === 'number') return Math.max(a, b)
  if (typeof a === 'string' && typeof b === 'string') return a > b ? a : b
  return JSON.stringify(a) > JSON.stringify(b) ? a : b
}

function addJob(map: Map<string, Merged>, fields: Row, payload: Payload): void {
  const known = map.get(String(fields.id))
  if (!known) {
    add(map, fields, payload, 'job')
    return
  }
  const { row } = known
  const isRest = payload.via === 'rest'
  const [now, seen] = [second(payload.at), second(isRest ? known.at : known.readAt)]
  for (const [key, value] of Object.entries(fields)) {
    if (isRest && now >= seen) row[key] = value
    else if (now < seen) row[key] ??= value
    else row[key] = join(key, row[key], value)
  }
  known.at = Math.max(known.at, payload.at)
  if (isRest) known.readAt = Math.max(known.readAt, payload.at)
}

/** The next try names the job that was retried. */
function addRetried(objects: Objects, next: Row, payload: Payload): void {
  if (payload.via !== 'webhook' || typeof next.retry_source_job_id !== 'string') return
  const fields: Row = {
    id: next.retry_source_job_id,
    build_id: next.build_id,
    retried: true,
    retried_in_job_id: next.id,
    retry_type: next.retry_source_retry_type ?? null,
    retried_by_name: next.retry_source_retried_by_name ?? null,
    retried_by_email: next.retry_source_retried_by_email ?? null,
  }
  addJob(objects.jobs, fields, payload)
}

const finished = ['blocked', 'passed', 'failed', 'canceled', 'skipped', 'not_run']

function addBuild(objects: Objects, build: Json, pipeline: unknown, payload: Payload): void {
  const row = buildFields(build)
  if (isObject(pipeline)) {
    row.pipeline_id = pipelineFields(pipeline).id
    addPipeline(objects, pipeline, payload)
  }
  const own = [row.started_at, row.finished_at].filter((time) => typeof time === 'number')
  const isClose = payload.via === 'rest' ? own.filter((time) => time - payload.at <= 60_000) : []
  add(objects.builds, row, payload, 'build', Math.max(payload.at, ...isClose))
  const isBlocked = row.blocked === true && row.state !== 'canceled'
  if (typeof row.finished_at !== 'number' || !(isBlocked || finished.includes(String(row.state)))) return
  const finishes = objects.finishes.get(String(row.id)) ?? []
  finishes.push({ via: payload.via, at: payload.at, row })
  objects.finishes.set(String(row.id), finishes)
}

function addAgent(objects: Objects, agent: unknown, payload: Payload): void {
  if (!isObject(agent)) return
  const row = agentFields(agent)
  add(objects.agents, row, payload, 'agent')
  const sightings = objects.sightings.get(String(row.id)) ?? []
  sightings.push({ via: payload.via, at: payload.at, row })
  objects.sightings.set(String(row.id), sightings)
}

function addPipeline(objects: Objects, pipeline: Json, payload: Payload): void {
  add(objects.pipelines, pipelineFields(pipeline), payload, 'pipeline')
}

function addJobOf(objects: Objects, job: unknown, build: Json, payload: Payload): void {
  if (!isObject(job)) return
  const row: Row = { ...jobFields(job), build_id: String(build.id).toLowerCase() }
  addJob(objects.jobs, row, payload)
  addRetried(objects, row, payload)
  addAgent(objects, job.agent, payload)
}

/** Applies every payload in its order. */
export function mergeAll(history: History): Objects {
  const objects: Objects = {
    organizations: new Map(
      history.lists.map(({ organization }) => [String(organization.slug), String(organization.id)]),
    ),
    ...{ pipelines: new Map(), builds: new Map(), jobs: new Map(), agents: new Map(), finishes: new Map() },
    sightings: new Map(),
  }
  for (const payload of history.payloads) {
    for (const pipeline of payload.pipelines ?? []) addPipeline(objects, pipeline, payload)
    for (const agent of payload.agents ?? []) addAgent(objects, agent, payload)
    for (const build of payload.builds ?? []) {
      addBuild(objects, build, build.pipeline, payload)
      for (const job of Array.isArray(build.jobs) ? build.jobs : []) addJobOf(objects, job, build, payload)
    }
    const { webhook } = payload
    if (!webhook) continue
    if (isObject(webhook.build)) {
      addBuild(objects, webhook.build, webhook.pipeline, payload)
      addJobOf(objects, webhook.job, webhook.build, payload)
    }
    addAgent(objects, webhook.agent, payload)
  }
  return objects
}

export const organizationIdOf = (objects: Objects, row: Row): string | null =>
  objects.organizations.get(organizationOf(row) ?? '') ?? null
