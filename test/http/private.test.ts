import { eq, inArray, notInArray, sql } from 'drizzle-orm'
import type { FastifyInstance } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { coverage } from '../../src/coverage/coverage.ts'
import { readCatalog } from '../../src/database/catalog.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { clearFailure, recordFailure } from '../../src/database/failures.ts'
import {
  deliveries,
  failures,
  findings,
  organizations,
  pipeline_coverage,
  pipelines,
  watermarks,
} from '../../src/database/schema.ts'
import type { ActionParts } from '../../src/http/actions.ts'
import { isLoopbackHost } from '../../src/http/auth/guard.ts'
import { bearerIn, roleOf } from '../../src/http/auth/tokens.ts'
import { watchGauges } from '../../src/http/metrics/gauges.ts'
import { createMeters } from '../../src/http/metrics/registry.ts'
import { buildPrivateApp } from '../../src/http/private.ts'
import { runProbes, type Watched } from '../../src/http/status/probes.ts'
import { readStatus, type Status } from '../../src/http/status/status.ts'
import { webhookFlow } from '../../src/http/status/webhook-throughput.ts'
import { openQueues, type Queues } from '../../src/queue/queues.ts'
import { issueOf, problem } from '../../src/reconcile/issue.ts'
import { createLog } from '../../src/runtime/log.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { everything, watchedOf } from './watched.ts'

const log = createLog('silent')
const acme = '0190a0b0-0000-7000-8000-000000000001'
let home: TestDatabase
let database: Database
let queues: Queues
let app: FastifyInstance | undefined

beforeAll(async () => {
  home = await createTestDatabase()
  database = openDatabase(home.url, { name: 'http test' })
  queues = await openQueues({ redisUrl: undefined, databaseUrl: home.url }, log)
  const now = new Date()
  await database.db.insert(organizations).values({
    id: acme,
    slug: 'acme',
    observed_at: now,
    first_seen_at: now,
    first_seen_via: 'rest',
    changed_at: now,
  })
  const minuteAgo = new Date(now.getTime() - 60_000)
  const confirmed_to = new Date(now.getTime() - 180_000)
  const marks = { watermark: minuteAgo, pipelines_read_at: now, confirmed_to, updated_at: now }
  await database.db.insert(watermarks).values({ organization_id: acme, ...marks })
  const listed_since = new Date(now.getTime() - 86_400_000)
  const pipeline_id = crypto.randomUUID()
  const seen = { observed_at: now, first_seen_at: now, first_seen_via: 'rest', changed_at: now } as const
  await database.db.insert(pipelines).values({ id: pipeline_id, organization_id: acme, slug: 'web', ...seen })
  await database.db.insert(pipeline_coverage).values({ pipeline_id, organization_id: acme, listed_since })
})

afterEach(async () => {
  await app?.close()
  await database.db.delete(deliveries)
})

afterAll(async () => {
  await queues.close(2_000)
  await database.close()
  await home.drop()
})

const watched = (over: Partial<Watched> = {}) => watchedOf({ database, queues, ...over })

async function build(parts: Watched, adminToken?: string) {
  const meters = createMeters()
  watchGauges(meters, parts)
  app = await buildPrivateApp({
    log,
    config: { adminToken, readerToken: undefined, trustProxy: [] },
    status: async () => readStatus(parts, await runProbes(parts)),
    meters,
    catalog: (withExamples) => readCatalog(parts.database.db, withExamples),
    actions: actionParts(parts.database),
    explore: { db: parts.database.db },
    board: () => parts.queues.board(),
  })
  return app
}

function actionParts({ db }: Database): ActionParts {
  const apply = { filter: everything, storeEnv: false, log }
  return { db, queues, apply, log, clock: Date.now, closing: new AbortController().signal }
}

const acmeOnly = mirrorFilter({ organizations: ['acme'], pipelinesInclude: [], pipelinesExclude: [] })

/** Organizations with marks a day old: one that no token sees any more, one that is not wanted any more. */
async function addLeftOnes(): Promise<string[]> {
  const ago = new Date(Date.now() - 86_400_000)
  const seen = { observed_at: ago, first_seen_at: ago, first_seen_via: 'rest', changed_at: ago } as const
  const rows = [
    { id: crypto.randomUUID(), slug: 'lost', ...seen, deleted_at: ago, deleted_reason: 'no_access' },
    { id: crypto.randomUUID(), slug: 'unwanted', ...seen },
  ]
  await database.db.insert(organizations).values(rows)
  const marks = rows.map(({ id }) => ({
    organization_id: id,
    watermark: ago,
    backfill_from: ago,
    backfill_to: ago,
    updated_at: ago,
  }))
  await database.db.insert(watermarks).values(marks)
  return rows.map(({ id }) => id)
}

async function removeLeftOnes(ids: string[]): Promise<void> {
  await database.db.delete(watermarks).where(inArray(watermarks.organization_id, ids))
  await database.db.delete(organizations).where(inArray(organizations.id, ids))
}

const delivery = (key: string, status: 'pending' | 'failed' | 'applied', age: number) => {
  const at = new Date(Date.now() - age)
  return { key, event: 'ping', received_at: at, observed_at: at, status, payload: '{}' }
}

describe('/schema', () => {
  it('shows every column as a page and as JSON, in which nothing can break out of its text', async () => {
    await database.db.update(organizations).set({ name: '<script>alert(1)</script>' })
    const built = await build(watched())
    const index = await built.inject('/schema')
    expect(index.headers['content-type']).toContain('text/html')
    expect(index.headers['content-security-policy']).toContain("default-src 'none'")
    expect(index.body).toContain('href="/schema/analytics?open=pipeline_runs#analytics.pipeline_runs"')
    const examples = async () => (await built.inject('/schema/buildkite')).body.includes('&#60;script&#62;')
    await until(examples, 'the examples are read')
    const html = await built.inject('/schema/buildkite?open=organizations')
    expect(html.body).toContain('<details id="buildkite.organizations" open>')
    expect(html.body).not.toContain('<script')
    expect((await built.inject(`/schema/${encodeURIComponent('<b>')}`)).statusCode).toBe(404)
    const json = await built.inject({ url: '/schema', headers: { accept: 'application/json' } })
    expect(json.json()).toEqual(await readCatalog(database.db))
  })

  it('finds tables and columns by words of their names and comments', async () => {
    const built = await build(watched())
    const found = (await built.inject('/schema?q=trunk+recover')).body
    expect(found).toContain('>analytics.trunk_recoveries</a>')
    expect((await built.inject('/schema?q=pull+request+id')).body).toContain('>buildkite.builds.pull_request_id</a>')
    const nothing = (await built.inject(`/schema?q=${encodeURIComponent('"><script>')}`)).body
    expect(nothing).toContain('0 results')
    expect(nothing).not.toContain('<script')
  })

  it('answers 503 with a sentence while Postgres is unavailable', async () => {
    const gone = openDatabase('postgres://nobody:hunter2@127.0.0.1:1/none', { name: 'http test' })
    const answer = await (await build(watched({ database: gone }))).inject('/schema')
    expect([answer.statusCode, answer.json()]).toEqual([503, { error: 'A store is unavailable. Try again soon.' }])
    await gone.close(100)
  })

  it('asks for the token when there is one', async () => {
    expect((await (await build(watched(), 'hunter2-admin')).inject('/schema')).statusCode).toBe(401)
  })
})

describe('/status', () => {
  it('tells how everything stands, without a secret in it', async () => {
    await database.db
      .insert(deliveries)
      .values([delivery('a', 'pending', 5_000), delivery('b', 'failed', 9_000), delivery('c', 'applied', 90_000_000)])
    const answer = await (await build(watched())).inject('/status')
    expect(answer.statusCode).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.body).not.toContain('hunter2')
    const status = answer.json<Status>()
    expect(status).toMatchObject({
      status: 'ok',
      reasons: [],
      roles: ['web', 'worker', 'reconciler'],
      database: { kind: 'external', ok: true, pending_migrations: 0 },
      queue: { backend: 'postgres', ok: true, depth: { deliveries: { waiting: 0 } } },
      webhooks: { on: true, auth: 'signature', why: null },
      reconciler: { on: true, why: null },
      deliveries: { pending: 1, failed: 1 },
      flow: { outcomes: { pending: 1, failed: 1 } },
      organizations: [{ slug: 'acme' }],
      problems: [],
    })
    expect(status.version).toMatch(/^\d+\.\d+\.\d+/)
    expect(status.deliveries?.oldest_pending_seconds).toBeGreaterThan(4)
  })

  it('says no more of an organization that is mirrored no longer, and waits for three intervals', async () => {
    const ids = await addLeftOnes()
    const headline = async (config: Partial<Watched['config']> = {}) => {
      await app?.close()
      const parts = watched({
        config: { ...watched().config, ...config },
        filter: acmeOnly,
        coverage: () => coverage(database.db, new Date(), { filter: acmeOnly }),
      })
      return /<h1>(.*?)<\/h1>/.exec((await (await build(parts)).inject('/')).body)?.[1]
    }
    expect(await headline()).toMatch(/^Healthy: all builds are verified up to \dm( \d+s)? ago/)
    await database.db
      .update(watermarks)
      .set({ watermark: new Date(Date.now() - 3_600_000), confirmed_to: new Date(Date.now() - 3_700_000) })
      .where(notInArray(watermarks.organization_id, ids))
    expect(await headline()).toContain('the mirror may fall behind')
    expect(await headline({ reconcileIntervalMs: 1_800_000 })).toMatch(/^Healthy: all builds are verified up to 1h/)
    await database.db
      .update(watermarks)
      .set({ watermark: new Date(Date.now() - 60_000), confirmed_to: new Date(Date.now() - 180_000) })
    await removeLeftOnes(ids)
  })

  it('is late when the list of pipelines is late, although cycles run, and gives the reason', async () => {
    const hourAgo = new Date(Date.now() - 3_600_000)
    await database.db.update(watermarks).set({ pipelines_read_at: hourAgo, confirmed_to: hourAgo })
    const unit = { kind: 'pipelines_list', organizationId: acme, subject: 'pipelines of acme' } as const
    const page = async () => {
      await app?.close()
      return (await (await build(watched())).inject('/')).body
    }
    expect(await page()).toMatch(/acme is verified only up to 1h ago\. The list of pipelines was last read 1h ago\./)
    await recordFailure(database.db, unit, new Error('Buildkite answered 500.'), hourAgo)
    expect(await page()).toContain(
      'acme is verified only up to 1h ago. Reading the list of pipelines fails: Buildkite answered 500.',
    )
    await clearFailure(database.db, unit)
    const confirmed_to = new Date(Date.now() - 180_000)
    await database.db.update(watermarks).set({ pipelines_read_at: new Date(), confirmed_to })
  })

  it('says that history is being read only while BACKFILL_DAYS lets it be', async () => {
    const to = new Date(Date.now() - 600_000)
    const owe = (backfill_from: Date | null, backfill_to: Date | null) =>
      database.db.update(watermarks).set({ backfill_from, backfill_to }).where(eq(watermarks.organization_id, acme))
    const page = async (backfillDays: number) => {
      await app?.close()
      const parts = watched({ coverage: () => coverage(database.db, new Date(), { backfillDays }) })
      return (await (await build(parts)).inject('/')).body
    }
    await owe(new Date(to.getTime() - 90 * 86_400_000), to)
    const on = await page(90)
    const off = await page(0)
    await owe(null, null)
    expect(on).toMatch(/<b>Reading history: 0.%<\/b>/)
    expect(on).toMatch(/Healthy: new builds are verified up to \dm( \d+s)? ago, and history is being read.<\/h1>/)
    expect(on).toContain('action="/actions/backfill/pause"')
    expect(off).toContain('<b>History is not read, because BACKFILL_DAYS is 0: ')
    expect(off).toMatch(/Healthy: new builds are verified up to \dm( \d+s)? ago.<\/h1>/)
    expect(off).not.toContain('action="/actions/backfill/')
  })

  it('asks about the last hour of webhooks for no longer than a second', async () => {
    await database.db.transaction(async (tx) => {
      await tx.execute(sql`lock table ${deliveries} in access exclusive mode`)
      const flow = webhookFlow(database.db, Date.now())
      await expect(flow).rejects.toMatchObject({ cause: { code: '57014' } })
    })
  })

  it('says what is off and why', async () => {
    const config = { ...watched().config, webhookSecrets: [], apiTokens: [] }
    const status = (await (await build(watched({ config }))).inject('/status')).json<Status>()
    expect(status.webhooks.why).toContain('WEBHOOK_SECRET is not set')
    expect(status.reconciler.why).toContain('BUILDKITE_API_TOKEN is not set')
  })

  it('shows what Buildkite refuses', async () => {
    const problems = () => [problem('token', 'invalid_credentials', 'The token is refused.')]
    const status = (await (await build(watched({ problems }))).inject('/status')).json<Status>()
    expect(status).toMatchObject({
      status: 'degraded',
      reasons: [{ code: 'invalid_credentials', text: 'The token is refused.' }],
      problems: [{ code: 'invalid_credentials' }],
    })
  })

  it('answers within two seconds when Postgres is gone, saying so', async () => {
    const gone = openDatabase('postgres://nobody:hunter2@127.0.0.1:1/none', { name: 'http test' })
    const begun = performance.now()
    const answer = await (await build(watched({ database: gone }))).inject('/status')
    expect(performance.now() - begun).toBeLessThan(2_500)
    expect(answer.statusCode).toBe(200)
    expect(answer.body).not.toContain('hunter2')
    const status = answer.json<Status>()
    expect(status).toMatchObject({ status: 'degraded', database: { ok: false }, deliveries: null })
    expect(status.reasons.length).toBeGreaterThan(0)
    await gone.close(100)
  })
})

describe('an unavailable Redis', () => {
  it('is reported once, with a remedy that names Redis', async () => {
    const away = await openQueues({ redisUrl: 'redis://127.0.0.1:1', databaseUrl: home.url }, log)
    const met = ['queue', 'discover'].map(async (subject) =>
      issueOf(subject, await away.depth().catch((error: unknown) => error)),
    )
    const problems = await Promise.all(met)
    const answer = await build(watched({ queues: away, problems: () => problems }))
    const { reasons } = (await answer.inject('/status')).json<Status>()
    expect(reasons).toEqual([{ code: 'queue_unreachable', text: 'Redis cannot be reached (ECONNREFUSED).' }])
    const page = (await answer.inject('/')).body
    expect(page.match(/<li class="bad">Redis cannot be reached/g)).toHaveLength(1)
    expect(page).toContain('Check that Redis answers at REDIS_URL')
    expect(page).not.toContain('Check that Postgres answers')
    await away.close(1_000)
  })
})

describe('/metrics', () => {
  it('shows counters, and asks the stores at each scrape', async () => {
    await database.db.insert(deliveries).values([delivery('a', 'pending', 5_000), delivery('b', 'failed', 9_000)])
    const answer = await (await build(watched())).inject('/metrics')
    expect(answer.headers['content-type']).toContain('text/plain')
    expect(answer.body).toContain('buildkite_mirror_deliveries_pending 1')
    expect(answer.body).toContain('buildkite_mirror_deliveries_failed 1')
    expect(answer.body).toContain('buildkite_mirror_store_up{store="database"} 1')
    expect(answer.body).toContain('buildkite_mirror_queue_jobs{queue="deliveries",state="waiting"} 0')
    expect(answer.body).toMatch(/buildkite_mirror_watermark_age_seconds\{organization="acme"\} \d{2,}/)
    expect(answer.body).toContain('process_resident_memory_bytes')
  })

  it('shows how much work fails, by kind, and since when', async () => {
    const at = new Date(Date.now() - 900_000)
    for (const subject of ['2026-05-30', '2026-05-31']) {
      await recordFailure(
        database.db,
        { kind: 'rollup_day', organizationId: null, subject },
        new Error('It failed.'),
        at,
      )
    }
    const lines = async () =>
      (await (await build(watched())).inject('/metrics')).body
        .split('\n')
        .filter((line) => line.includes('{kind="rollup_day"}'))
    const [number, age] = await lines()
    expect(number).toBe('buildkite_mirror_work_failing{kind="rollup_day"} 2')
    expect(age).toMatch(/^buildkite_mirror_work_failing_oldest_seconds\{kind="rollup_day"\} 9\d\d/)
    await database.db.delete(failures)
    await app?.close()
    expect(await lines()).toEqual([])
  })

  it('shows the faults that the own check has found', async () => {
    const at = new Date()
    const found = { subject: 'acme', detail: 'It is.', checked_at: at, since: at }
    await database.db.insert(findings).values([
      { name: 'webhook_silence', result: 'warning', ...found },
      { name: 'webhook_missing', result: 'ok', ...found },
    ])
    const { body } = await (await build(watched())).inject('/metrics')
    expect(body.split('\n').filter((line) => line.startsWith('buildkite_mirror_findings'))).toEqual([
      'buildkite_mirror_findings{name="webhook_silence",subject="acme",result="warning"} 1',
    ])
    await database.db.delete(findings)
  })

  it('shows lag and history only of organizations that are mirrored still, and history only where some is owed', async () => {
    const ids = await addLeftOnes()
    const body = async () =>
      (await (await build(watched({ filter: acmeOnly }))).inject('/metrics')).body
        .split('\n')
        .filter((line) => /\{organization=/.test(line))
    expect((await body()).map((line) => line.replace(/ [\d.e+]+$/, '')).sort()).toEqual([
      'buildkite_mirror_claim_age_seconds{organization="acme",object="builds"}',
      'buildkite_mirror_claim_age_seconds{organization="acme",object="jobs"}',
      'buildkite_mirror_claim_exceptions{organization="acme"}',
      'buildkite_mirror_drift_unhealed{organization="acme"}',
      'buildkite_mirror_pipelines_complete{organization="acme"}',
      'buildkite_mirror_pipelines_listed{organization="acme"}',
      'buildkite_mirror_watermark_age_seconds{organization="acme"}',
    ])
    const owed = { backfill_from: new Date(Date.now() - 9_000_000), backfill_to: new Date() }
    await database.db.update(watermarks).set(owed)
    await app?.close()
    expect(await body()).toContain('buildkite_mirror_backfill_progress_ratio{organization="acme"} 0')
    await database.db.update(watermarks).set({ backfill_from: null, backfill_to: null })
    await removeLeftOnes(ids)
  })
})

describe('the guard of the private listener', () => {
  it('asks for the token, when there is one, on every path', async () => {
    const guarded = await build(watched(), 'right')
    for (const url of ['/', '/status', '/metrics', '/nothing']) {
      const answer = await guarded.inject(url)
      expect([url, answer.statusCode]).toEqual([url, 401])
      expect(answer.headers['www-authenticate']).toContain('Bearer')
    }
    const enter = (authorization: string) => guarded.inject({ url: '/', headers: { authorization } })
    expect((await enter('Bearer wrong')).statusCode).toBe(401)
    expect((await enter('Bearer right')).statusCode).toBe(200)
  })

  it('without a token, answers only by the names of loopback', async () => {
    const open = await build(watched())
    const ask = (host: string) => open.inject({ url: '/', headers: { host } })
    expect((await ask('127.0.0.1:8081')).statusCode).toBe(200)
    expect((await ask('evil.example')).statusCode).toBe(403)
  })

  it('answers a request with the token under any host name', async () => {
    const guarded = await build(watched(), 'right')
    const headers = { host: 'mirror.internal', authorization: 'Bearer right' }
    expect((await guarded.inject({ url: '/status', headers })).statusCode).toBe(200)
  })

  it.each<[string, Record<string, string>]>([
    ['of another origin', { origin: 'https://evil.example' }],
    ['of another port of this machine', { origin: 'http://127.0.0.1:3000' }],
    ['without an origin that it would tell', { origin: 'null' }],
    ['that the browser calls cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['that the browser calls same-site', { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:8081' }],
  ])('refuses what a page %s posts, with the token and without', async (_name, headers) => {
    for (const token of [undefined, 'right']) {
      const guarded = await build(watched(), token)
      const own = { host: '127.0.0.1:8081', authorization: 'Bearer right' }
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'] as const) {
        const answer = await guarded.inject({ method, url: '/anything', headers: { ...own, ...headers } })
        expect([method, answer.statusCode]).toEqual([method, 403])
      }
      await guarded.close()
    }
  })

  it('lets its own page and programs post', async () => {
    const open = await build(watched())
    const post = (headers: Record<string, string>) =>
      open.inject({ method: 'POST', url: '/anything', headers: { host: '127.0.0.1:8081', ...headers } })
    expect((await post({})).statusCode).toBe(404)
    const own = { origin: 'http://127.0.0.1:8081', 'sec-fetch-site': 'same-origin' }
    expect((await post(own)).statusCode).toBe(404)
  })

  it('gives nothing away in the answer to an address that is none', async () => {
    const answer = await (await build(watched(), 'right')).inject('/%ZZ')
    expect(answer.statusCode).toBeGreaterThanOrEqual(400)
    expect(answer.body).not.toMatch(/right|hunter2|acme/)
  })

  it.each(['localhost', 'LOCALHOST:8081', '127.0.0.1', '127.1.2.3:80', '[::1]:8081'])('takes %s for loopback', (host) =>
    expect(isLoopbackHost(host)).toBe(true),
  )

  it.each(['localhost.evil.example', '127.0.0.1.evil.example', 'evil', '', '[::2]', undefined])(
    'does not take %s',
    (host) => expect(isLoopbackHost(host)).toBe(false),
  )

  it('reads the Authorization header strictly', () => {
    const bears = (header: string | undefined) => roleOf({ admin: 'abc', reader: 'def' }, bearerIn(header) ?? '')
    expect(bears('bearer abc')).toBe('admin')
    expect(bears('Bearer def')).toBe('reader')
    for (const header of [undefined, '', 'abc', 'Basic abc', 'Bearer', 'Bearer abcd', 'Bearer ab']) {
      expect(bears(header)).toBeUndefined()
    }
  })
})

describe('meters', () => {
  it('leave an undeclared name uncounted, and bound the values of a label', async () => {
    const meters = createMeters()
    meters.record('no such thing', 1, { a: 'b' })
    for (let n = 0; n < 150; n++) meters.record('deliveries_processed_total', 1, { status: `s${n}`, extra: 'ignored' })
    const { body } = await meters.page()
    const lines = body.split('\n').filter((line) => line.startsWith('buildkite_mirror_deliveries_processed_total{'))
    expect(lines).toHaveLength(101)
    expect(lines.at(-1)).toBe('buildkite_mirror_deliveries_processed_total{status="other",event="unknown"} 50')
  })

  it('show the page even when a source fails', async () => {
    const meters = createMeters()
    meters.onScrape(() => Promise.reject(new Error('no')))
    meters.record('deliveries_requeued_total', 3)
    expect((await meters.page()).body).toContain('buildkite_mirror_deliveries_requeued_total 3')
  })
})
