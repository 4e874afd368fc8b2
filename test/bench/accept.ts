import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { sign } from '../../src/buildkite/signature.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import type { Bench, Row } from './bench.ts'
import { type Webhook, webhookOfSize } from './company.ts'
import { type LoadReport, load } from './load.ts'
import { interleaved, ratios, sample } from './statistics.ts'
import type { Stores } from './stores.ts'
import { many, ms, msOf, times } from './words.ts'

export const secretOfBench = 'the-secret-of-the-benchmarks'
const CONNECTIONS = 64
const BYTES = 8 * 1024

/** Webhooks answered 202 and committed, against the same handler that keeps nothing. */
export async function accept({ stores, quick, say }: Bench): Promise<Row[]> {
  const requests = quick ? 2_500 : 15_000
  const rounds = 3
  const rows: Row[] = []
  for (const backend of ['redis', 'postgres'] as const) {
    const url = await stores.create()
    const service = await receiver(url, backend === 'redis' ? stores.redis.url : undefined)
    const bare = await bareReceiver()
    try {
      let sent = 0
      const run = (port: number, pace: Parameters<typeof load>[3], count = requests) => {
        sent += count
        return accepted(load(port, signedRequests(sent, count), CONNECTIONS, pace))
      }
      await run(portOf(service), { kind: 'closed' }, 2_000)
      await run(bare.port, { kind: 'closed' }, 2_000)
      const figures = await interleaved(rounds, {
        ours: async () => (await run(portOf(service), { kind: 'closed' })).perSecond,
        limit: async () => (await run(bare.port, { kind: 'closed' })).perSecond,
      })
      const ratio = ratios(figures.ours, figures.limit)
      const ours = sample(figures.ours)
      say(`accept, queue on ${backend}: ${times(ratio)}`)
      rows.push({
        course: 'accept',
        what: `webhooks of 8 KB answered 202 and committed, ${CONNECTIONS} connections, queue on ${backend}`,
        ours: `${many(ours)} /s`,
        limit: `${many(sample(figures.limit))} /s, the same handler keeping nothing`,
        result: times(ratio),
        reach: '>= 0.5',
        reached: ratio.median >= 0.5,
      })
      await everyOneKept(url, 2_000 + requests * rounds)
      const half = ours.median / 2
      await service.stop()
      rows.push(await acceptAt(half, rounds, quick ? 1 : 6, stores, backend))
    } finally {
      await service.stop()
      bare.stop()
      await stores.drop(url)
    }
  }
  return rows
}

/** How long answers take at a load that leaves room, for a service and a database that have just begun. */
async function acceptAt(
  perSecond: number,
  rounds: number,
  seconds: number,
  stores: Stores,
  backend: 'redis' | 'postgres',
): Promise<Row> {
  const url = await stores.create()
  const service = await receiver(url, backend === 'redis' ? stores.redis.url : undefined)
  const count = Math.round(perSecond * seconds)
  const reports: LoadReport[] = []
  try {
    await accepted(load(portOf(service), signedRequests(1, 2_000), CONNECTIONS, { kind: 'closed' }))
    await checkpoint(url)
    for (let round = 0; round < rounds; round++) {
      const requests = signedRequests(2 + round, count)
      reports.push(await accepted(load(portOf(service), requests, CONNECTIONS, { kind: 'open', perSecond })))
    }
    await everyOneKept(url, 2_000 + count * rounds)
  } finally {
    await service.stop()
    await stores.drop(url)
  }
  const p99 = sample(reports.map((report) => report.p99))
  return {
    course: 'accept',
    what: `the same at half that load (${Math.round(perSecond)} /s)`,
    ours: `p50 ${msOf(sample(reports.map(({ p50 }) => p50)))}, p99 ${msOf(p99)}, longest ${ms(Math.max(...reports.map(({ longest }) => longest)))}`,
    limit: '',
    result: `p99 ${ms(p99.median)}`,
    reach: 'p99 < 50 ms',
    reached: p99.median < 50,
  }
}

/** What was written before is on disk, so that it is not written while others are measured. */
async function checkpoint(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`checkpoint`
  await sql.end()
}

/** Webhooks that the service accepts per second into the database at `url`, with its queue on Redis. */
export async function acceptRate(stores: Stores, url: string, count: number): Promise<number> {
  const service = await receiver(url, stores.redis.url)
  const run = async (seed: number, n: number) =>
    (await accepted(load(portOf(service), signedRequests(seed, n), CONNECTIONS, { kind: 'closed' }))).perSecond
  try {
    await run(Date.now() % 10_000, 1_000)
    return await run(10_000 + (Date.now() % 10_000), count)
  } finally {
    await service.stop()
  }
}

/** The service that receives and does nothing else. */
export function receiver(databaseUrl: string, redisUrl: string | undefined): Promise<ServiceProcess> {
  return startService({
    DATABASE_URL: databaseUrl,
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
    WEBHOOK_SECRET: secretOfBench,
    ROLES: 'web',
    LOG_LEVEL: 'error',
  })
}

export const portOf = (service: ServiceProcess) => Number(new URL(service.publicUrl).port)

async function bareReceiver(): Promise<{ port: number; stop(): void }> {
  const file = fileURLToPath(new URL('bare-receiver.ts', import.meta.url))
  const child = fork(file, [secretOfBench], { execArgv: ['--import', 'tsx'] })
  const [port] = await once(child, 'message')
  return { port: Number(port), stop: () => void child.kill() }
}

/** Whole requests, each a delivery of its own, signed before the clock runs. */
export function signedRequests(seed: number, count: number): Buffer[] {
  const now = Date.now()
  return Array.from({ length: count }, (_, index) =>
    signedRequest(webhookOfSize(seed * 100_000 + index, now, BYTES), now),
  )
}

/** A webhook as the bytes that Buildkite would send. */
export function signedRequest({ event, body }: Webhook, at: number): Buffer {
  const head = [
    'POST /webhooks/buildkite HTTP/1.1',
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    'User-Agent: Buildkite-Request',
    `X-Buildkite-Event: ${event}`,
    `X-Buildkite-Signature: ${sign(body, secretOfBench, at)}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

export async function accepted(running: Promise<LoadReport>): Promise<LoadReport> {
  const report = await running
  const others = Object.keys(report.statuses).filter((status) => status !== '202')
  if (others.length > 0) throw new Error(`Not every webhook was answered 202: ${JSON.stringify(report.statuses)}`)
  return report
}

/** A figure for requests answered means nothing unless what was answered is in the inbox. */
async function everyOneKept(url: string, atLeast: number): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const [row] = await sql<{ kept: number }[]>`select count(*)::int as kept from sync.deliveries`
  await sql.end()
  if (!row || row.kept < atLeast) throw new Error(`Only ${row?.kept} of more than ${atLeast} deliveries were kept.`)
}
