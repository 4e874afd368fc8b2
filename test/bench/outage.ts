import postgres from 'postgres'
import { startService } from '../support/service.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { accepted, portOf, secretOfBench, signedRequest } from './accept.ts'
import { lives } from './apply.ts'
import type { Bench, Row } from './bench.ts'
import { load } from './load.ts'
import { sample } from './statistics.ts'
import { onFresh } from './stores.ts'
import { many } from './words.ts'

const PER_SECOND = 250

/** Webhooks arrive for a minute while Postgres is unreachable: how fast the queue hands them to the inbox afterwards. */
export async function outage({ stores, quick, say }: Bench): Promise<Row[]> {
  const seconds = quick ? 10 : 60
  const webhooks = lives(1, Math.ceil((PER_SECOND * seconds) / 33)).slice(0, PER_SECOND * seconds)
  const figures: number[] = []
  const limits: number[] = []
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    const url = await stores.create()
    const proxy = await startTcpProxy(url, 5432)
    const service = await startService({
      DATABASE_URL: proxy.url,
      REDIS_URL: stores.redis.url,
      WEBHOOK_SECRET: secretOfBench,
      ROLES: 'web,worker',
      LOG_LEVEL: 'silent',
    })
    try {
      await proxy.cut()
      const requests = webhooks.map((webhook) => signedRequest(webhook, Date.now()))
      await accepted(load(portOf(service), requests, 64, { kind: 'open', perSecond: PER_SECOND }))
      await proxy.restore()
      figures.push(await drained(url, webhooks.length))
    } finally {
      await service.stop()
      await proxy.close()
      await stores.drop(url)
    }
    limits.push(await onFresh(stores, (fresh) => insertBare(fresh, webhooks)))
  }
  say(`outage: ${many(sample(figures))} deliveries a second from the queue to the inbox`)
  return [
    {
      course: 'outage',
      what: `deliveries from the queue to the inbox, after ${seconds} s without Postgres at ${PER_SECOND} webhooks a second, queue on redis`,
      ours: `${many(sample(figures))} /s`,
      limit: `${many(sample(limits))} /s, postgres.js writing their rows in inserts of 500`,
      result: `${many(sample(figures))} /s`,
      reach: '>= 3,000 /s',
      reached: sample(figures).median >= 3_000,
    },
  ]
}

/** Waits until all deliveries are in the inbox; deliveries per second, from the first that is there. */
async function drained(url: string, count: number): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    let first: { at: number; count: number } | undefined
    for (const deadline = Date.now() + 120_000; ; ) {
      const [row] = await sql<{ count: number }[]>`select count(*)::int as count from sync.deliveries`
      const now = { at: performance.now(), count: row?.count ?? 0 }
      if (!first && now.count > 0) first = now
      if (first && now.count >= count) return ((now.count - first.count) * 1_000) / (now.at - first.at)
      if (Date.now() > deadline) throw new Error(`Only ${now.count} of ${count} deliveries are in the inbox.`)
      await new Promise((again) => setTimeout(again, 20))
    }
  } finally {
    await sql.end()
  }
}

/** Writes the same rows into the inbox and does nothing else; rows per second. */
async function insertBare(url: string, webhooks: ReturnType<typeof lives>): Promise<number> {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  const begun = performance.now()
  const groups = Array.from({ length: Math.ceil(webhooks.length / 500) }, (_, n) =>
    webhooks.slice(n * 500, (n + 1) * 500),
  )
  await Promise.all(
    groups.map((group) => {
      const rows = group.map(({ event, body }, n) => ({
        key: `${n} ${body.length} ${Math.random()}`,
        event,
        received_at: new Date(),
        observed_at: new Date(),
        payload: body,
      }))
      return sql`insert into sync.deliveries ${sql(rows)}`
    }),
  )
  const seconds = (performance.now() - begun) / 1_000
  await sql.end()
  return webhooks.length / seconds
}
