import { sql } from 'drizzle-orm'
import type { Transaction } from '../database/connection.ts'
import { agent_connections, agents, type ConnectionEnd } from '../database/schema.ts'
import { SECOND } from '../runtime/time.ts'
import type { AgentRow, Observation } from './observation.ts'
import { changedNow, columnList, selected } from './table.ts'

type Connection = typeof agent_connections.$inferSelect

/** The states of an agent without a connection. The field with the same name and `_at` says when it ended. */
const endings = ['disconnected', 'lost', 'stopped'] as const

/**
 * Saves each connection of the observed agents as a row of `agent_connections`. An agent's row shows only the last: a lost agent that comes
 * back keeps its id. Of two observations of a connection the later one wins, within a second the one that shows an end. Any end wins over `unlisted`.
 */
export async function saveConnections(
  tx: Transaction,
  observations: readonly Observation<AgentRow>[],
  now: Date,
): Promise<void> {
  const seen = new Map<string, Connection>()
  for (const observation of observations) {
    const connection = connectionOf(observation, now)
    if (!connection) continue
    const key = keyOf(connection)
    const known = seen.get(key)
    if (!known || rankOf(connection) >= rankOf(known)) seen.set(key, connection)
  }
  if (seen.size === 0) return
  // Sorted by key, so that transactions do not deadlock.
  const rows = [...seen.values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  await tx.execute(sql`
    insert into ${agent_connections} as held (${columnList(agent_connections)}) ${selected(agent_connections, rows)}
    -- An upsert locks its row even if it changes nothing, and nearly every payload of a job shows a connection that is known.
    where not exists (
      select from ${agent_connections} as known
      where known.agent_id = r.agent_id and known.connected_at = r.connected_at
        and (known.ended_at, known.ended_as) is not distinct from (r.ended_at, r.ended_as)
    )
    on conflict (agent_id, connected_at) do update set ended_at = excluded.ended_at, ended_as = excluded.ended_as,
      observed_at = excluded.observed_at, changed_at = ${changedNow}
    where ((date_trunc('second', excluded.observed_at), excluded.ended_at is not null)
        >= (date_trunc('second', held.observed_at), held.ended_at is not null)
        or (held.ended_as = 'unlisted' and excluded.ended_at is not null))
      and (excluded.ended_at, excluded.ended_as) is distinct from (held.ended_at, held.ended_as)`)
}

function connectionOf({ fields, at, via }: Observation<AgentRow>, now: Date): Connection | undefined {
  if (!fields.connected_at || !fields.connection_state) return undefined
  const connected_at = wholeSecond(fields.connected_at)
  return {
    agent_id: fields.id,
    connected_at,
    ...endOf(fields, connected_at, at),
    observed_at: at,
    first_seen_at: now,
    first_seen_via: via,
    changed_at: now,
  }
}

/** The first of the agent's times that ends this connection; earlier ones are of a connection before. */
function endOf(
  fields: Observation<AgentRow>['fields'],
  connectedAt: Date,
  at: Date,
): Pick<Connection, 'ended_at' | 'ended_as'> {
  const state = endings.find((one) => one === fields.connection_state)
  if (!state) return { ended_at: null, ended_as: null }
  let end: { ended_at: Date; ended_as: ConnectionEnd } | undefined
  for (const way of endings) {
    const time = fields[`${way}_at`]
    if (time && time >= connectedAt && (!end || time < end.ended_at)) end = { ended_at: time, ended_as: way }
  }
  return end ?? { ended_at: at > connectedAt ? at : connectedAt, ended_as: state }
}

/** Webhooks have no milliseconds. With them, a connection from a webhook and from REST would be two. */
const wholeSecond = (time: Date) => new Date(Math.floor(time.getTime() / SECOND) * SECOND)

const keyOf = ({ agent_id, connected_at }: Connection) => `${agent_id} ${connected_at.toISOString()}`

function rankOf({ observed_at, ended_at }: Connection): number {
  return Math.floor(observed_at.getTime() / SECOND) * 2 + (ended_at ? 1 : 0)
}

/**
 * Marks the agents of an organization as gone that the mirror holds as connected, but that a whole list, requested at `at`, lacked: the
 * webhook of their end was lost, or there are no webhooks. Their connection ended when they were last seen. Returns how many.
 */
export async function markUnlistedAgents(
  tx: Transaction,
  organizationId: string,
  listed: readonly string[],
  at: Date,
): Promise<number> {
  const { rowCount } = await tx.execute(sql`
    with gone as (
      update ${agents} set deleted_at = ${at}, deleted_reason = 'not_listed', changed_at = ${changedNow}
      where organization_id = ${organizationId} and connection_state in ('connected', 'stopping') and deleted_at is null
        and observed_at < ${at} and id <> all (${sql.param(listed)}::uuid[])
      returning id, connected_at, greatest(observed_at, verified_at) as last_seen_at
    )
    update ${agent_connections} as held set ended_at = greatest(gone.last_seen_at, held.connected_at), ended_as = 'unlisted',
      observed_at = ${at}, changed_at = ${changedNow}
    from gone
    where held.agent_id = gone.id and held.connected_at = date_trunc('second', gone.connected_at) and held.ended_at is null`)
  return rowCount ?? 0
}
