import { createHash } from 'node:crypto'
import postgres from 'postgres'
import { openDatabase } from '../../src/database/connection.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import type { MirrorRow, Observation, Observations } from '../../src/mirror/observation.ts'
import { observeOrganizations, observeWebhook } from '../../src/mirror/observe.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { createLog } from '../../src/runtime/log.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { until } from '../support/until.ts'
import type { Bench, Row } from './bench.ts'
import { organization, type Webhook, webhooksOf } from './company.ts'
import { interleaved, ratios, sample } from './statistics.ts'
import { onFresh, type Stores } from './stores.ts'
import { many, times } from './words.ts'

const JOBS = 10
const silent = createLog('silent')

/** Deliveries that wait in the inbox become merged rows, against a bare script that writes the same rows and asks nothing. */
export async function apply({ stores, quick, say }: Bench): Promise<Row[]> {
  const builds = quick ? 100 : 400
  const webhooks = lives(1, builds)
  const figures = await interleaved(3, {
    ours: (round) => onFresh(stores, (url) => applyAll(stores, url, webhooks, round)),
    limit: () => onFresh(stores, (url) => writeBare(url, webhooks)),
  })
  const ratio = ratios(figures.ours, figures.limit)
  say(`apply: ${times(ratio)}`)
  return [
    {
      course: 'apply',
      what: `${webhooks.length} deliveries in the inbox, every webhook of ${builds} builds of ${JOBS} jobs, to merged rows`,
      ours: `${many(sample(figures.ours))} /s`,
      limit: `${many(sample(figures.limit))} /s, postgres.js writing their rows in upserts of 500`,
      result: times(ratio),
      reach: '>= 0.4',
      reached: ratio.median >= 0.4,
    },
  ]
}

/** The webhooks of `builds` builds numbered from `first`, as they mix where twenty builds run side by side. */
export function lives(first: number, builds: number): Webhook[] {
  const now = Date.now()
  const all = Array.from({ length: builds }, (_, index) => webhooksOf(first + index, now + index * 10, JOBS))
  const mixed: Webhook[] = []
  for (let group = 0; group < all.length; group += 20) {
    const side = all.slice(group, group + 20)
    for (let turn = 0; turn < 3 * JOBS + 3; turn++) mixed.push(...side.flatMap((one) => one[turn] ?? []))
  }
  return mixed
}

/** Fills the inbox and the queue, then lets the worker go; deliveries per second. */
export async function applyAll(
  stores: Stores,
  url: string,
  webhooks: readonly Webhook[],
  round: number,
): Promise<number> {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  const database = openDatabase(url, { name: 'bench', connections: 15 })
  const queues = await openQueues(
    { redisUrl: stores.redis.url, databaseUrl: url, prefix: `{bench-${Date.now()}-${round}}` },
    silent,
  )
  const { db } = database
  await applyObservations(db, observeOrganizations([organization], new Date()), new Date())
  for (const ids of await fillInbox(sql, webhooks, round)) await queues.addDeliveries({ ids }, 5_000)
  await sql.unsafe('analyze sync.deliveries')
  const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
  const begun = performance.now()
  const worker = queues.workDeliveries(deliveryHandler({ db, filter, storeEnv: false, log: silent }), 16)
  const seconds = ((await allApplied(sql)) - begun) / 1_000
  await worker.close(5_000)
  await queues.close(2_000)
  await database.close()
  await sql.end()
  return webhooks.length / seconds
}

/** Puts deliveries into the inbox as the receiver would; their ids, by group. */
export async function fillInbox(sql: postgres.Sql, webhooks: readonly Webhook[], round: number): Promise<number[][]> {
  const now = new Date().toISOString()
  const groups: number[][] = []
  for (let start = 0; start < webhooks.length; start += 200) {
    const rows = webhooks.slice(start, start + 200).map(({ event, body }, index) => ({
      key: createHash('sha256')
        .update(`${round}\n${start + index}\n${now}\n${body}`)
        .digest('hex'),
      event,
      received_at: now,
      observed_at: now,
      enqueued_at: now,
      payload: body,
    }))
    const ids = await sql<{ id: string }[]>`insert into sync.deliveries ${sql(rows)} returning id`
    groups.push(ids.map(({ id }) => Number(id)))
  }
  return groups
}

/** Waits until no delivery is pending; the moment, by `performance.now()`. @throws Error when one could not be applied. */
export async function allApplied(sql: postgres.Sql): Promise<number> {
  const pending = async () => (await sql`select 1 from sync.deliveries where status = 'pending' limit 1`).length
  await until(async () => (await pending()) === 0, 'every delivery is applied', 600_000)
  const at = performance.now()
  const [failed] = await sql<{ n: number }[]>`select count(*)::int as n from sync.deliveries where status <> 'applied'`
  if (failed?.n !== 0) throw new Error(`${failed?.n} deliveries were not applied.`)
  return at
}

const CHUNK = 500

/** Writes the rows of the same deliveries as fast as postgres.js can. They are in memory before the clock starts. */
async function writeBare(url: string, webhooks: readonly Webhook[]): Promise<number> {
  const at = new Date()
  const observed = webhooks.map(({ event, body }) => observeWebhook(event, JSON.parse(body), at, { storeEnv: false }))
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`select 1`
  const begun = performance.now()
  for (let start = 0; start < observed.length; start += CHUNK) {
    const chunk = observed.slice(start, start + CHUNK)
    await sql.begin(async (tx) => {
      for (const table of ['pipelines', 'builds', 'jobs', 'agents'] as const) {
        for (const rows of chunksOf(latestRows(chunk, table, at))) await upsert(tx, table, rows)
      }
    })
  }
  const seconds = (performance.now() - begun) / 1_000
  await sql.end()
  return webhooks.length / seconds
}

type BareRow = Record<string, unknown>

/** One row for each object, its last one: a statement may not touch a row twice. */
function latestRows(
  observed: readonly Observations[],
  table: 'pipelines' | 'builds' | 'jobs' | 'agents',
  at: Date,
): BareRow[] {
  const rows = new Map<string, BareRow>()
  for (const one of observed) {
    for (const { fields } of one[table] as Observation<MirrorRow>[]) {
      const seen = { observed_at: at, first_seen_at: at, first_seen_via: 'webhook', changed_at: at }
      rows.set(fields.id, { ...rows.get(fields.id), ...fields, ...seen })
    }
  }
  return [...rows.values()]
}

function chunksOf(rows: readonly BareRow[]): BareRow[][] {
  const chunks: BareRow[][] = []
  for (let start = 0; start < rows.length; start += CHUNK) chunks.push(rows.slice(start, start + CHUNK))
  return chunks
}

async function upsert(tx: postgres.TransactionSql, table: string, rows: BareRow[]): Promise<void> {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))]
  const values: postgres.ParameterOrJSON<never>[] = []
  const tuples = rows.map((row) => {
    const places = columns.map((name) => `$${values.push((row[name] ?? null) as postgres.ParameterOrJSON<never>)}`)
    return `(${places.join(',')})`
  })
  const names = columns.map((name) => `"${name}"`)
  const set = names.filter((name) => name !== '"id"').map((name) => `${name} = excluded.${name}`)
  const text = `insert into buildkite.${table} (${names}) values ${tuples} on conflict (id) do update set ${set}`
  await tx.unsafe(text, values, { prepare: true })
}
