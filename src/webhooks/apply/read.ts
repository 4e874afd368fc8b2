import { isObject } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import type { Observations } from '../../mirror/observation.ts'
import { observeWebhook, PayloadError } from '../../mirror/observe.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'

/** A delivery as stored in the inbox. */
export interface Pending {
  id: number
  event: string
  observed_at: Date
  payload: string | null
  /** Why there is no payload, or why an earlier try failed. */
  error: string | null
}

/** The result of reading a delivery. */
export type ReadDelivery = { observed: Observations } | { ignored: true } | { error: string }

/** Reads one delivery; pure. Ignores deliveries that are out of scope and events of unknown kinds. */
export function readDelivery(
  row: Pending,
  { filter, storeEnv }: { filter: MirrorFilter; storeEnv: boolean },
): ReadDelivery {
  if (row.payload === null) return { error: row.error ?? 'Its payload was dropped.' }
  const kind = row.event.split('.')[0] ?? ''
  if (!['ping', 'build', 'job', 'agent'].includes(kind)) return { ignored: true }
  try {
    const payload: unknown = JSON.parse(row.payload)
    if (!isWanted(payload, filter)) return { ignored: true }
    return { observed: observeWebhook(row.event, payload, row.observed_at, { storeEnv }) }
  } catch (error) {
    if (error instanceof PayloadError) return { error: error.message }
    return { error: `It could not be read: ${error instanceof Error ? error.name : 'unknown error'}.` }
  }
}

/** Most payloads name no organization: its slug, and often the pipeline's, is only part of the objects' URLs. */
function isWanted(payload: unknown, filter: MirrorFilter): boolean {
  const { organization, pipeline, project, build, job, agent } = asObject(payload)
  const subjects = [pipeline, project, build, job, agent].map((subject) => slugsOf(asObject(subject).url))
  const organizations = [asObject(organization).slug, ...subjects.map((slugs) => slugs.organization)]
  const pipelines = [asObject(pipeline).slug, asObject(project).slug, ...subjects.map((slugs) => slugs.pipeline)]
  return (
    organizations.every((slug) => typeof slug !== 'string' || filter.organization(slug)) &&
    pipelines.every((slug) => typeof slug !== 'string' || filter.pipeline(slug))
  )
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}
