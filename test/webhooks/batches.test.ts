import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { builds, deliveries, failures } from '../../src/database/schema.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { buildPayload, silent } from './stage.ts'

let testDatabase: TestDatabase
let database: Database
beforeAll(async () => {
  testDatabase = await createTestDatabase()
  database = openDatabase(testDatabase.url, { name: 'test' })
})
afterEach(async () => {
  await database.db.execute(sql`drop trigger if exists too_long on buildkite.builds`)
  await database.db.execute(sql`truncate sync.deliveries, buildkite.builds`)
})
afterAll(async () => {
  await database.close()
  await testDatabase.drop()
})

/** Puts the webhooks of so many builds into the inbox, each as long as `bytes` and a little. */
async function fill(count: number, bytes = 0): Promise<void> {
  const now = new Date()
  const rows = Array.from({ length: count }, (_, n) => ({
    key: randomUUID(),
    event: 'build.running',
    received_at: now,
    observed_at: now,
    payload: JSON.stringify({ ...buildPayload({ id: randomUUID(), number: n + 1 }), padding: 'x'.repeat(bytes) }),
  }))
  await database.db.insert(deliveries).values(rows)
}

const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
const handler = ({ db } = database) => deliveryHandler({ db, filter, storeEnv: false, log: silent })

test('a batch that takes Postgres too long is tried in smaller ones, down to what it can bear', async () => {
  // As if the statement were cancelled after its time.
  await database.db.execute(sql`
    create function too_long() returns trigger language plpgsql as $$ begin
      if (select count(*) from fresh) > 3 then raise 'canceling statement' using errcode = '57014'; end if;
      return null;
    end $$`)
  await database.db.execute(sql`
    create trigger too_long after insert on buildkite.builds referencing new table as fresh
    for each statement execute function too_long()`)
  await fill(30)
  const apply = handler()
  await apply({ ids: [] })
  expect(await database.db.$count(builds)).toBe(30)
  expect(await database.db.$count(failures)).toBe(0)
  await database.db.execute(sql`drop trigger too_long on buildkite.builds`)
  await fill(2_000)
  await apply({ ids: [] })
  expect(await database.db.$count(builds)).toBe(2_030)
})

test('no payload is read but those that fit into the batch', async () => {
  const bytes = 8 * 1024
  await fill(2_000, bytes)
  const proxy = await startTcpProxy(testDatabase.url, 5432)
  const far = openDatabase(proxy.url, { name: 'far' })
  await handler(far)({ ids: [] })
  expect(await database.db.$count(builds)).toBe(2_000)
  expect(proxy.sent()).toBeLessThan(1.2 * 2_000 * bytes)
  await far.close()
  await proxy.close()
})
