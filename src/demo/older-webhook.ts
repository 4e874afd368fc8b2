import type { Random } from './random.ts'
import { utcTime } from './shapes.ts'

/** What no webhook of 2018 had. */
const missing = [
  'graphql_id',
  'author',
  'rebuilt_from',
  'blocked_state',
  'cancel_reason',
  'tag',
  'failing_at',
  'merge_queue',
  'triggered_from',
  'cluster_id',
  'cluster_url',
]

/** What some of them had. */
const sometimes = ['pull_request', 'creator', 'source', 'meta_data', 'scheduled_at', 'web_url']

type Json = Record<string, unknown>

/**
 * The body of a webhook as an older version of the service sends it: its build lacks 11 to 17 keys, and all times are whole seconds in
 * the form `2018-07-01 20:14:38 UTC`.
 */
export function olderWebhook(body: Json, random: Random): Json {
  const left = new Set([...missing, ...sometimes.filter(() => random.chance(0.5))])
  const { build } = body
  if (typeof build !== 'object' || build === null) return inOldTimes(body)
  return inOldTimes({ ...body, build: Object.fromEntries(Object.entries(build).filter(([key]) => !left.has(key))) })
}

function inOldTimes(object: object): Json {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, inOldTime(key, value)]))
}

function inOldTime(key: string, value: unknown): unknown {
  if (typeof value === 'string') return key.endsWith('_at') && value.endsWith('Z') ? utcTime(value) : value
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return inOldTimes(value)
}
