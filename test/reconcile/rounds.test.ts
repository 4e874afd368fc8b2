import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { findings as table } from '../../src/database/schema.ts'
import { createLog } from '../../src/log.ts'
import { openQueues, type Queues } from '../../src/queue/queues.ts'
import type { Access } from '../../src/reconcile/access.ts'
import { keepFindings } from '../../src/reconcile/doctor/book.ts'
import { failure, well } from '../../src/reconcile/doctor/finding.ts'
import { type Rounds, startRounds } from '../../src/reconcile/doctor/rounds.ts'
import { inScope } from '../../src/scope.ts'
import { HOUR } from '../../src/time.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { accessOf } from './access-of.ts'
import { type DoctorStage, openDoctorRedis, openDoctorStage } from './doctor-stage.ts'

let stage: DoctorStage
let redis: RedisServer | undefined
let queues: Queues
const accesses: Access[] = []
const running: Rounds[] = []
let lines: string[] = []
const log = createLog('debug', { write: (line) => void lines.push(line) })

beforeAll(async () => {
  redis = await openDoctorRedis()
})
afterAll(() => redis?.stop())
beforeEach(async () => {
  lines = []
  stage = await openDoctorStage(redis)
  queues = await openQueues({ redisUrl: stage.config.redisUrl, databaseUrl: stage.scene.url }, log)
})
afterEach(async () => {
  for (const rounds of running.splice(0)) await rounds.close(5_000)
  for (const access of accesses.splice(0)) await access.close()
  await queues.close(2_000)
  await stage.close()
})

const rows = () => stage.scene.database.db.select().from(table)
const row = async (name: string) => (await rows()).find((one) => one.name === name)

function start(firstAfterMs: number, everyMs: number): void {
  const access = accessOf(stage.scene)
  accesses.push(access)
  running.push(
    startRounds({
      config: stage.config,
      database: stage.scene.database,
      queues,
      access,
      scope: inScope(stage.config),
      log,
      clock: Date.now,
      firstAfterMs,
      everyMs,
    }),
  )
}

it('looks after the start and again and again, keeps what it finds, and warns once when a fault comes', async () => {
  start(1, 100)
  await until(async () => (await row('webhook_disabled'))?.result === 'ok', 'the first look is kept')
  stage.service.enabled = false
  await until(async () => (await row('webhook_disabled'))?.result === 'failed', 'the fault is kept')
  const fault = await row('webhook_disabled')
  expect(fault).toMatchObject({ subject: 'acme', remedy: expect.stringContaining('register') })
  await until(
    async () => Number((await row('webhook_disabled'))?.checked_at) > Number(fault?.checked_at),
    'it looks again',
  )
  expect((await row('webhook_disabled'))?.since).toEqual(fault?.since)
  stage.service.enabled = true
  await until(
    () => lines.some((line) => line.includes('webhook_disabled (acme): all is well again')),
    'it is well again',
  )
  expect(lines.filter((line) => line.includes('"warn"') && line.includes('webhook_disabled'))).toHaveLength(1)
})

it('looks once for replicas that start together', async () => {
  for (let i = 0; i < 3; i++) start(2_000, HOUR)
  await until(() => lines.filter((line) => line.includes('looked already')).length === 2, 'the others left it')
  await until(async () => (await rows()).length > 20, 'the look is kept')
  expect(stage.scene.api.count('services')).toBe(1)
})

it('forgets what it no longer looks at, and keeps what could not be looked at this time', async () => {
  const first = [
    well('webhook_missing', 'gone', 'There.'),
    well('webhook_disabled', 'acme', 'On.'),
    well('clock_skew', '', 'Right.'),
  ]
  await keepFindings(stage.scene.database.db, { findings: first, unseen: [] }, new Date(1_000), log)
  const later = [failure('clock_skew', '', 'Wrong.', 'Set it.')]
  await keepFindings(stage.scene.database.db, { findings: later, unseen: ['webhook_disabled'] }, new Date(2_000), log)
  const kept = await rows()
  expect(kept.map(({ name, result }) => `${name} ${result}`).sort()).toEqual([
    'clock_skew failed',
    'webhook_disabled ok',
  ])
  expect(kept.find(({ name }) => name === 'clock_skew')?.since).toEqual(new Date(2_000))
  expect(kept.find(({ name }) => name === 'webhook_disabled')?.checked_at).toEqual(new Date(1_000))
  expect(await stage.scene.database.db.$count(table, eq(table.result, 'failed'))).toBe(1)
})
