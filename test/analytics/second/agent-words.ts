import type { Facts } from './facts.ts'
import type { Maybe, Row } from './values.ts'

// Where an agent is, and whether it is connected. See "Reference data" in docs/analytics/definitions.md.

export const isConnected = (facts: Facts, { id, connection_state }: Row): boolean =>
  ['connected', 'stopping'].includes(String(connection_state)) && !facts.history.mirror.deleted.has(String(id))

const clusterIn = (url: unknown): Maybe<string> =>
  /\/clusters\/([0-9a-f-]{36})/i.exec(String(url ?? ''))?.[1]?.toLowerCase() ?? null

/** Where an agent is now. */
export function agentPlace(agent: Row) {
  const tag = (agent.meta_data as Maybe<string[]>)?.find((one) => one.startsWith('queue='))
  return {
    organization_id: agent.organization_id as Maybe<string>,
    cluster_id: clusterIn(agent.cluster_url) ?? clusterIn(agent.cluster_queue_url),
    queue: (agent.queue as Maybe<string>) ?? tag?.slice('queue='.length) ?? 'default',
  }
}
