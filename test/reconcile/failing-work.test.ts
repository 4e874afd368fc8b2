import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { failingByKind, failingWork } from '../../src/coverage/failing-work.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { backOff, isDue, recordFailure, type Unit } from '../../src/database/failures.ts'
import { failures, organizations } from '../../src/database/schema.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const now = new Date('2026-06-01T12:00:00Z')
const ago = (ms: number) => new Date(now.getTime() - ms)
const [acme, lost, unwanted] = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()]
const filter = mirrorFilter({ organizations: ['acme', 'lost'], pipelinesInclude: [], pipelinesExclude: [] })

let home: TestDatabase
let database: Database
beforeAll(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'failing work test' })
  const seen = { observed_at: now, first_seen_at: now, first_seen_via: 'rest', changed_at: now } as const
  await database.db.insert(organizations).values([
    { id: acme, slug: 'acme', ...seen },
    { id: lost, slug: 'lost', ...seen, deleted_at: now, deleted_reason: 'no_access' },
    { id: unwanted, slug: 'unwanted', ...seen },
  ])
})
afterEach(() => database.db.delete(failures))
afterAll(async () => {
  await database.close()
  await home.drop()
})

async function fail(kind: Unit['kind'], organizationId: string | null, subject: string, at: Date, tries = 1) {
  for (let n = 0; n < tries; n++) {
    await recordFailure(database.db, { kind, organizationId, subject }, new Error(`${subject} failed.`), at)
  }
}

test('failing work of mirrored organizations, and of none, is listed with the oldest failure first', async () => {
  await fail('rollup_day', null, '2026-05-31', ago(MINUTE))
  await fail('build', acme, 'web #7', ago(20 * MINUTE), 2)
  await fail('delivery', null, 'delivery 5 (build.finished)', ago(5 * MINUTE), 3)
  await fail('build', lost, 'gone #1', ago(30 * MINUTE))
  await fail('build', unwanted, 'other #1', ago(30 * MINUTE))
  const { all, lasting, shown } = await failingWork(database.db, filter, now)
  expect([all, lasting]).toEqual([3, 2])
  expect(shown.map(({ kind, organization, subject, tries }) => [kind, organization, subject, tries])).toEqual([
    ['build', 'acme', 'web #7', 2],
    ['delivery', null, 'delivery 5 (build.finished)', 3],
    ['rollup_day', null, '2026-05-31', 1],
  ])
  expect(shown.map(({ is_lasting }) => is_lasting)).toEqual([true, true, false])
})

test('work is due after its back-off, or if its next try was set by a clock that was ahead', () => {
  const at = (ms: number) => isDue(new Date(now.getTime() + ms), now.getTime())
  expect([at(-HOUR), at(0), isDue(null, now.getTime())]).toEqual([true, true, true])
  for (let tries = 1; tries < 40; tries++) expect(at(backOff(tries))).toBe(false)
  expect(at(backOff(40) + 1)).toBe(true)
})

test('a replica that lost its lease is listed, but does not count as lasting', async () => {
  await fail('replica', null, 'host 1', ago(3 * 60 * MINUTE), 4)
  expect(await failingWork(database.db, filter, now)).toMatchObject({ all: 1, lasting: 0 })
})

test('at most fifty are listed, and all are counted', async () => {
  const rows = Array.from({ length: 80 }, (_, n) => ({ kind: 'build' as const, n }))
  for (const { kind, n } of rows) await fail(kind, acme, `web #${n}`, ago(n * MINUTE))
  const { all, lasting, shown } = await failingWork(database.db, filter, now)
  expect([all, lasting, shown.length, shown[0]?.subject]).toEqual([80, 65, 50, 'web #79'])
})

test('each kind has a number and the time of its first failure', async () => {
  await fail('window', acme, 'May', ago(9 * MINUTE))
  await fail('window', acme, 'April', ago(7 * MINUTE))
  await fail('window', lost, 'March', ago(99 * MINUTE))
  await fail('rollup_day', null, '2026-05-31', ago(MINUTE))
  expect(await failingByKind(database.db, filter)).toEqual([
    { kind: 'rollup_day', count: 1, since: ago(MINUTE) },
    { kind: 'window', count: 2, since: ago(9 * MINUTE) },
  ])
})
