import { utcTime } from '../../src/simulator/model/shapes.ts'
import type { Random } from '../../src/simulator/random.ts'

/** Keys that no webhook of 2018 has. */
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

/** Keys that only some of them have. */
const sometimes = ['pull_request', 'creator', 'source', 'meta_data', 'scheduled_at', 'web_url']

type Json = Record<string, unknown>

/**
 * The body of a webhook as an older version of Buildkite sends it: its build lacks 11 to 17 keys, and the times of its objects are
 * whole seconds in the format `2018-07-01 20:14:38 UTC`. Nested users keep their format, which is the same in REST.
 */
export function olderWebhook(body: Json, random: Random): Json {
  const left = new Set([...missing, ...sometimes.filter(() => random.chance(0.5))])
  const inOldShape = (name: string, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value
    const fields = Object.entries(value).filter(([key]) => name !== 'build' || !left.has(key))
    return Object.fromEntries(fields.map(([key, field]) => [key, oldTime(key, field)]))
  }
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, inOldShape(name, value)]))
}

const oldTime = (key: string, value: unknown) =>
  key.endsWith('_at') && typeof value === 'string' && value.endsWith('Z') ? utcTime(value) : value
