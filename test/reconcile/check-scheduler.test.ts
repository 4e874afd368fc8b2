import { eq } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { findings as table } from '../../src/database/schema.ts'
import { type CheckResult, failure, ok } from '../../src/diagnostics/finding.ts'
import { type CheckScheduler, startCheckScheduler } from '../../src/diagnostics/scheduler.ts'
import { saveCheckResults } from '../../src/diagnostics/store.ts'
import { openQueues, type Queues } from '../../src/queue/queues.ts'
import type { Access } from '../../src/reconcile/access/access.ts'
import { createLog } from '../../src/runtime/log.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { HOUR } from '../../src/runtime/time.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { until } from '../support/until.ts'
import { accessOf } from './access-of.ts'
import { type CheckStage, openCheckRedis, openCheckStage } from './checks-stage.ts'

let stage: CheckStage
let redis: RedisServer | undefined
let queues: Queues
const accesses: Access[] = []
const running: CheckScheduler[] = []
let lines: string[] = []
const log = createLog('debug', { write: (line) => void lines.push(line) })

beforeAll(async () => {
  redis = await openCheckRedis()
})
afterAll(() => redis?.stop())
beforeEach(async () => {
  lines = []
  stage = await openCheckStage(redis)
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

function start(firstAfterMs: number, everyMs: number, storesEveryMs = everyMs): void {
  const access = accessOf(stage.scene)
  accesses.push(access)
  running.push(
    startCheckScheduler({
      config: stage.config,
      database: stage.scene.database,
      queues,
      access,
      filter: mirrorFilter(stage.config),
      log,
      clock: Date.now,
      firstAfterMs,
      everyMs,
      storesEveryMs,
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
  await until(() => lines.some((line) => line.includes('webhook_disabled (acme): resolved')), 'it is well again')
  expect(lines.filter((line) => line.includes('"warn"') && line.includes('webhook_disabled'))).toHaveLength(1)
})

it('looks once for replicas that start together', async () => {
  for (let i = 0; i < 3; i++) start(2_000, HOUR)
  await until(
    () => lines.filter((line) => line.includes('already run the health check')).length === 2,
    'the others left it',
  )
  await until(async () => (await rows()).length > 20, 'the look is kept')
  expect(stage.scene.api.count('services')).toBe(1)
})

it('sees a fault of its stores come and go without waiting for the hour, and asks Buildkite nothing for it', async () => {
  start(1, HOUR, 50)
  await until(async () => (await row('deliveries_failed'))?.result === 'ok', 'the first look is kept')
  const first = await rows()
  const requests = stage.scene.api.requests.length
  await stage.sql(
    "insert into sync.deliveries (key, event, received_at, observed_at, status) values ('x', 'build.finished', now(), now(), 'failed')",
  )
  await until(async () => (await row('deliveries_failed'))?.result === 'warning', 'the fault is kept')
  await stage.sql("delete from sync.deliveries where key = 'x'")
  await until(async () => (await row('deliveries_failed'))?.result === 'ok', 'it is well again')
  const others = (all: typeof first) => all.filter(({ name }) => name !== 'deliveries_failed')
  const byName = (all: typeof first) => new Map(others(all).map((one) => [`${one.name} ${one.subject}`, one]))
  expect(byName(await rows())).toEqual(byName(first))
  expect(stage.scene.api.requests).toHaveLength(requests)
})

it('writes what is as it was only once it is old, and of a fault every word', async () => {
  const { db } = stage.scene.database
  const keep = (findings: CheckResult[], at: number) =>
    saveCheckResults(db, { findings, unseen: [] }, new Date(at), log, 1_000)
  const lag = (waited: string) => failure('delivery_lag', '', `It waits for ${waited}.`, 'See the worker.')
  await keep([ok('watermark_lag', 'acme', '5s ago.'), lag('6m')], 1_000)
  await keep([ok('watermark_lag', 'acme', '9s ago.'), lag('6m')], 1_999)
  expect((await rows()).map(({ checked_at }) => Number(checked_at))).toEqual([1_000, 1_000])
  await keep([ok('watermark_lag', 'acme', '9s ago.'), lag('7m')], 1_999)
  expect(await row('delivery_lag')).toMatchObject({ checked_at: new Date(1_999), since: new Date(1_000) })
  expect(await row('watermark_lag')).toMatchObject({ checked_at: new Date(1_000) })
  await keep([ok('watermark_lag', 'acme', '9s ago.'), lag('7m')], 2_000)
  expect(await row('watermark_lag')).toMatchObject({ checked_at: new Date(2_000), detail: '9s ago.' })
})

it('forgets what it no longer looks at, and keeps what could not be looked at this time', async () => {
  const first = [
    ok('webhook_missing', 'gone', 'There.'),
    ok('webhook_disabled', 'acme', 'On.'),
    ok('clock_skew', '', 'Right.'),
  ]
  await saveCheckResults(stage.scene.database.db, { findings: first, unseen: [] }, new Date(1_000), log)
  const later = [failure('clock_skew', '', 'Wrong.', 'Set it.')]
  await saveCheckResults(
    stage.scene.database.db,
    { findings: later, unseen: ['webhook_disabled'] },
    new Date(2_000),
    log,
  )
  const kept = await rows()
  expect(kept.map(({ name, result }) => `${name} ${result}`).sort()).toEqual([
    'clock_skew failed',
    'webhook_disabled ok',
  ])
  expect(kept.find(({ name }) => name === 'clock_skew')?.since).toEqual(new Date(2_000))
  expect(kept.find(({ name }) => name === 'webhook_disabled')?.checked_at).toEqual(new Date(1_000))
  expect(await stage.scene.database.db.$count(table, eq(table.result, 'failed'))).toBe(1)
})
