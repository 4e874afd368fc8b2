import postgres from 'postgres'
import { openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeOrganizations } from '../../src/mirror/observe.ts'
import { startService } from '../support/service.ts'
import { portOf, secretOfBench, signedRequest } from './accept.ts'
import { lives } from './apply.ts'
import type { Bench, Row } from './bench.ts'
import { organization } from './company.ts'
import { load, quantile } from './load.ts'
import { ms } from './words.ts'

const PER_SECOND = 200

/** From the sending of a webhook to the moment another connection sees its row, at a steady 200 a second. */
export async function freshness({ stores, quick, say }: Bench): Promise<Row[]> {
  const rows: Row[] = []
  for (const backend of ['redis', 'postgres'] as const) {
    const url = await stores.create()
    const database = openDatabase(url, { name: 'bench' })
    await applyObservations(database.db, observeOrganizations([organization], new Date()), new Date())
    await database.close()
    const service = await startService({
      DATABASE_URL: url,
      ...(backend === 'redis' ? { REDIS_URL: stores.redis.url } : {}),
      WEBHOOK_SECRET: secretOfBench,
      ROLES: 'web,worker',
      LOG_LEVEL: 'error',
    })
    try {
      const seconds = quick ? 4 : 20
      await watched(url, portOf(service), 1, PER_SECOND * 2)
      const [seen, commits] = await Promise.all([
        watched(url, portOf(service), 1_000, PER_SECOND * seconds),
        commitTimes(url, seconds),
      ])
      const [p50, p99] = [quantile(seen, 0.5), quantile(seen, 0.99)]
      say(`freshness, queue on ${backend}: p50 ${ms(p50)}, p99 ${ms(p99)}`)
      rows.push({
        course: 'freshness',
        what: `from a webhook's sending to its row, seen by another connection, at ${PER_SECOND} /s, queue on ${backend}`,
        ours: `p50 ${ms(p50)}, p99 ${ms(p99)}, longest ${ms(seen.at(-1) ?? 0)}`,
        limit: `p50 ${ms(quantile(commits, 0.5))}, p99 ${ms(quantile(commits, 0.99))}, a bare insert's commit meanwhile`,
        result: `p50 ${ms(p50)}, p99 ${ms(p99)}`,
        reach: 'p50 < 30 ms, p99 < 250 ms',
        reached: p50 < 30 && p99 < 250,
      })
    } finally {
      await service.stop()
      await stores.drop(url)
    }
  }
  return rows
}

/** Sends the `job.scheduled` webhooks of new jobs and watches for their rows; sorted latencies in milliseconds. */
export async function watched(url: string, port: number, first: number, count: number): Promise<number[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const webhooks = lives(first, Math.ceil(count / 10)).filter(({ event }) => event === 'job.scheduled')
  const ids = webhooks.slice(0, count).map(({ body }) => idOfJob(body))
  const requests = webhooks.slice(0, count).map((webhook) => signedRequest(webhook, Date.now()))
  const waiting = new Map<string, number>()
  const begun = performance.now()
  for (const [index, id] of ids.entries()) waiting.set(id, begun + (index * 1_000) / PER_SECOND)
  const latencies: number[] = []
  const watch = async () => {
    while (waiting.size > 0) {
      const now = performance.now()
      const due = [...waiting].filter(([, at]) => at <= now).map(([id]) => id)
      // A look every few milliseconds: one after another would take half of this machine, and be what is measured.
      await new Promise((again) => setTimeout(again, 4))
      if (due.length === 0) continue
      const rows = await sql<{ id: string }[]>`select id from buildkite.jobs where id = any(${due}::uuid[])`
      const seenAt = performance.now()
      for (const { id } of rows) {
        latencies.push(seenAt - (waiting.get(id) ?? seenAt))
        waiting.delete(id)
      }
      if (seenAt - begun > 120_000 + (count * 1_000) / PER_SECOND) throw new Error(`${waiting.size} rows never came.`)
    }
  }
  await Promise.all([load(port, requests, 16, { kind: 'open', perSecond: PER_SECOND }), watch()])
  await sql.end()
  return latencies.sort((a, b) => a - b)
}

function idOfJob(body: string): string {
  const { job } = JSON.parse(body) as { job: { id: string } }
  return job.id
}

/** How long single-row inserts take to commit, ten a second; sorted, in milliseconds. */
async function commitTimes(url: string, seconds: number): Promise<number[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`create table if not exists public.bench_commits (at timestamptz)`
  const taken: number[] = []
  const end = performance.now() + seconds * 1_000
  while (performance.now() < end) {
    const begun = performance.now()
    await sql`insert into public.bench_commits values (now())`
    taken.push(performance.now() - begun)
    await new Promise((next) => setTimeout(next, 100))
  }
  await sql.end()
  return taken.sort((a, b) => a - b)
}
