import { gzipSync } from 'node:zlib'
import postgres from 'postgres'
import { createClient } from '../../src/buildkite/client.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { sharedBudget } from '../../src/reconcile/access/rate-limit-store.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { createLog } from '../../src/runtime/log.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { acceptRate, receiver } from './accept.ts'
import { applyAll, lives } from './apply.ts'
import { runBackfill, startApi } from './backfill.ts'
import type { Bench, Row } from './bench.ts'
import { buildOf, jobOf } from './company.ts'
import { type History, historyOf } from './history.ts'
import { interleaved, ratios, type Sample, sample } from './statistics.ts'
import { bytes, many, ms, times } from './words.ts'

const silent = createLog('silent')
const JOBS = 10

/** What a history of each size does to everything that is done beside it. */
export async function size(bench: Bench): Promise<Row[]> {
  const { stores, quick, most, keep, say } = bench
  const sizes = (quick ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000]).filter((builds) => builds <= most)
  const histories: NamedHistory[] = []
  for (const builds of sizes) {
    const history = await historyOf(builds, stores, keep && builds === last(sizes))
    histories.push({ ...history, name: `${builds.toLocaleString('en-US')} builds` })
    say(`size: a history of ${builds.toLocaleString('en-US')} builds is made`)
  }
  for (const { url } of histories) await forgetDeliveries(url)
  // Before anything is added to them.
  const disk = await storage(histories, bench)
  const rows = [
    ...(await cycles(histories, bench)),
    ...(await pages(histories, bench)),
    ...(await rates(histories, bench)),
    ...(await backfills(histories, bench)),
    ...(await sums(histories, bench)),
    ...(await questions(histories)),
    ...disk,
  ]
  for (const { url, kept } of histories) if (!kept) await stores.drop(url)
  return rows
}

interface NamedHistory extends History {
  name: string
}

const last = <T>(values: readonly T[]): T => {
  const value = values.at(-1)
  if (value === undefined) throw new Error('There is no history.')
  return value
}

const perHistory = (histories: readonly NamedHistory[], figure: (one: NamedHistory, index: number) => string) =>
  histories.map((one, index) => `${one.name}: ${figure(one, index)}`).join('; ')

/** Hot cycles that find nothing new. */
async function cycles(histories: readonly NamedHistory[], { say, quick }: Bench): Promise<Row[]> {
  const api = await startApi({ builds: 0, from: 0, to: 0 }, 0)
  const turns = quick ? 10 : 30
  const taken: number[][] = []
  const requests: number[] = []
  for (const { url } of histories) {
    const database = openDatabase(url, { name: 'bench' })
    const cycle = await cycleOn(database, api.url)
    await cycle()
    const before = await api.listRequests()
    const times: number[] = []
    for (let turn = 0; turn < turns; turn++) {
      const begun = performance.now()
      await cycle()
      times.push(performance.now() - begun)
    }
    requests.push(((await api.listRequests()) - before) / turns)
    taken.push(times)
    await database.close()
  }
  api.stop()
  const largest = sample(last(taken)).median
  say(`size: a quiet cycle takes ${ms(largest)} on the largest history`)
  return [
    {
      course: 'hot cycle',
      what: 'one that finds nothing new, whole: requests, SQL and all',
      ours: perHistory(histories, (_, index) => ms(sample(taken[index] ?? []).median)),
      limit: `list requests: ${perHistory(histories, (_, index) => String(requests[index]))}`,
      result: ms(largest),
      reach: 'the same requests; SQL < 100 ms',
      reached: largest < 100 && new Set(requests).size === 1,
    },
  ]
}

/** The status page, as a browser without it asks for it. The first answer of a process that has just begun is shown, and not judged by. */
async function pages(histories: readonly NamedHistory[], { stores, say }: Bench): Promise<Row[]> {
  const first: number[] = []
  const then: number[] = []
  for (const { url } of histories) {
    const service = await receiver(url, stores.redis.url)
    const ask = async () => {
      const begun = performance.now()
      const answer = await fetch(service.privateUrl)
      const text = await answer.text()
      if (answer.status !== 200 || !text.includes('<h1')) throw new Error(`The page answers ${answer.status}.`)
      return performance.now() - begun
    }
    first.push(await ask())
    const more: number[] = []
    while (more.length < 20) more.push(await ask())
    then.push(sample(more).median)
    await service.stop()
  }
  say(`size: the status page takes ${ms(last(then))} on the largest history`)
  return [
    {
      course: 'status page',
      what: '`GET /` of the private listener',
      ours: perHistory(histories, (_, index) => `${ms(first[index] ?? 0)} just begun, then ${ms(then[index] ?? 0)}`),
      limit: '',
      result: ms(last(then)),
      reach: '< 50 ms',
      reached: last(then) < 50,
    },
  ]
}

async function cycleOn({ db }: Database, apiUrl: string): Promise<() => Promise<unknown>> {
  const id = '00000000-0000-7000-8000-000000000001'
  const deps = {
    db,
    log: silent,
    clock: Date.now,
    filter: mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] }),
    storeEnv: false,
    storeAnnotations: false,
    storeArtifacts: false,
    backfillDays: 90,
  }
  const client = createClient({ token: 'bench', apiUrl, budget: sharedBudget(db, 1), log: silent })
  return () => reconcileOnce(deps, { id, slug: 'large', client })
}

/** Accepting and applying, beside each history and beside the smallest one. */
async function rates(histories: readonly NamedHistory[], { stores, quick, say }: Bench): Promise<Row[]> {
  const rounds = quick ? 2 : 3
  const builds = quick ? 40 : 200
  let first = 10_000_000
  const accepting = await interleaved(
    rounds,
    Object.fromEntries(histories.map(({ name, url }) => [name, () => acceptRate(stores, url, quick ? 2_000 : 10_000)])),
  )
  // They wait there, for nobody applied them: else the first round would.
  for (const { url } of histories) await forgetDeliveries(url)
  const applying = await interleaved(
    rounds,
    Object.fromEntries(
      histories.map(({ name, url }) => [
        name,
        (round: number) => {
          first += builds
          return applyAll(stores, url, lives(first, builds), round)
        },
      ]),
    ),
  )
  return [
    ['accept', accepting, 'webhooks of 8 KB answered, queue on Redis'] as const,
    ['apply', applying, 'deliveries applied'] as const,
  ].map(([course, figures, what]) => {
    const small = figures[histories[0]?.name ?? ''] ?? []
    const against = (name: string): Sample => ratios(figures[name] ?? [], small)
    const ratio = against(last(histories).name)
    say(`size: ${course} beside the largest history: ${times(ratio)}`)
    return {
      course: `${course}, by size`,
      what: `${what}, beside a history`,
      ours: perHistory(histories, ({ name }) => `${many(sample(figures[name] ?? []))} /s`),
      limit: `the same beside ${histories[0]?.name}`,
      result: times(ratio),
      reach: '>= 0.8',
      reached: ratio.median >= 0.8,
    }
  })
}

/** Leaves the deliveries of the history, whose payloads were dropped long ago, and removes what was measured with. */
async function forgetDeliveries(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await sql`delete from sync.deliveries where payload is not null or status <> 'applied'`
  await sql`vacuum analyze sync.deliveries`
  await sql.end()
}

/** Fetching more history beside each history. */
async function backfills(histories: readonly NamedHistory[], { quick }: Bench): Promise<Row[]> {
  const builds = quick ? 1_000 : 5_000
  const to = Date.now() - 400 * 86_400_000
  const span = { builds, from: to - 10 * 86_400_000, to }
  const api = await startApi(span, JOBS)
  const perSecond: number[] = []
  for (const { url } of histories) {
    // A history kept from an earlier run has this span already, but for the minutes between the two runs.
    const sql = postgres(url, { max: 1, onnotice: () => {} })
    await sql`truncate sync.windows`
    await sql.end()
    perSecond.push(builds / (await runBackfill(url, api.url, span)).seconds)
  }
  api.stop()
  return [
    {
      course: 'backfill, by size',
      what: `${builds.toLocaleString('en-US')} more builds of ${JOBS} jobs, their sums made too, beside a history`,
      ours: perHistory(histories, (_, index) => `${Math.round(perSecond[index] ?? 0)} builds/s`),
      limit: '',
      result: ((perSecond.at(-1) ?? 0) / (perSecond[0] ?? 1)).toFixed(2),
      reach: 'none set',
    },
  ]
}

/** Refreshes the rollups after one job changed, and of one day. */
async function sums(histories: readonly NamedHistory[], _bench: Bench): Promise<Row[]> {
  const taken: number[] = []
  const changed: number[] = []
  for (const { url } of histories) {
    const sql = postgres(url, { max: 1, onnotice: () => {} })
    changed.push(sample(await refreshesOfOneChange(sql)).median)
    const times: number[] = []
    for (let day = 20; day < 25; day++) {
      const begun = performance.now()
      await sql`select sync.refresh_day((now() - make_interval(days => ${day}))::date)`
      times.push(performance.now() - begun)
    }
    taken.push(sample(times).median)
    await sql.end()
  }
  return [
    {
      course: 'sums, by size',
      what: 'refreshing the rollups after one job changed',
      ours: perHistory(histories, (_, index) => ms(changed[index] ?? 0)),
      limit: '',
      result: ms(changed.at(-1) ?? 0),
      reach: '< 200 ms',
      reached: (changed.at(-1) ?? 0) < 200,
    },
    {
      course: 'sums, by size',
      what: 'refreshing the rollups of one day',
      ours: perHistory(
        histories,
        ({ builds }, index) => `${ms(taken[index] ?? 0)} (${Math.round(builds / 365)} builds a day)`,
      ),
      limit: '',
      result: ms(taken.at(-1) ?? 0),
      reach: 'none set',
    },
  ]
}

/** How long each refresh takes after a job of one of the last days got another result, in milliseconds. */
async function refreshesOfOneChange(sql: postgres.Sql): Promise<number[]> {
  const times: number[] = []
  for (let day = 2; day < 12; day++) {
    await sql`delete from sync.stale_days`
    await sql`
      update buildkite.jobs set state = case state when 'passed' then 'failed' else 'passed' end, changed_at = clock_timestamp() where id = (
        select id from buildkite.jobs where finished_at > now() - make_interval(days => ${day}) and type = 'script' order by finished_at limit 1)`
    const marked = await sql<{ day: string }[]>`select distinct day::text as day from sync.stale_days`
    const begun = performance.now()
    for (const one of marked) await sql`select sync.refresh_marked_day(${one.day})`
    times.push(performance.now() - begun)
  }
  return times
}

const asked = [
  'select * from analytics.jobs_daily where day > current_date - 30',
  'select * from analytics.cancellations_daily where day > current_date - 30',
  "select * from analytics.job_breaks where broken_at > now() - interval '30 days'",
]

/** What dashboards ask of the last 30 days; docs/analytics/query-plans.md has every question. */
async function questions(histories: readonly NamedHistory[]): Promise<Row[]> {
  const rows: Row[] = []
  for (const question of asked) {
    const taken: number[] = []
    for (const { url } of histories) {
      const sql = postgres(url, { max: 1, onnotice: () => {} })
      await sql`set jit = off`
      const times: number[] = []
      for (let turn = 0; turn < 4; turn++) {
        const begun = performance.now()
        await sql.unsafe(question)
        // The first one fetches from disk what the others find in memory.
        if (turn > 0) times.push(performance.now() - begun)
      }
      taken.push(sample(times).median)
      await sql.end()
    }
    rows.push({
      course: 'questions, by size',
      what: `\`${question}\``,
      ours: perHistory(histories, (_, index) => ms(taken[index] ?? 0)),
      limit: '',
      result: ms(last(taken)),
      reach: 'none set',
    })
  }
  return rows
}

/** Disk, by table, against the gzipped JSON of builds like these. */
async function storage(histories: readonly NamedHistory[], { say }: Bench): Promise<Row[]> {
  const onDisk: Disk[] = []
  for (const history of histories) onDisk.push(await diskOf(history))
  const { total, tables, deliveries } = last(onDisk)
  const json = gzipPerBuild()
  say(`size: ${bytes(total)} a build with its jobs on disk`)
  const parts = tables.flatMap(({ name, rows, heap, indexes }) => [
    `${name}: ${bytes(heap / rows)} a row`,
    ...indexes.map((index) => `${index.name} ${bytes(index.bytes / rows)}`),
  ])
  return [
    {
      course: 'storage',
      what: `a build with its ${JOBS} jobs`,
      ours: perHistory(histories, (_, index) => bytes(onDisk[index]?.total ?? 0)),
      limit: `${bytes(json)} as Buildkite's JSON, gzipped build by build`,
      result: `${(total / json).toFixed(1)} times`,
      reach: '<= 1.5 times',
      reached: total <= 1.5 * json,
    },
    {
      course: 'storage',
      what: `bytes a row of each table and its indexes, at ${last(histories).name}`,
      ours: parts.join(', '),
      limit: '',
      result: `indexes: ${Math.round((100 * indexBytes(tables)) / bytesOf(tables))}%`,
      reach: 'none set',
    },
    {
      course: 'storage',
      what: 'a delivery in the inbox, applied and its payload dropped, indexes and all',
      ours: perHistory(histories, (_, index) => bytes(onDisk[index]?.deliveries ?? 0)),
      limit: '',
      result: bytes(deliveries),
      reach: 'none set',
    },
  ]
}

interface Disk {
  /** Bytes a build with its jobs and attempts. */
  readonly total: number
  /** Bytes a delivery. */
  readonly deliveries: number
  readonly tables: readonly TableOnDisk[]
}

interface TableOnDisk {
  readonly name: string
  readonly rows: number
  readonly heap: number
  readonly indexes: readonly { name: string; bytes: number }[]
}

const indexBytes = (tables: readonly TableOnDisk[]) =>
  tables.flatMap(({ indexes }) => indexes).reduce((sum, index) => sum + index.bytes, 0)

const bytesOf = (tables: readonly TableOnDisk[]) => tables.reduce((sum, { heap }) => sum + heap, 0) + indexBytes(tables)

async function diskOf({ url }: NamedHistory): Promise<Disk> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  for (const table of ['builds', 'build_attempts', 'jobs']) await sql.unsafe(`analyze buildkite.${table}`)
  const [there] = await sql<{ builds: number; deliveries: number }[]>`
    select (select count(*)::int from buildkite.builds) as builds,
           (select count(*)::int from sync.deliveries) as deliveries`
  const all = await sql<TableOnDisk[]>`
    select relname as name, greatest(c.reltuples, 1)::float8 as rows, pg_table_size(c.oid)::float8 as heap,
      (select json_agg(json_build_object('name', indexrelid::regclass::text, 'bytes', pg_relation_size(indexrelid)))
       from pg_index where indrelid = c.oid) as indexes
    from pg_class c where oid in ('buildkite.builds'::regclass, 'buildkite.build_attempts'::regclass, 'buildkite.jobs'::regclass,
      'sync.deliveries'::regclass)
    order by 1`
  await sql.end()
  const tables = all.filter(({ name }) => name !== 'deliveries')
  const inbox = all.filter(({ name }) => name === 'deliveries')
  return {
    total: bytesOf(tables) / (there?.builds ?? 1),
    deliveries: bytesOf(inbox) / (there?.deliveries ?? 1),
    tables,
  }
}

function gzipPerBuild(): number {
  const sizes = Array.from({ length: 200 }, (_, n) => {
    const at = Date.now() - n * 77_000
    const build = buildOf(n, at)
    const jobs = Array.from({ length: JOBS }, (_, j) => jobOf(build, n, at, j))
    return gzipSync(JSON.stringify({ ...build, jobs })).length
  })
  return sample(sizes).median
}
