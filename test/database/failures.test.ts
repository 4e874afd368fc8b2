import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { backOff, clearFailure, failuresOf, forgetAbandoned, recordFailure } from '../../src/database/failures.ts'
import { failures } from '../../src/database/schema.ts'
import { BuildkiteError, StoreError } from '../../src/runtime/errors.ts'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let home: TestDatabase
let database: Database
beforeAll(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'failures test' })
})
afterAll(async () => {
  await database.close()
  await home.drop()
})

const now = new Date('2026-03-01T12:00:00Z')

test('a unit that fails again waits twice as long, up to six hours, and keeps the time of its first failure', async () => {
  const organizationId = randomUUID()
  const unit = { kind: 'build', organizationId, subject: 'web #7' } as const
  const error = new BuildkiteError('unavailable', 'It failed.', { status: 504 })
  for (let tries = 1; tries <= 12; tries++) {
    expect(await recordFailure(database.db, unit, error, new Date(now.getTime() + tries))).toBe(tries)
    const [row] = await failuresOf(database.db, organizationId, ['build'])
    expect(row).toMatchObject({ subject: 'web #7', code: 'http_504', error: 'It failed.', tries })
    expect(row?.next_try_at.getTime()).toBe(now.getTime() + tries + backOff(tries))
    expect(row?.first_failed_at.getTime()).toBe(now.getTime() + 1)
  }
  expect(backOff(12)).toBe(6 * HOUR)
})

test('only the unit that succeeded is deleted', async () => {
  const organizationId = randomUUID()
  const error = new StoreError('transient', 'Postgres gave up.', { code: '57014' })
  await recordFailure(database.db, { kind: 'rollup_day', organizationId: null, subject: '2026-03-01' }, error, now)
  await recordFailure(database.db, { kind: 'rollup_day', organizationId: null, subject: '2026-03-02' }, error, now)
  await recordFailure(database.db, { kind: 'window', organizationId, subject: '2026-03-01' }, error, now)
  await clearFailure(database.db, { kind: 'rollup_day', organizationId: null, subject: '2026-03-01' })
  const left = await database.db.select().from(failures).orderBy(failures.id)
  expect(left.filter(({ kind }) => kind !== 'build').map(({ kind, subject, code }) => [kind, subject, code])).toEqual([
    ['rollup_day', '2026-03-02', '57014'],
    ['window', '2026-03-01', '57014'],
  ])
  expect(backOff(1)).toBe(MINUTE)
})

test('a replica is deleted after a day, and so is work that was not retried for a day; builds stay', async () => {
  await database.db.delete(failures)
  const error = new Error('It failed.')
  const units = [
    { kind: 'replica', organizationId: null, subject: 'host 1' },
    { kind: 'window', organizationId: randomUUID(), subject: 'of a pipeline that is gone' },
    { kind: 'build', organizationId: randomUUID(), subject: 'web #7' },
    { kind: 'builds_list', organizationId: randomUUID(), subject: 'a range' },
  ] as const
  for (const unit of units) await recordFailure(database.db, unit, error, now)
  expect(await forgetAbandoned(database.db, new Date(now.getTime() + 23 * HOUR))).toBe(0)
  expect(await forgetAbandoned(database.db, new Date(now.getTime() + 25 * HOUR))).toBe(2)
  const left = await database.db.select().from(failures).orderBy(failures.id)
  expect(left.map(({ kind }) => kind)).toEqual(['build', 'builds_list'])
})
