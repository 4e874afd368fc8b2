import postgres from 'postgres'
import type { Status } from '../../src/http/status/status.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { portOf, secretOfBench, signedRequest } from './accept.ts'
import { startApi, useOf } from './backfill.ts'
import type { Bench, Row } from './bench.ts'
import { webhooksOf } from './company.ts'
import { type LoadReport, load } from './load.ts'
import { sample } from './statistics.ts'
import { bytes, ms } from './words.ts'

const JOBS = 10
const PER_SECOND = 200
/** A build has 3 webhooks of its own and 3 of each job: so many milliseconds from one to the next make 200 webhooks a second. */
const SPACING = (1_000 * (3 + 3 * JOBS)) / PER_SECOND
const BUILDS_AT_ONCE = 60
const DAYS = 90
/** Builds that were there before, for the backfill. */
const HISTORY = 1_000_000
/** Buildkite allows 200 a minute to an organization; a backfill at this pace reads 9,000 builds a minute at most. */
const REQUESTS_PER_MINUTE = 90

/** What is looked at again and again; sizes in bytes. */
interface Sight {
  readonly memory: number
  readonly connections: number
  /** Deliveries not applied yet. */
  readonly pending: number
  /** Jobs of the deliveries' queue that wait or are at work. */
  readonly queued: number
  /** Live and dead rows in the tables that grow. */
  readonly live: number
  readonly dead: number
  readonly deliveryBytes: number
  readonly jobBytes: number
  readonly backfilled: number
}

/** What must not be there at the end. */
interface Left {
  /** Deliveries that could not be applied. */
  readonly failed: number
  /** Differences that audits found. */
  readonly wrong: number
}

/** The whole service under a steady load with its backfill at work: whether anything grows that should not. */
export async function soak({ stores, minutes, say }: Bench): Promise<Row[]> {
  const to = Math.floor(Date.now() / 1_000) * 1_000
  const span = { from: to - DAYS * 86_400_000, to, builds: HISTORY }
  const api = await startApi(span, JOBS, { perMinute: REQUESTS_PER_MINUTE, everyMs: SPACING })
  const url = await stores.create()
  const sql = postgres(url, { max: 1, onnotice: () => {}, connection: { application_name: 'the soak' } })
  const [vacuum] = await sql<{ on: boolean }[]>`select current_setting('autovacuum')::bool as on`
  if (!vacuum?.on) say('soak: autovacuum is off in this Postgres, so that dead rows pile up: switch it on first.')
  const service = await startService({
    DATABASE_URL: url,
    REDIS_URL: stores.redis.url,
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: 'bench',
    API_BUDGET_SHARE: '1',
    BACKFILL_DAYS: String(DAYS),
    WEBHOOK_SECRET: secretOfBench,
    LOG_LEVEL: 'warn',
  })
  try {
    const sights: Sight[] = []
    const loads: LoadReport[] = []
    const end = Date.now() + minutes * 60_000
    const watch = async () => {
      while (Date.now() < end) {
        await new Promise((next) => setTimeout(next, 10_000))
        const sight = await look(sql, service)
        sights.push(sight)
        if (sights.length % 6 === 0)
          say(`soak: ${JSON.stringify({ ...sight, accept: loads.slice(-6).map(({ p99 }) => Math.round(p99)) })}`)
      }
    }
    const send = async () => {
      // Build n is the same to the API and to its webhooks.
      const createdAt = (n: number) => to + (n - HISTORY) * SPACING
      let next = HISTORY + Math.ceil((Date.now() - to) / SPACING)
      let coming = mixed(next, createdAt)
      while (Date.now() < end) {
        const requests = await coming
        next += BUILDS_AT_ONCE
        coming = mixed(next, createdAt)
        loads.push(await load(portOf(service), requests, 64, { kind: 'open', perSecond: PER_SECOND }))
      }
    }
    await Promise.all([watch(), send()])
    const [left] = await sql<Left[]>`
      select (select count(*)::int from sync.deliveries where status = 'failed') as failed,
             (select count(*)::int from analytics.drift) as wrong`
    if (!left) throw new Error('Postgres returned no row.')
    say(`soak: ${service.output().slice(-2_000)}`)
    return report(minutes, sights, loads, left)
  } finally {
    await service.stop()
    await sql.end()
    api.stop()
    await stores.drop(url)
  }
}

/** All webhooks of the next builds, side by side; made bit by bit, while others are being sent. */
async function mixed(first: number, createdAt: (n: number) => number): Promise<Buffer[]> {
  const all: Buffer[][] = []
  for (let n = first; n < first + BUILDS_AT_ONCE; n++) {
    all.push(webhooksOf(n, createdAt(n), JOBS).map((webhook) => signedRequest(webhook, Date.now())))
    await new Promise((next) => setTimeout(next, 20))
  }
  return Array.from({ length: 3 + 3 * JOBS }, (_, turn) => all.flatMap((one) => one[turn] ?? [])).flat()
}

async function look(sql: postgres.Sql, service: ServiceProcess): Promise<Sight> {
  const [row] = await sql<Omit<Sight, 'memory' | 'queued'>[]>`
    select (select count(*)::int from pg_stat_activity where datname = current_database()) as connections,
           (select count(*)::int from sync.deliveries where status = 'pending') as pending,
           sum(n_live_tup)::float8 as live, sum(n_dead_tup)::float8 as dead,
           pg_total_relation_size('sync.deliveries')::float8
             / greatest(1, sum(n_live_tup) filter (where relname = 'deliveries'))::float8 as "deliveryBytes",
           pg_total_relation_size('buildkite.jobs')::float8
             / greatest(1, sum(n_live_tup) filter (where relname = 'jobs'))::float8 as "jobBytes",
           (select coalesce(sum(builds), 0)::int from sync.windows) as backfilled
    from pg_stat_user_tables where schemaname in ('buildkite', 'sync')`
  if (!row) throw new Error('Postgres returned no row.')
  const { queue } = (await service.status()) as unknown as Pick<Status, 'queue'>
  const { waiting = 0, active = 0 } = queue.depth?.deliveries ?? {}
  const queued = waiting + active
  return { ...row, queued, memory: useOf(service.process).resident }
}

function report(minutes: number, sights: readonly Sight[], loads: readonly LoadReport[], left: Left): Row[] {
  const answers = loads.flatMap(({ statuses }) => Object.entries(statuses))
  const sent = answers.reduce((sum, [, count]) => sum + count, 0)
  const refused = answers.reduce((sum, [status, count]) => sum + (status === '202' ? 0 : count), 0)
  const what = (text: string) => `${minutes} minutes at ${PER_SECOND} webhooks/s with a backfill: ${text}`
  /** The median of each sixth of the time. The first sixth is the start; flatness is judged from the second on. */
  const line = (text: string, of: (sight: Sight) => number, write: (n: number) => string, grows: number): Row => {
    const part = Math.ceil(sights.length / 6)
    const parts = Array.from(
      { length: 6 },
      (_, index) => sample(sights.slice(index * part, (index + 1) * part).map(of)).median,
    )
    const [, second = 0] = parts
    const last = parts.at(-1) ?? 0
    return {
      course: 'soak',
      what: what(text),
      ours: parts.map(write).join(', '),
      limit: '',
      result: `${write(second)} in the second sixth, ${write(last)} in the last`,
      reach: 'flat',
      reached: last <= second * 1.15 + grows,
    }
  }
  const count = (n: number) => Math.round(n).toLocaleString('en-US')
  const p99 = sample(loads.map((one) => one.p99))
  return [
    {
      course: 'soak',
      what: what('webhooks answered'),
      ours: `${count(sent)}, ${refused === 0 ? 'all' : `${count(refused)} not`} with 202; meanwhile ${count(sights.at(-1)?.backfilled ?? 0)} builds back-filled`,
      limit: '',
      result: `p99 of ten seconds: median ${ms(p99.median)}, worst ${ms(p99.most)}`,
      reach: 'all 202',
      reached: refused === 0,
    },
    {
      course: 'soak',
      what: what('deliveries failed, and differences found by audits'),
      ours: `${count(left.failed)} and ${count(left.wrong)}`,
      limit: '',
      result: `${count(left.failed)} and ${count(left.wrong)}`,
      reach: '0 and 0',
      reached: left.failed === 0 && left.wrong === 0,
    },
    line('memory', ({ memory }) => memory, bytes, 0),
    line('connections to Postgres', ({ connections }) => connections, count, 1),
    line('deliveries not applied yet', ({ pending }) => pending, count, 50),
    line('jobs of the deliveries queue', ({ queued }) => queued, count, 10),
    line(
      'dead rows for each living one',
      ({ dead, live }) => dead / Math.max(1, live),
      (n) => n.toFixed(3),
      0.05,
    ),
    line('bytes a delivery', ({ deliveryBytes }) => deliveryBytes, bytes, 0),
    line('bytes a job', ({ jobBytes }) => jobBytes, bytes, 0),
  ]
}
