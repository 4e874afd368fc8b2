import { asc, eq, sql } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { agent_connections, agents, organizations } from '../../src/database/schema.ts'
import { markUnlistedAgents } from '../../src/mirror/agent-connections.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { combine } from '../../src/mirror/observation.ts'
import { observeAgents, observeWebhook } from '../../src/mirror/observe.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { at, base, ids, organizationPayload } from './payloads.ts'

let home: TestDatabase
let database: Database
beforeAll(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'test' })
})
afterAll(async () => {
  await database.close()
  await home.drop()
})
beforeEach(() => database.db.execute(sql`truncate ${agents}, ${agent_connections}, ${organizations}`))

type Fields = Record<string, unknown>
const agent = (fields: Fields) => ({ id: ids.agent, name: 'agent-1', url: `${base}/agents/${ids.agent}`, ...fields })
/** A webhook `seconds` after the beginning, with times in the same seconds. */
const webhook = (seconds: number, connection_state: string, times: Record<string, number | null>) => {
  const given = Object.entries(times).map(([name, time]) => [name, time === null ? null : at(time).toISOString()])
  const payload = {
    event: `agent.${connection_state}`,
    agent: agent({ connection_state, ...Object.fromEntries(given) }),
  }
  return observeWebhook(payload.event, payload, at(seconds), { storeEnv: false })
}
const listed = (seconds: number, fields: Fields) => {
  const organizationId = ids.organization
  return observeAgents([agent({ connection_state: 'connected', ...fields })], at(seconds), {
    storeEnv: false,
    organizationId,
  })
}
const apply = (...all: ReturnType<typeof webhook>[]) => applyObservations(database.db, combine(all), at(9_000))

/** Each connection as its seconds: connected, ended, and how. */
const held = async () => {
  const rows = await database.db.select().from(agent_connections).orderBy(asc(agent_connections.connected_at))
  const second = (time: Date | null) => (time ? (time.getTime() - at(0).getTime()) / 1_000 : null)
  return rows.map((row) => [second(row.connected_at), second(row.ended_at), row.ended_as])
}

const life = [
  webhook(10, 'connected', { connected_at: 10, lost_at: null }),
  webhook(50, 'lost', { connected_at: 10, lost_at: 49 }),
  webhook(60, 'connected', { connected_at: 60, lost_at: null }),
  webhook(90, 'stopping', { connected_at: 60 }),
  webhook(100, 'stopped', { connected_at: 60, stopped_at: 99, disconnected_at: 100, lost_at: 49 }),
]
const connections = [
  [10, 49, 'lost'],
  [60, 99, 'stopped'],
]

test('each connection is a row, although the agent shows only its last', async () => {
  for (const one of life) await apply(one)
  expect(await held()).toEqual(connections)
})

test('REST shows milliseconds of a connection and a webhook whole seconds: it is one', async () => {
  await apply(listed(20, { connected_at: new Date(at(10).getTime() + 883).toISOString() }))
  await apply(webhook(50, 'lost', { connected_at: 10, lost_at: 49 }))
  expect(await held()).toEqual([[10, 49, 'lost']])
})

test('in any order, twice, and all in one transaction', async () => {
  for (const one of life.toReversed()) await apply(one)
  for (const one of life) await apply(one)
  expect(await held()).toEqual(connections)
  await database.db.execute(sql`truncate ${agents}, ${agent_connections}`)
  await apply(...life.toReversed(), ...life)
  expect(await held()).toEqual(connections)
})

test('a read that shows nothing new writes nothing', async () => {
  await apply(listed(20, { connected_at: at(10).toISOString() }))
  const before = await database.db.select().from(agent_connections)
  await apply(listed(4_000, { connected_at: at(10).toISOString() }))
  expect(await database.db.select().from(agent_connections)).toEqual(before)
})

test('an end without a time is when the payload showed it', async () => {
  await apply(webhook(10, 'connected', { connected_at: 10 }))
  await apply(webhook(70, 'lost', { connected_at: 10 }))
  expect(await held()).toEqual([[10, 70, 'lost']])
})

test('an agent that never connected, or whose job shows only its name, has no connection', async () => {
  await apply(webhook(10, 'never_connected', { connected_at: null }))
  await apply(observeAgents([agent({})], at(20), { storeEnv: false }))
  expect(await held()).toEqual([])
})

test('an agent that a whole list lacks is gone since it was last seen; a later list may show it again', async () => {
  const now = at(9_000)
  const organization = observeWebhook('ping', { event: 'ping', organization: organizationPayload() }, at(0), {
    storeEnv: false,
  })
  await apply(organization, listed(20, { connected_at: at(10).toISOString() }))
  const mark = (seconds: number, present: string[] = []) =>
    database.db.transaction((tx) => markUnlistedAgents(tx, ids.organization, present, at(seconds)))
  // Asked for before the agent connected, or with the agent in it.
  expect(await mark(15)).toBe(0)
  expect(await mark(3_000, [ids.agent])).toBe(0)
  expect(await mark(3_000)).toBe(1)
  expect(await held()).toEqual([[10, 20, 'unlisted']])
  const [gone] = await database.db.select().from(agents).where(eq(agents.id, ids.agent))
  expect(gone).toMatchObject({ deleted_at: at(3_000), deleted_reason: 'not_listed', connection_state: 'connected' })
  expect(await mark(4_000)).toBe(0)
  // A late webhook knows the end.
  await applyObservations(database.db, webhook(1_000, 'stopped', { connected_at: 10, stopped_at: 999 }), now)
  expect(await held()).toEqual([[10, 999, 'stopped']])
  await apply(listed(5_000, { connected_at: at(10).toISOString() }))
  expect(await held()).toEqual([[10, null, null]])
  const [back] = await database.db.select().from(agents).where(eq(agents.id, ids.agent))
  expect(back).toMatchObject({ deleted_at: null, deleted_reason: null })
})
