import { agentPlace } from './agent-words.ts'
import { heardAt, hoursOf, type Interval, most, timesOf } from './depths.ts'
import type { Facts } from './facts.ts'
import type { Sighting } from './merge.ts'
import { grouped, isPresent, least, listBy, type Maybe, type Row, seconds, startOfHour } from './values.ts'

// See "Agents over time" in docs/analytics/definitions.md.

const HOUR = 3_600_000

interface Connection {
  connected_at: number
  at: number
  ended_at: Maybe<number>
  ended_as: Maybe<string>
}

const ends = ['disconnected', 'lost', 'stopped'] as const

function endOf({ row, at }: Sighting, connected: number): Pick<Connection, 'ended_at' | 'ended_as'> {
  const state = String(row.connection_state)
  if (!ends.some((end) => end === state)) return { ended_at: null, ended_as: null }
  const times = ends
    .map((end) => ({ ended_at: Number(row[`${end}_at`] ?? Number.NaN), ended_as: end }))
    .filter(({ ended_at }) => ended_at >= connected)
    .sort((a, b) => a.ended_at - b.ended_at)
  return times[0] ?? { ended_at: at, ended_as: state }
}

const second = (time: number) => Math.floor(time / 1_000)

/** The connections of an agent, in their order. */
function connectionsOf(sightings: readonly Sighting[]): Connection[] {
  const known: Connection[] = []
  for (const sighting of sightings) {
    const { connected_at: shownAt, connection_state } = sighting.row
    if (typeof shownAt !== 'number' || !isPresent(connection_state)) continue
    const connected_at = second(shownAt) * 1_000
    const shown = { connected_at, at: sighting.at, ...endOf(sighting, connected_at) }
    const same = known.find((one) => one.connected_at === connected_at)
    if (!same) {
      known.push(shown)
      continue
    }
    const [now, before] = [second(shown.at), second(same.at)]
    const wins = now > before || (now === before && (shown.ended_at !== null || same.ended_at === null))
    if (wins) Object.assign(same, shown)
  }
  return known.sort((a, b) => a.connected_at - b.connected_at)
}

/** Ends the connection of an agent that a list lacked. Only the mirror knows when it was last seen. */
function unlist(facts: Facts, agent: Row, connections: readonly Connection[]): void {
  const { deleted, unlisted } = facts.history.mirror
  const last = connections.at(-1)
  if (!last || last.ended_at !== null || !deleted.has(String(agent.id))) return
  const ended_at = unlisted.get(`${agent.id} ${last.connected_at}`) ?? null
  Object.assign(last, { ended_at, ended_as: 'unlisted' })
}

function allConnections(facts: Facts) {
  return facts.agents.map((agent) => {
    const connections = connectionsOf(facts.sightings.get(String(agent.id)) ?? [])
    unlist(facts, agent, connections)
    return { agent, connections }
  })
}

export function agentConnections(facts: Facts): Row[] {
  return allConnections(facts).flatMap(({ agent, connections }) =>
    connections.map(({ connected_at, ended_at, ended_as }) => ({
      agent_id: agent.id,
      ...agentPlace(agent),
      agent_name: agent.name,
      ...{ connected_at, ended_at, ended_as, connected_seconds: seconds(connected_at, ended_at) },
    })),
  )
}

/** Parts of ranges within an hour. */
const within = (ranges: readonly Interval[], hour: number): Interval[] =>
  ranges
    .map(({ from, to }) => ({ from: Math.max(from, hour), to: Math.min(to, hour + HOUR) }))
    .filter(({ from, to }) => to > from)

const lengthOf = (ranges: readonly Interval[]) => ranges.reduce((sum, { from, to }) => sum + to - from, 0) / 1_000

export function agentsHourly(facts: Facts): Row[] {
  const since = Date.parse('2013-01-01')
  const created = facts.builds.map(({ created_at }) => (created_at !== null && created_at >= since ? created_at : null))
  const begin = startOfHour(least(created) ?? Infinity)
  const runs = listBy(timesOf(facts), ({ job }) => job.agent_id)
  const inHours = allConnections(facts).flatMap(({ agent, connections }) => {
    const place = agentPlace(agent)
    const connected = connections.map(({ connected_at, ended_at }, index): Interval => {
      const next = connections[index + 1]?.connected_at ?? null
      const heard = ended_at === null && next === null ? heardAt(facts, place.organization_id) : null
      return { from: connected_at, to: least([ended_at, next, heard]) ?? connected_at }
    })
    const busy = runs.get(String(agent.id))?.flatMap((one) => one.runs) ?? []
    const hours = new Set(
      [...connected, ...busy].flatMap(({ from, to }) => hoursOf({ from: Math.max(from, begin), to })),
    )
    return [...hours].map((hour) => ({ hour, place, connected: within(connected, hour), busy: within(busy, hour) }))
  })
  return grouped(
    inHours,
    ({ hour, place }) => ({ hour, ...place }),
    (group, { hour }) => ({
      agents: group.length,
      most_connected: most(
        group.flatMap(({ connected }) => connected),
        hour,
        hour + HOUR,
      ),
      connected_seconds: group.reduce((sum, { connected }) => sum + lengthOf(connected), 0),
      busy_seconds: group.reduce((sum, { busy }) => sum + lengthOf(busy), 0),
      idle_seconds: group.reduce(
        (sum, { connected, busy }) => sum + Math.max(0, lengthOf(connected) - lengthOf(busy)),
        0,
      ),
    }),
  )
}
