import postgres from 'postgres'
import { openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeOrganizations } from '../../src/mirror/observe.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { createLog } from '../../src/runtime/log.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { portOf, receiver, secretOfBench, signedRequests } from './accept.ts'
import { allApplied, fillInbox, lives } from './apply.ts'
import type { Bench, Row } from './bench.ts'
import { organization } from './company.ts'
import { load } from './load.ts'
import { interleaved, ratios, sample } from './statistics.ts'
import { onFresh, type Stores } from './stores.ts'
import { many, times } from './words.ts'

const CONNECTIONS = 64

/** What more processes give, of those that receive and of those that apply, against one Redis and one Postgres. */
export async function scale({ stores, quick, say }: Bench): Promise<Row[]> {
  const rounds = quick ? 1 : 3
  const webhooks = lives(1, quick ? 60 : 400)
  const requests = quick ? 2_500 : 15_000
  const applying = await interleaved(rounds, {
    one: (round) => onFresh(stores, (url) => applyWith(1, stores, url, webhooks, round)),
    more: (round) => onFresh(stores, (url) => applyWith(3, stores, url, webhooks, round)),
  })
  const accepting = await interleaved(rounds, {
    one: (round) => onFresh(stores, (url) => acceptWith(1, stores, url, requests, round)),
    more: (round) => onFresh(stores, (url) => acceptWith(2, stores, url, requests, round)),
  })
  const row = (what: string, { one, more }: Record<'one' | 'more', number[]>): Row => {
    const ratio = ratios(more, one)
    say(`scale: ${what}: ${times(ratio)}`)
    return {
      course: 'scale out',
      what,
      ours: `${many(sample(more))} /s`,
      limit: `${many(sample(one))} /s with one`,
      result: times(ratio),
      reach: 'none set',
    }
  }
  return [
    row('deliveries applied by three worker processes', applying),
    row('webhooks accepted by two web processes, queue on Redis', accepting),
  ]
}

/** Deliveries applied per second from the moment at which their jobs are there; the workers have been waiting for them. */
async function applyWith(
  processes: number,
  stores: Stores,
  url: string,
  webhooks: ReturnType<typeof lives>,
  round: number,
): Promise<number> {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  const database = openDatabase(url, { name: 'bench' })
  await applyObservations(database.db, observeOrganizations([organization], new Date()), new Date())
  await database.close()
  const groups = await fillInbox(sql, webhooks, round)
  await sql.unsafe('analyze sync.deliveries')
  const queues = await openQueues({ redisUrl: stores.redis.url, databaseUrl: url }, createLog('silent'))
  const services = await Promise.all(Array.from({ length: processes }, () => worker(stores, url)))
  try {
    const begun = performance.now()
    await Promise.all(groups.map((ids) => queues.addDeliveries({ ids }, 5_000)))
    return webhooks.length / (((await allApplied(sql)) - begun) / 1_000)
  } finally {
    await stopAll(services)
    await queues.close(2_000)
    await sql.end()
  }
}

function worker(stores: Stores, url: string): Promise<ServiceProcess> {
  return startService({
    DATABASE_URL: url,
    REDIS_URL: stores.redis.url,
    WEBHOOK_SECRET: secretOfBench,
    ROLES: 'worker',
    LOG_LEVEL: 'error',
  })
}

/** Webhooks accepted per second by all processes together. */
async function acceptWith(
  processes: number,
  stores: Stores,
  url: string,
  requests: number,
  round: number,
): Promise<number> {
  const services = await Promise.all(Array.from({ length: processes }, () => receiver(url, stores.redis.url)))
  const run = async (seed: number, count: number) => {
    const each = services.map((_, index) => signedRequests(seed + index, Math.floor(count / processes)))
    const begun = performance.now()
    const reports = await Promise.all(
      services.map((service, index) =>
        load(portOf(service), each[index] ?? [], CONNECTIONS / processes, { kind: 'closed' }),
      ),
    )
    const others = reports.flatMap(({ statuses }) => Object.keys(statuses)).filter((status) => status !== '202')
    if (others.length > 0) throw new Error(`Answered with ${others.join(', ')}.`)
    return each.flat().length / ((performance.now() - begun) / 1_000)
  }
  try {
    await run(round * 100, 2_000)
    return await run(round * 100 + 50, requests)
  } finally {
    await stopAll(services)
  }
}

async function stopAll(services: readonly ServiceProcess[]): Promise<void> {
  await Promise.all(services.map((service) => service.stop()))
}
