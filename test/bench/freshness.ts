import postgres from 'postgres'
import { openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeOrganizations } from '../../src/mirror/observe.ts'
import { startService } from '../support/service.ts'
import { portOf, secretOfBench, signedRequest } from './accept.ts'
import { lives } from './apply.ts'
import type { Bench, Row } from './bench.ts'
import { organization, type Webhook } from './company.ts'
import { load, quantile } from './load.ts'
import { sample } from './statistics.ts'
import { ms, msOf } from './words.ts'

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
      const builds = quick ? 20 : 60
      const rounds: { seen: number[]; commits: number[] }[] = []
      await watched(url, portOf(service), 1, 10)
      for (let round = 1; round <= 3; round++) {
        const stop = new AbortController()
        const commits = commitTimes(url, stop.signal)
        const seen = await watched(url, portOf(service), round * 1_000, builds).finally(() => stop.abort())
        rounds.push({ seen, commits: await commits })
      }
      const of = (what: 'seen' | 'commits', share: number) => sample(rounds.map((one) => quantile(one[what], share)))
      const [p50, p99] = [of('seen', 0.5), of('seen', 0.99)]
      const longest = Math.max(...rounds.map(({ seen }) => seen.at(-1) ?? 0))
      say(`freshness, queue on ${backend}: p50 ${msOf(p50)}, p99 ${msOf(p99)}`)
      rows.push({
        course: 'freshness',
        what: `from a webhook's sending to its effect on a row, seen by another connection, at ${PER_SECOND} /s of all events of builds and jobs, queue on ${backend}`,
        ours: `p50 ${msOf(p50)}, p99 ${msOf(p99)}, longest ${ms(longest)}`,
        limit: `p50 ${msOf(of('commits', 0.5))}, p99 ${msOf(of('commits', 0.99))}, a bare insert's commit meanwhile`,
        result: `p50 ${ms(p50.median)}, p99 ${ms(p99.median)}`,
        reach: 'p50 < 30 ms, p99 < 250 ms',
        reached: p50.median < 30 && p99.median < 250,
      })
    } finally {
      await service.stop()
      await stores.drop(url)
    }
  }
  return rows
}

/** A webhook under way: what is to be seen of it in the row of its build or job, and when it was due to be sent. */
interface Expected {
  readonly id: string
  readonly effect: 'there' | 'started' | 'finished'
  readonly at: number
}

/** Sends every webhook of so many builds, interleaved, and polls for the effect of each. Returns sorted latencies in milliseconds. */
async function watched(url: string, port: number, first: number, builds: number): Promise<number[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const webhooks = lives(first, builds)
  const effects = webhooks.map(effectOf)
  const requests = webhooks.map((webhook) => signedRequest(webhook, Date.now()))
  const begun = performance.now()
  const waiting = new Set<Expected>()
  for (const [index, effect] of effects.entries()) {
    waiting.add({ ...effect, at: begun + (index * 1_000) / PER_SECOND })
  }
  const latencies: number[] = []
  const watch = async () => {
    while (waiting.size > 0) {
      const now = performance.now()
      const due = [...waiting].filter(({ at }) => at <= now)
      // A look every few milliseconds: one after another would take half of this machine, and be what is measured.
      await new Promise((again) => setTimeout(again, 4))
      if (due.length === 0) continue
      const ids = [...new Set(due.map(({ id }) => id))]
      const rows = await sql<{ id: string; started: boolean; finished: boolean }[]>`
        select id, started_at is not null as started, finished_at is not null as finished
        from buildkite.jobs where id = any(${ids}::uuid[])
        union all
        select id, started_at is not null, finished_at is not null from buildkite.builds where id = any(${ids}::uuid[])`
      const seenAt = performance.now()
      const byId = new Map(rows.map((row) => [row.id, { ...row, there: true }]))
      for (const one of due) {
        if (!byId.get(one.id)?.[one.effect]) continue
        latencies.push(seenAt - one.at)
        waiting.delete(one)
      }
      if (seenAt - begun > 120_000 + (webhooks.length * 1_000) / PER_SECOND)
        throw new Error(`${waiting.size} webhooks were never seen in their rows.`)
    }
  }
  await Promise.all([load(port, requests, 16, { kind: 'open', perSecond: PER_SECOND }), watch()])
  await sql.end()
  return latencies.sort((a, b) => a - b)
}

function effectOf({ event, body }: Webhook): Omit<Expected, 'at'> {
  const { build, job } = JSON.parse(body) as { build: { id: string }; job?: { id: string } }
  const stage = event.slice(event.indexOf('.') + 1)
  const effect = stage === 'finished' ? 'finished' : stage === 'scheduled' ? 'there' : 'started'
  return { id: job?.id ?? build.id, effect }
}

/** How long single-row inserts take to commit, ten a second; sorted, in milliseconds. */
async function commitTimes(url: string, stop: AbortSignal): Promise<number[]> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`create table if not exists public.bench_commits (at timestamptz)`
  const taken: number[] = []
  while (!stop.aborted) {
    const begun = performance.now()
    await sql`insert into public.bench_commits values (now())`
    taken.push(performance.now() - begun)
    await new Promise((next) => setTimeout(next, 100))
  }
  await sql.end()
  return taken.sort((a, b) => a - b)
}
