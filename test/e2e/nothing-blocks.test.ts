import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import type { Build } from '../../src/simulator/model/shapes.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { twoMoreCycles } from '../support/cycles.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const secret = 'the-secret-of-nothing-blocks-tests'
const SECOND = 1_000
/** The list of pipelines counts what runs; it is read every five minutes only. */
const counters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']
const columns = { pipelines: counters.map((name) => `${name}_count`) }

describe.each(testQueueBackends())('no failure blocks everything else, the queue on %s', (backend) => {
  let test: TestDatabase
  let sql: postgres.Sql
  let redis: RedisServer | undefined
  let simulation: Simulation
  let api: Api
  let replicas: ServiceProcess[] = []
  let settings: Record<string, string>

  beforeEach(async () => {
    if (backend === 'redis') redis = await startRedisServer()
    test = await createTestDatabase()
    sql = postgres(test.url, { max: 2, onnotice: () => {} })
    simulation = createSimulation({ seed: 47, stepMs: [1, 5] })
    api = await simulation.startApi()
    settings = {
      DATABASE_URL: test.url,
      ...(redis ? { REDIS_URL: redis.url } : {}),
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      WEBHOOK_SECRET: secret,
      WEBHOOK_TOLERANCE: '1d',
      RECONCILE_INTERVAL: '1s',
      API_BUDGET_SHARE: '1',
      BACKFILL_DAYS: '30',
    }
  })

  afterEach(async () => {
    for (const replica of replicas) replica.process.kill('SIGCONT')
    await simulation.stop()
    for (const replica of replicas) await replica.stop()
    replicas = []
    await sql.end({ timeout: 1 })
    await redis?.stop()
    redis = undefined
    await test.drop()
  })

  /** Makes Postgres give up, as if it took too long, on one delivery and on the sums of one day. */
  async function plantStoreFaults(marker: string, day: string): Promise<void> {
    await sql.unsafe(`
      create function public.takes_too_long() returns trigger language plpgsql as $$
      begin raise exception 'canceling statement due to statement timeout' using errcode = '57014'; end $$;
      create trigger takes_too_long before update of status on sync.deliveries for each row
        when (new.status = 'applied' and new.payload like '%${marker}%') execute function public.takes_too_long();
      create trigger takes_too_long before delete on sync.stale_days for each row
        when (old.day = '${day}') execute function public.takes_too_long();`)
  }

  /** Stops the process that holds the lease of the hot cycle, in the middle of a cycle, and returns it. */
  async function freezeHolder(): Promise<ServiceProcess> {
    const slow = api.addTrouble({ kinds: ['builds'], fault: { kind: 'delay', ms: 400 } })
    const frozen = await until(
      async () => {
        const [lease] = await sql`select holder from sync.leases where name like 'hot:%' and expires_at > now()`
        return replicas.find(({ process }) => String(lease?.holder).includes(` ${process.pid} `))
      },
      'a replica holds the lease of the hot cycle',
      30 * SECOND,
    )
    frozen.process.kill('SIGSTOP')
    slow()
    return frozen
  }

  it('everything else continues and becomes equal within two cycles', async () => {
    simulation.writeHistory({ builds: 300, days: 20 })
    const old = simulation.truth.builds[120] as Build
    simulation.failReads(old, { list: 'always' })
    replicas = await Promise.all([startService(settings), startService(settings)])
    let turn = 0
    const url = () => `${replicas[turn++ % 2]?.publicUrl}/webhooks/buildkite`
    const webhooks = simulation.startWebhooks({ url, secret, concurrency: 8 })
    await simulation.play({ builds: 5 })
    const backfilled = async () => (await sql`select 1 from sync.windows where status = 'done' limit 1`).length > 0
    await until(backfilled, 'the history is read', 90 * SECOND)

    const marker = 'marker-of-the-delivery-that-takes-too-long'
    const day = new Date(simulation.clock.now()).toISOString().slice(0, 10)
    await plantStoreFaults(marker, day)
    const failing = api.addTrouble({ kinds: ['pipelines'], fault: { kind: 'status', status: 500, message: 'No.' } })
    const open = simulation.startBuild()
    const forbidden = simulation.startBuild({ jobs: 2 })
    simulation.failReads(open, { list: 'always' })
    simulation.failReads(forbidden, { list: 'always', get: 'forbidden' })
    simulation.startBuild({ origin: { message: marker } })
    // Not sent to the replica that is about to be frozen.
    const marked = async () => (await sql`select 1 from sync.deliveries where payload like ${`%${marker}%`}`).length > 0
    await until(marked, 'the delivery that takes too long is in the inbox', 30 * SECOND)
    const frozen = await freezeHolder()
    const others = () => replicas.find((one) => one !== frozen)
    webhooks.pause()
    for (let i = 0; i < 20; i++) simulation.startBuild()
    simulation.step(400)

    const began = Date.now()
    const movedOn = async () => {
      const [lease] = await sql`select holder from sync.leases where name like 'hot:%' and fence > 1`
      const [failure] = await sql`select 1 from sync.failures where kind = 'replica'`
      return failure !== undefined && lease !== undefined
    }
    await until(movedOn, 'the lease has moved', 120 * SECOND, 200)
    expect(Date.now() - began).toBeLessThan(120 * SECOND)
    await twoMoreCycles(sql)
    failing()
    const left = async () => {
      const lines = await differences(test.url, simulation.truth, { columns })
      return lines.filter((line) => !line.includes(forbidden.id) && !forbidden.jobs.some(({ id }) => line.includes(id)))
    }
    await until(
      async () => (await left()).length === 0,
      'everything but the forbidden build is equal',
      60 * SECOND,
      500,
    ).catch(async (cause) => {
      throw new Error(
        [
          ...(await left()).slice(0, 5),
          ...(await sql`select * from sync.failures`).map((one) => JSON.stringify(one)),
        ].join('\n'),
        { cause },
      )
    })

    // The delivery may be in the transaction of the frozen replica, which Postgres ends after 30 s.
    const named = async () => (await sql`select distinct kind from sync.failures`).map(({ kind }) => String(kind))
    const expected = ['build', 'builds_list', 'delivery', 'replica', 'rollup_day']
    await until(
      async () => {
        const found = await named()
        return expected.every((kind) => found.includes(kind))
      },
      'each failure is recorded by name',
      120 * SECOND,
      200,
    )
    frozen.process.kill('SIGCONT')
    const fences = await sql`select name, fence from sync.leases where name like 'hot:%'`
    await until(
      async () => (await sql`select 1 from sync.leases where name like 'hot:%' and fence > ${fences[0]?.fence}`).length,
      'the cycles continue with both replicas',
      60 * SECOND,
    )
    expect(await left()).toEqual([])
    expect(others()?.output()).not.toMatch(/unhandled/i)
    expect(frozen.output()).not.toMatch(/unhandled/i)
  }, 400_000)
})
