import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import { inArray, ne, sql } from 'drizzle-orm'
import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { agents, builds, deliveries, jobs, pipelines } from '../../src/database/schema.ts'
import { buildPublicApp } from '../../src/http/public.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { StoreError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import type { RecordMetric } from '../../src/runtime/record-metric.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { createRandom, type Random } from '../../src/simulator/random.ts'
import { deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { Inbox } from '../../src/webhooks/inbox/inbox.ts'
import { ProvenAddresses } from '../../src/webhooks/receive/proven-addresses.ts'
import { webhookRoute } from '../../src/webhooks/receive/receive.ts'
import { startSweeper } from '../../src/webhooks/sweeper.ts'
import { until } from '../support/until.ts'
import { mutate } from './mutate.ts'
import { openPoster } from './post.ts'
import { type FuzzOptions, type FuzzReport, find, inTenths, newReport, tally } from './report.ts'
import { type Shape, saneShape, webhookShapes } from './shapes.ts'

export const secret = 'the-secret-of-the-fuzzer'
/** Every so many requests are sane, and must come through among the others. */
const SANE_EVERY = 50
/** So many requests are about the same objects. */
const SAME_OBJECTS = 200

/** The webhook path of the service on real stores, listening. */
export interface Target {
  /** Deliveries that were kept before: the same bytes in the same second. */
  duplicates: () => number
  database: Database
  url: string
  server: Server
  close(): Promise<void>
}

/**
 * Sends properly signed webhooks with mutated bodies over HTTP to the real route, inbox, queue and worker. Looks for answers of 5xx,
 * for deliveries that are neither applied nor ignored nor failed in the end, for faults nobody caught, and for sane deliveries that
 * suffered from what came beside them.
 */
export async function fuzzWebhooks(
  stores: { databaseUrl: string; redisUrl?: string | undefined },
  options: FuzzOptions,
): Promise<FuzzReport> {
  const report = newReport('webhooks')
  const shapes = await webhookShapes(options.seed)
  const target = await openTarget(stores)
  const poster = openPoster(target.url + WEBHOOK_PATH, 16)
  const sane: string[] = []
  const ask = (shape: Shape, body: Buffer, headers: Record<string, string>) =>
    poster
      .post(body, {
        'content-type': 'application/json',
        'x-buildkite-event': shape.event,
        'x-buildkite-signature': sign(body, secret, Date.now() - MINUTE),
        ...headers,
      })
      .catch((error: unknown) => String(error))

  try {
    await inTenths(
      report,
      { ...options, atOnce: 16 },
      async (number) => {
        if (number % SANE_EVERY === 0) {
          const shape = saneShape(number)
          const status = await ask(shape, Buffer.from(JSON.stringify(shape.payload)), {})
          if (status !== 202) return find(report, `A sane delivery was answered with ${status}.`)
          sane.push(shape.id)
          tally(report, 'sane')
          return
        }
        const random = createRandom(`${options.seed} webhook ${number}`)
        const shape = random.choose(shapes)
        if (!shape) throw new Error('There are no shapes.')
        const body = mutate(renamed(shape.payload, Math.floor(number / SAME_OBJECTS)), random)
        const status = await ask(shape, body, oddHeaders(shape, random))
        tally(report, String(status))
        if (status !== 202 && status !== 400 && status !== 413)
          find(report, `Webhook ${number} was answered: ${status}.`)
      },
      () => settle(target, report, sane),
    )
  } finally {
    poster.close()
    await target.close()
  }
  return report
}

export async function openTarget(stores: { databaseUrl: string; redisUrl?: string | undefined }): Promise<Target> {
  const log = createLog('silent')
  const { databaseUrl, redisUrl } = stores
  const database = openDatabase(databaseUrl, { name: 'fuzz' })
  const queues = await openQueues({ redisUrl, databaseUrl, prefix: `{fuzz-${randomUUID()}}` }, log)
  let duplicates = 0
  const record: RecordMetric = (what, n) => {
    if (what === 'deliveries_duplicate_total') duplicates += n
  }
  const inbox = new Inbox({ db: database.db, queues, log })
  const settings = { secrets: [secret], auth: 'signature', toleranceMs: 300_000, storeEnv: false } as const
  const proven = new ProvenAddresses()
  const app = await buildPublicApp({
    log,
    webhooks: (own) => webhookRoute(own, { ...settings, proven, inbox, log, record }),
    facts: () => Promise.reject(new StoreError('transient', 'Not asked here.')),
    isProven: proven.has,
  })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
  const worker = queues.workDeliveries(deliveryHandler({ db: database.db, filter, storeEnv: false, log }), 4)
  const sweeper = startSweeper({ db: database.db, queues, payloadRetentionDays: 7, deliveryRetentionDays: 365, log })
  return {
    duplicates: () => duplicates,
    database,
    url,
    server: app.server,
    async close() {
      await app.close()
      await inbox.close(5_000)
      await sweeper.stop(5_000)
      await worker.close(5_000)
      await queues.close(5_000)
      await database.close(5_000)
    },
  }
}

/** Waits until every delivery is settled, counts how, checks the sane ones, and makes room. */
async function settle({ database: { db }, duplicates }: Target, report: FuzzReport, sane: string[]): Promise<void> {
  const pending = () => db.$count(deliveries, sql`${deliveries.status} = 'pending'`)
  await until(async () => (await pending()) === 0, 'every delivery is settled', 120_000).catch(async () => {
    find(report, `${await pending()} deliveries stay pending.`)
  })
  const counted = await db
    .select({ status: deliveries.status, error: deliveries.error, n: sql<number>`count(*)::int` })
    .from(deliveries)
    .groupBy(deliveries.status, deliveries.error)
  for (const { status, error, n } of counted) {
    tally(report, error === null ? status : `${status}: ${error}`, n)
    tally(report, 'settled', n)
    // Faults of the reader are our bugs; so is a value that we accept and Postgres refuses.
    if (error && /could not be read|SQLSTATE|Could not/.test(error)) find(report, `A delivery failed: ${error}`)
  }
  const { settled: ended = 0, sane: saneSent = 0, 202: accepted = 0 } = report.outcomes
  // More than were accepted may be settled: an insert that came too late for its answer, a 503, is kept all the same.
  const due = accepted + saneSent - duplicates()
  if (ended < due || ended > due + (report.outcomes['503'] ?? 0)) {
    find(report, `${accepted + saneSent} were accepted, ${duplicates()} of them known, but ${ended} are settled.`)
  }
  await db.delete(deliveries).where(ne(deliveries.status, 'pending'))
  tally(report, 'job rows', await db.$count(jobs))
  await db.delete(jobs)
  for (const table of [builds, agents, pipelines]) {
    await db.delete(table).where(sql`coalesce(url, '') not like '%/organizations/sane/%'`)
  }
  const ids = sane.splice(0)
  const kept = await db.$count(builds, inArray(builds.id, ids))
  if (kept !== ids.length) find(report, `Of ${ids.length} sane builds ${ids.length - kept} are missing.`)
  const spoilt = await db.$count(
    builds,
    sql`${builds.url} like '%/organizations/sane/%' and (state <> 'running' or message <> 'Sane ' || number or branch <> 'main'
        or pipeline_id is distinct from '0190eeee-0000-7000-8000-000000000001' or deleted_at is not null or extra <> '{}')`,
  )
  if (spoilt > 0) find(report, `${spoilt} sane builds were spoilt by others.`)
}

/** The same payload about other objects: what hundreds of mutations leave on one row would make it, and the run, slow. */
function renamed(payload: object, epoch: number): unknown {
  const tail = `$1${epoch.toString(16).padStart(8, '0')}$2`
  return JSON.parse(
    JSON.stringify(payload).replaceAll(
      /("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-)[0-9a-f]{8}([0-9a-f]{4}")/g,
      tail,
    ),
  )
}

function oddHeaders(shape: Shape, random: Random): Record<string, string> {
  const headers: Record<string, string> = { 'x-buildkite-request': randomUUID() }
  if (random.chance(0.1)) {
    const events = [
      'build',
      'job.',
      'agent.x',
      '.',
      'ping.ping',
      '__proto__',
      'constructor',
      'toString.x',
      'b\u00fcild.x',
      'e'.repeat(4_000),
    ]
    headers['x-buildkite-event'] = random.choose(events) ?? shape.event
  }
  if (random.chance(0.05)) headers['x-buildkite-request'] = random.choose(['', ' ', '\u00ff', 'r'.repeat(4_000)]) ?? ''
  if (random.chance(0.05)) headers['content-type'] = 'application/json; charset=utf-16'
  return headers
}
