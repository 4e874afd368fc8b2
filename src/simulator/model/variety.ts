import { hashOf } from '../random.ts'
import { type Build, type Job, type ManualJob, type Pipeline, type ScriptJob, utcTime } from './shapes.ts'
import type { Truth } from './state.ts'

// The rarer shapes of recorded bodies from 2015 to 2025. Each is chosen by the id of the object, not at random, so that a seed
// generates the same builds with and without them.

/** Whether the object is the one in `n` that has the shape. */
export function oneIn(n: number, id: string, shape: string): boolean {
  return hashOf(shape + id) % n === 0
}

/** Applies the shapes of a new pipeline's position: no cluster, or times in the format of 2018. */
export function varyPipeline(pipeline: Pipeline, position: number): void {
  if (position % 4 === 1) Object.assign(pipeline, { cluster_id: null, cluster_url: null })
  if (position % 3 === 2) pipeline.created_at = utcTime(pipeline.created_at)
}

/** Adds a cluster queue and a step signature. */
export function varyScript(truth: Truth, build: Build, job: ScriptJob): void {
  const { clusters, queues } = truth.companyOf(truth.organizationOf(build.pipeline))
  const cluster = clusters.find(({ id }) => id === job.cluster_id)
  const key = job.agent_query_rules[0]?.replace('queue=', '')
  const queue = cluster && queues.get(cluster)?.find((one) => one.key === key)
  if (queue) Object.assign(job, { cluster_queue_id: queue.id, cluster_queue_url: queue.url })
  if (job.step.signature || !oneIn(3, job.step.id, 'signature')) return
  const fields = ['command', 'env', 'matrix', 'plugins', 'repository_url']
  const signature = { value: `eyJhbGciOiJFUzI1NiJ9..${job.step.id}`, algorithm: 'ES256', signed_fields: fields }
  job.step = { ...job.step, signature }
}

/** Block steps may have no key. */
export function varyManual(job: ManualJob): void {
  if (oneIn(2, job.id, 'step_key')) job.step_key = null
}

/** Keys that were added to builds over the years. Old builds do not have them. */
const newerKeys = [
  'rebuilt_from',
  'failing_at',
  'merge_queue',
  'triggered_from',
  'cancel_reason',
  'cluster_id',
  'cluster_url',
]

const isOld = (truth: Truth, build: Build) => truth.variety && oneIn(3, build.id, 'old')

/** The fields of a build as the API shows them. An old build lacks newer keys that are null, and has the old time format. */
export function renderBuild<T extends object>(truth: Truth, build: Build, fields: T): object {
  if (!isOld(truth, build)) return fields
  return Object.fromEntries(
    Object.entries(fields)
      .filter(([key, value]) => value !== null || !newerKeys.includes(key))
      .map(([key, value]) => [key, oldTime(key, value)]),
  )
}

export function renderJob(truth: Truth, build: Build, job: Job): object {
  if (!isOld(truth, build)) return job
  return Object.fromEntries(Object.entries(job).map(([key, value]) => [key, oldTime(key, value)]))
}

/** Converts only whole seconds, so that no precision is lost. */
const oldTime = (key: string, value: unknown) =>
  key.endsWith('_at') && typeof value === 'string' && value.endsWith('.000Z') ? utcTime(value) : value
