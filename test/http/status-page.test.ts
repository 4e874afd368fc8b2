import { get } from 'node:http'
import { eq } from 'drizzle-orm'
import type { FastifyInstance } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { readCatalog } from '../../src/database/catalog.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { recordFailure } from '../../src/database/failures.ts'
import {
  builds,
  cycles,
  deliveries,
  drift,
  failures,
  findings,
  organizations,
  pauses,
  pipeline_coverage,
  pipelines,
  sessions,
  watermarks,
} from '../../src/database/schema.ts'
import { openSessions } from '../../src/http/auth/session.ts'
import { createMeters } from '../../src/http/metrics/registry.ts'
import { buildPrivateApp } from '../../src/http/private.ts'
import { runProbes } from '../../src/http/status/probes.ts'
import { readStatus, type Status } from '../../src/http/status/status.ts'
import { openQueues, type Queues } from '../../src/queue/queues.ts'
import { createLog } from '../../src/runtime/log.ts'
import { DAY, HOUR } from '../../src/runtime/time.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { testQueueBackends, testRedisUrl } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { everything, watchedOf } from './watched.ts'

const acme = '0190a0b0-0000-7000-8000-000000000001'
const token = 'hunter2-admin'
const nasty = `"><img src=x onerror=alert(1)></script><script>alert(1)</script>'`
const seen = {
  observed_at: new Date(),
  first_seen_at: new Date(),
  first_seen_via: 'rest',
  changed_at: new Date(),
} as const

describe.each(testQueueBackends())('the status page, with the queue on %s,', (backend) => {
  const lines: string[] = []
  const log = createLog('debug', { write: (line) => void lines.push(line) })
  let home: TestDatabase
  let database: Database
  let queues: Queues
  let app: FastifyInstance | undefined
  let gathered = 0

  beforeAll(async () => {
    home = await createTestDatabase()
    database = openDatabase(home.url, { name: 'page test' })
    const redis =
      backend === 'redis' ? { redisUrl: testRedisUrl(), prefix: `{page-${process.pid}}` } : { redisUrl: undefined }
    queues = await openQueues({ ...redis, databaseUrl: home.url }, createLog('silent'))
    await database.db.insert(organizations).values({ id: acme, slug: 'acme', ...seen, verified_at: new Date() })
    const minuteAgo = new Date(Date.now() - 60_000)
    const confirmed_to = new Date(Date.now() - 3 * 60_000)
    const marks = { watermark: minuteAgo, pipelines_read_at: minuteAgo, confirmed_to, updated_at: minuteAgo }
    await database.db.insert(watermarks).values({ organization_id: acme, ...marks })
    const pipeline = { id: crypto.randomUUID(), organization_id: acme, slug: 'web', ...seen }
    await database.db.insert(pipelines).values(pipeline)
    const listed_since = new Date(Date.now() - DAY)
    await database.db
      .insert(pipeline_coverage)
      .values({ pipeline_id: pipeline.id, organization_id: acme, listed_since })
  })

  afterEach(async () => {
    vi.useRealTimers()
    await app?.close()
    app = undefined
    await database.db.delete(deliveries)
    await database.db.delete(pauses)
    await database.db.delete(findings)
    await database.db.delete(failures)
  })

  afterAll(async () => {
    await queues.close(2_000)
    await database.close()
    await home.drop()
  })

  async function build(adminToken?: string, clock = Date.now): Promise<FastifyInstance> {
    const { db } = database
    const watched = watchedOf({ database, queues }, ['web'])
    app = await buildPrivateApp({
      log,
      config: { adminToken, readerToken: undefined, trustProxy: [] },
      status: async () => {
        gathered += 1
        return readStatus(watched, await runProbes(watched))
      },
      meters: createMeters(),
      catalog: (withExamples) => readCatalog(db, withExamples),
      actions: {
        db,
        queues,
        apply: { filter: everything, storeEnv: false, log },
        log,
        clock,
        closing: new AbortController().signal,
      },
      explore: { db },
      board: () => queues.board(),
    })
    return app
  }

  const own = { host: '127.0.0.1:8081', origin: 'http://127.0.0.1:8081', 'sec-fetch-site': 'same-origin' }
  const form = { ...own, 'content-type': 'application/x-www-form-urlencoded' }
  const machine = { accept: 'application/json', 'content-type': 'application/json' }
  const browser = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }
  const act = (name: string, payload: object, headers: Record<string, string> = machine) => ({
    method: 'POST' as const,
    url: `/actions/${name}`,
    headers,
    payload,
  })
  const failed = (key: string, error = 'no') => {
    const at = new Date()
    return {
      key,
      event: 'ping',
      received_at: at,
      observed_at: at,
      failed_at: at,
      status: 'failed',
      error,
      payload: '{"event":"ping"}',
    } as const
  }

  it('lets nothing break out of its text, whatever names and errors hold', async () => {
    const id = '0190a0b0-0000-7000-8000-000000000002'
    const now = new Date()
    await database.db.insert(organizations).values({ id, slug: nasty, name: nasty, ...seen })
    await database.db.insert(pipelines).values({ id, organization_id: id, slug: nasty, ...seen })
    const link = { web_url: 'javascript:alert(1)', number: 1 }
    await database.db.insert(builds).values({ id, organization_id: id, pipeline_id: id, ...link, ...seen })
    const change: Partial<typeof drift.$inferInsert> &
      Pick<typeof drift.$inferInsert, 'kind' | 'columns' | 'mirror' | 'buildkite' | 'found_at' | 'found_by'> = {
      kind: 'different',
      columns: [nasty],
      mirror: {},
      buildkite: {},
      found_at: now,
      found_by: 'audit',
    }
    await database.db.insert(drift).values({ organization_id: id, pipeline_id: id, build_id: id, ...change })
    await database.db.insert(deliveries).values({ ...failed(nasty, nasty), event: nasty })
    const check = { name: nasty, subject: nasty, detail: nasty, remedy: nasty, checked_at: now, since: now }
    await database.db.insert(findings).values({ ...check, result: 'failed' })
    await recordFailure(database.db, { kind: 'build', organizationId: id, subject: nasty }, new Error(nasty), now)
    const { body, headers } = await (await build()).inject('/')
    expect(body).toContain('&#60;img src=x')
    expect(body).not.toContain('<img')
    expect(body.match(/<script/g)).toHaveLength(1)
    expect(body).not.toContain('href="javascript:')
    const policy = String(headers['content-security-policy'])
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers['cache-control']).toBe('no-store')
    await database.db.delete(drift)
    await database.db.delete(builds)
    await database.db.delete(pipelines).where(eq(pipelines.organization_id, id))
    await database.db.delete(organizations).where(eq(organizations.id, id))
  })

  it('tells in its headline what holds now, not what the last check found', async () => {
    const built = await build()
    const found = (name: string, subject = '') => ({ name, subject, result: 'failed' as const, checked_at: new Date() })
    const names = ['deliveries_failed', 'delivery_lag', 'postgres_unreachable', 'queue_unreachable', 'redis_eviction']
    const ofAcme = ['watermark_lag', 'claim_lag', 'work_failing'].map((name) => found(name, 'acme'))
    const stale = [...names.map((name) => found(name)), ...ofAcme]
    const asRow = (one: (typeof stale)[number]) => ({ ...one, detail: `Stale ${one.name}.`, since: new Date() })
    await database.db.insert(findings).values(stale.map(asRow))
    const headline = async () => /<h1>(.*?)<\/h1>.*?<\/div><\/div>/s.exec((await built.inject('/')).body)?.[0] ?? ''
    expect(await headline()).toMatch(/Healthy: all builds are verified up to \dm( \d+s)? ago/)
    const at = new Date(Date.now() - HOUR)
    await database.db.insert(deliveries).values([
      { ...failed('a'), received_at: at },
      { key: 'b', event: 'ping', received_at: at, observed_at: at, status: 'pending' },
    ])
    const wrong = async () => (await headline()).includes('the mirror may fall behind')
    await until(wrong, 'the page has looked again')
    expect(await headline()).toContain('1 webhook delivery could not be applied.')
    expect(await headline()).toContain('waiting for 1h to be applied')
    expect(await headline()).not.toContain('Stale')
    await database.db.insert(findings).values(asRow(found('webhook_disabled', 'acme')))
    await until(
      async () => (await headline()).includes('Stale webhook_disabled'),
      'the page shows a finding of the check',
    )
  })

  it('shows how many webhooks were lost, and is not healthy above a limit', async () => {
    const built = await build()
    const now = new Date()
    const ran = { organization_id: acme, kind: 'hot', started_at: now, finished_at: now } as const
    const right = { builds_confirmed: 40, jobs_confirmed: 300, builds_completed: 103, jobs_in_flight: 429 }
    await database.db.insert(cycles).values({ ...ran, ...right })
    const shows = (text: string) =>
      until(async () => (await built.inject('/')).body.includes(text), `the page shows "${text}"`)
    await shows('none received')
    await database.db.insert(deliveries).values({ ...failed('first'), status: 'applied', failed_at: null })
    const viaWebhook = { ...seen, first_seen_via: 'webhook', created_at: now } as const
    await database.db.insert(builds).values({ id: acme, organization_id: acme, ...viaWebhook })
    await shows('0 webhooks lost in the last 24 hours.')
    const healthy = (await built.inject('/')).body
    expect(healthy).toMatch(/Healthy: all builds are verified up to \dm( \d+s)? ago/)
    expect(healthy).toContain('0 lost<small>in the last 24 hours, checked by 1 sync</small>')
    expect(healthy).not.toMatch(/103 missing|429 behind/)
    await database.db.insert(cycles).values({ ...ran, builds_missing: 2, jobs_healed: 1 })
    await shows('Webhooks of acme were lost: 2 builds and 1 job in the last 24 hours, last found')
    const lossy = (await built.inject('/')).body
    expect(lossy).not.toContain('Healthy')
    expect(lossy).not.toContain('0 webhooks lost')
    expect(lossy).toContain('lost for 2 builds and 1 job')
    const [organization] = (await built.inject('/status')).json<Status>().organizations ?? []
    expect(organization).toMatchObject({
      receives_webhooks: true,
      last_day: { cycles: 2, builds_missing: 2, jobs_healed: 1, builds_completed: 103, jobs_in_flight: 429 },
    })
    await database.db.delete(cycles)
    await database.db.delete(builds)
  })

  it('lists failing work, and mentions it in the headline if it keeps failing', async () => {
    const built = await build()
    const pageOf = async () => (await built.inject('/')).body
    expect(await pageOf()).toContain('Nothing is waiting to be retried.')
    const hour = new Date(Date.now() - HOUR)
    await recordFailure(database.db, { kind: 'window', organizationId: acme, subject: 'May' }, new Error('504'), hour)
    const units = ['delivery', 'rollup_day', 'orphans', 'replica'] as const
    for (const kind of units) {
      const unit = { kind, organizationId: null, subject: `a ${kind}` }
      await recordFailure(database.db, unit, new Error(`The ${kind} failed.`), new Date())
    }
    await until(async () => !(await pageOf()).includes('Nothing is waiting'), 'the page has read them')
    const body = await pageOf()
    expect(body).toContain('Part of the history<small>May · acme</small>')
    for (const kind of units) expect(body).toContain(`The ${kind} failed.`)
    expect(body).toContain('1 try<small>next try is due</small>')
    expect(body).toContain('1 unit of work keeps failing.')
    const { failing } = (await built.inject('/status')).json<Status>()
    expect(failing).toMatchObject({
      all: 5,
      lasting: 1,
      shown: [{ kind: 'window', organization: 'acme', tries: 1 }, {}, {}, {}, {}],
    })
  })

  it('opens a failed delivery to its error and its payload without secrets, whatever they hold', async () => {
    const payload = JSON.stringify({ event: 'ping', build: { env: { A: 'hunter2' }, message: nasty } })
    const [row] = await database.db
      .insert(deliveries)
      .values({ ...failed(nasty, nasty), event: nasty, payload })
      .returning()
    const built = await build()
    await until(async () => (await built.inject('/')).body.includes(`href="/deliveries/${row?.id}"`), 'it is linked')
    const { body } = await built.inject(`/deliveries/${row?.id}`)
    expect(body).toContain('after 0 tries')
    expect(body).toContain('&#60;img src=x')
    expect(body).not.toMatch(/<img|<script|hunter2/)
    expect(body).toContain('action="/actions/replay"')
    for (const id of ['0', '-1', '99999999', 'x']) {
      expect((await built.inject(`/deliveries/${id}`)).statusCode).toBe(404)
    }
  })

  it('has pages of all syncs and audits, and of what people did', async () => {
    const ran = (minutes: number) => ({
      organization_id: acme,
      kind: minutes % 10 === 0 ? ('audit' as const) : ('hot' as const),
      started_at: new Date(Date.now() - minutes * 60_000),
      error: minutes === 119 ? nasty : null,
    })
    await database.db.insert(cycles).values(Array.from({ length: 120 }, (_, index) => ran(120 - index)))
    const built = await build()
    const seenOn = async (path: string): Promise<number> => {
      const { body } = await built.inject(path)
      expect(body).not.toContain('<img')
      const next = /href="([^"]*)" rel="next"/.exec(body)?.[1]
      return (body.match(/<td>(sync|audit)<\/td>/g) ?? []).length + (next ? await seenOn(next) : 0)
    }
    expect([await seenOn('/history'), await seenOn('/history/audits')]).toEqual([120, 12])
    expect((await built.inject('/history?before=nonsense')).statusCode).toBe(200)
    await built.inject(act('replay', { failed: 'all' }))
    expect((await built.inject('/history/actions')).body).toContain('POST /actions/replay<small>failed=all</small>')
    await database.db.delete(cycles)
  })

  it('shows the webhooks of the day: how many, how soon applied, how many waited', async () => {
    const quarter = 15 * 60_000
    const start = (Math.floor(Date.now() / quarter) - 8) * quarter
    const at = (ms: number) => new Date(start + ms)
    const one = (key: string, received: number, applied: number | undefined, attempts = 1) => ({
      key,
      event: 'ping',
      received_at: at(received),
      observed_at: at(received),
      attempts,
      ...(applied === undefined ? {} : { status: 'applied' as const, applied_at: at(applied) }),
    })
    await database.db
      .insert(deliveries)
      .values([
        one('quick', 1_000, 1_500),
        one('slow', 2_000, 2 * quarter + 1_000),
        one('replayed', 3_000, 7 * quarter, 2),
        one('waits', quarter, undefined, 0),
      ])
    const built = await build()
    const day = (await built.inject('/status')).json<Status>().webhook_day ?? []
    expect(day).toHaveLength(96)
    const from = day.findIndex((part) => Date.parse(String(part.from)) === start)
    expect(day.slice(from, from + 3)).toMatchObject([
      { received: 3, waiting: 1, delay_median: expect.closeTo((0.5 + 2 * 900 - 1) / 2, 1) },
      { received: 1, waiting: 2, delay_median: null },
      { received: 0, waiting: 1, delay_median: null },
    ])
    const { body } = await built.inject('/')
    expect(body).toContain('aria-label="Webhook-to-row delay. 96 quarters of an hour. slowest 5 %')
    expect(body).toContain('aria-label="Webhooks waiting to be applied. 96 quarters of an hour. waiting: at most 2."')
  })

  it('shows the claim of each organization', async () => {
    const built = await build()
    const pageOf = async () => (await built.inject('/')).body.replace(/<[^>]+>/g, '')
    expect(await pageOf()).toMatch(
      /Builds complete from [-\d]+ [:\d]+ UTC as of \dm( \d+s)? ago, jobs as of \dm( \d+s)? ago;/,
    )
    expect(await pageOf()).toMatch(
      /0 of 1 pipeline complete over the wanted history; pipelines listed \dm( \d+s)? ago; 0 exceptions\./,
    )
    const later = { id: crypto.randomUUID(), organization_id: acme, slug: 'docs', ...seen }
    await database.db.insert(pipelines).values(later)
    const listed = { pipeline_id: later.id, organization_id: acme, listed_since: new Date() }
    await database.db.insert(pipeline_coverage).values(listed)
    await until(
      async () => (await pageOf()).includes('Builds of 1 of 2 pipelines complete as of'),
      'one more is listed',
    )
    expect(await pageOf()).toMatch(/Healthy: 1 of 2 pipelines are verified up to \dm( \d+s)? ago/)
    await database.db.delete(pipeline_coverage).where(eq(pipeline_coverage.pipeline_id, later.id))
    await database.db.delete(pipelines).where(eq(pipelines.id, later.id))
  })

  it('tells nothing that a link to it brings along', async () => {
    const { body } = await (await build()).inject(`/?done=replay&applied=2&failed=${encodeURIComponent(nasty)}&x=phish`)
    expect(body).toContain('Replayed: 2 applied, 0 ignored, 0 failed again.')
    expect(body).not.toMatch(/phish|<img/)
  })

  it('replays failed deliveries, for a form by leading back, for a machine with what came of it', async () => {
    const rows = await database.db
      .insert(deliveries)
      .values([failed('a'), failed('b'), failed('c')])
      .returning()
    const built = await build()
    const one = await built.inject({ ...act('replay', {}, form), payload: `id=${rows[0]?.id}` })
    expect([one.statusCode, one.headers.location]).toEqual([
      303,
      expect.stringMatching(/^\/\?done=replay&running=false&applied=\d&ignored=\d&failed=0/),
    ])
    const all = await built.inject(act('replay', { failed: 'all' }))
    expect(all.json()).toMatchObject({ done: 'replay', running: false, failed: 0 })
    const left = await database.db.select().from(deliveries)
    expect(left.map(({ status }) => status)).toEqual(['applied', 'applied', 'applied'])
    expect((await built.inject(act('replay', { id: 999_999 }))).statusCode).toBe(404)
  })

  it('has cycles and spans put into the queue, and shows that they wait', async () => {
    const built = await build()
    expect((await built.inject(act('cycle', { organization: 'acme' }))).json()).toMatchObject({ organizations: 1 })
    expect((await built.inject(act('cycle', { organization: 'nobody' }))).statusCode).toBe(404)
    const asked = await built.inject(act('audit', { organization: acme, from: '2026-01-02', to: '2026-01-03' }))
    const span = { from: '2026-01-02T00:00:00.000Z', to: '2026-01-04T00:00:00.000Z' }
    expect(asked.json()).toEqual({ done: 'audit', organization: acme, ...span })
    expect((await built.inject('/status')).json<Status>().asked).toEqual([
      { job: { task: 'hot', organization: acme }, active: false },
      { job: { task: 'verify', organization: acme, ...span }, active: false },
    ])
    expect((await built.inject('/')).body).toContain('Audit of acme 2026-01-02 to 2026-01-04: <b>waiting')
  })

  it('takes a span from 2010 to tomorrow, and its form offers no other', async () => {
    const built = await build()
    const dayIn = (ms: number) => new Date(Date.now() + ms).toISOString().slice(0, 10)
    const ask = (from: string, to: string) => built.inject(act('audit', { organization: acme, from, to }))
    expect((await ask('2010-01-01', dayIn(DAY))).statusCode).toBe(200)
    const beyond = await ask(dayIn(0), dayIn(2 * DAY))
    expect(beyond.json<{ error: string }>().error).toBe(
      `from and to must be between 2010-01-01 and ${dayIn(DAY)}. Check their years.`,
    )
    expect((await built.inject('/')).body).toContain(`min="2010-01-01" max="${dayIn(DAY)}" required`)
  })

  it.each(['yesterday', '2026-02-30', '2026-02-30T00:00:00Z'])('names %s as what is no date', async (from) => {
    const answer = await (await build()).inject(act('audit', { organization: acme, from, to: '2026-03-04' }))
    expect([answer.statusCode, answer.json()]).toEqual([
      400,
      { error: `from is "${from}", which is not a date. Write it like 2026-01-31 or 2026-01-31T12:00:00Z.` },
    ])
  })

  it('pauses and resumes a backfill', async () => {
    const built = await build()
    for (const _twice of [1, 2]) {
      expect((await built.inject(act('backfill/pause', { organization: acme }))).statusCode).toBe(200)
    }
    const [paused] = (await built.inject('/status')).json<Status>().organizations ?? []
    expect(paused?.backfill.paused_at).not.toBeNull()
    expect((await built.inject(act('backfill/resume', { organization: acme }))).json()).toMatchObject({ paused: false })
    expect(await database.db.select().from(pauses)).toEqual([])
  })

  it.each<[string, string, object, number]>([
    ['an organization that it does not know', 'cycle', { organization: '0190a0b0-0000-7000-8000-00000000ffff' }, 404],
    ['an organization that it has no slug of', 'backfill/pause', { organization: "'; drop table" }, 404],
    ['an organization that is no text', 'backfill/pause', { organization: 7 }, 400],
    ['a span that ends before it begins', 'audit', { organization: acme, from: '2026-02-02', to: '2026-01-02' }, 400],
    ['a span with a mistyped end', 'audit', { organization: acme, from: '2026-01-02', to: '9999-12-31' }, 400],
    ['a span with a mistyped begin', 'audit', { organization: acme, from: '0202-01-02', to: '2026-01-02' }, 400],
    ['a span without an end', 'audit', { organization: acme, from: '2026-01-02' }, 400],
    ['a day that is none', 'audit', { organization: acme, from: '2026-01-02', to: '2026-11-31' }, 400],
    ['a delivery that is no number', 'replay', { id: 'all' }, 400],
    ['an action that is none', 'reboot', {}, 404],
  ])('refuses %s, with the reason', async (_what, name, payload, status) => {
    const answer = await (await build()).inject(act(name, payload))
    expect(answer.statusCode).toBe(status)
    expect(answer.json<{ error: string }>().error).toBeTruthy()
  })

  it.each<[string, Record<string, string>]>([
    ['another site', { ...form, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }],
    ['another port of this machine', { ...form, origin: 'http://127.0.0.1:3000', 'sec-fetch-site': 'same-site' }],
    ['a page without an origin', { ...form, origin: 'null' }],
    ['nobody knows where', { host: form.host, 'content-type': form['content-type'] }],
    ['a name of its own for this machine', { ...form, host: 'evil.example', origin: 'http://evil.example' }],
  ])('refuses a form from %s', async (_whence, headers) => {
    const built = await build()
    const answer = await built.inject({ ...act('backfill/pause', {}, headers), payload: `organization=${acme}` })
    expect(answer.statusCode).toBe(403)
    expect(await database.db.select().from(pauses)).toEqual([])
  })

  it('shows a person the form and a machine the fault while nobody has signed in', async () => {
    const built = await build(token)
    for (const url of ['/', '/queues/', '/schema', '/events']) {
      const person = await built.inject({ url, headers: browser })
      expect([person.statusCode, person.body.includes('action="/sign-in"')]).toEqual([401, true])
      const program = await built.inject({ url, headers: { accept: 'application/json' } })
      expect([program.statusCode, program.json<{ error: string }>().error]).toEqual([
        401,
        expect.stringContaining('Bearer'),
      ])
    }
    expect((await built.inject(act('cycle', {}))).statusCode).toBe(401)
    const bearer = { ...machine, authorization: `Bearer ${token}` }
    expect((await built.inject(act('cycle', {}, bearer))).statusCode).toBe(200)
  })

  it('begins a session that is short, hard to steal, and tells nothing of the token', async () => {
    lines.length = 0
    const built = await build(token)
    const signIn = { method: 'POST', url: '/sign-in', headers: form, payload: `token=${token}` } as const
    const answer = await built.inject(signIn)
    const cookie = String(answer.headers['set-cookie'])
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/'])
    expect(cookie).toMatch(/^buildkite_mirror_session=[\w-]{43}; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict$/)
    const overTls = await built.inject({
      ...signIn,
      headers: { ...form, host: 'm.example', origin: 'https://m.example' },
    })
    expect(String(overTls.headers['set-cookie'])).toMatch(/; Secure$/)
    const session = { cookie: cookie.split(';')[0] ?? '' }
    const page = await built.inject({ url: '/', headers: session })
    expect([page.statusCode, page.body.includes('Sign out')]).toEqual([200, true])
    const posted = await built.inject({ ...act('cycle', {}, { ...form, ...session }), payload: '' })
    expect(posted.statusCode).toBe(303)
    const crossSite = { ...form, ...session, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    expect((await built.inject({ ...act('cycle', {}, crossSite), payload: '' })).statusCode).toBe(403)
    expect(`${cookie}${page.body}${lines.join('')}`).not.toContain('hunter2')
    const out = await built.inject({ method: 'POST', url: '/sign-out', headers: { ...form, ...session }, payload: '' })
    expect(String(out.headers['set-cookie'])).toContain('Max-Age=0')
  })

  it('lets people sign in and press buttons behind a proxy that asks by another Host', async () => {
    const built = await build(token)
    const asked = { ...form, ...browser, host: 'mirror:8081', origin: 'https://ops.example.com' }
    const signIn = { method: 'POST', url: '/sign-in', payload: `token=${token}` } as const
    const answer = await built.inject({ ...signIn, headers: asked })
    expect([answer.statusCode, answer.headers.location]).toEqual([303, '/'])
    const cookie = String(answer.headers['set-cookie']).split(';')[0] ?? ''
    const posted = await built.inject({ ...act('cycle', {}, { ...asked, cookie }), payload: '' })
    expect(posted.statusCode).toBe(303)
    // A browser that does not say so, as without TLS: the page tells what to set.
    const { 'sec-fetch-site': _site, ...silent } = asked
    const refused = await built.inject({ ...signIn, headers: silent })
    expect(refused.statusCode).toBe(403)
    expect(refused.headers['content-type']).toContain('text/html')
    expect(refused.body).toContain('its Host header is mirror:8081')
    expect(refused.body).toContain('proxy_set_header Host $http_host')
    await built.close()
    // Without a token the same post is refused: the Host is all that tells a name made for us from our own.
    const open = await build()
    const rebound = { ...form, host: '127.0.0.1:8081', origin: 'http://evil.example' }
    expect((await open.inject({ ...act('cycle', {}, rebound), payload: '' })).statusCode).toBe(403)
  })

  it('takes no session that is over, forged, or of another token', async () => {
    let now = Date.now()
    const built = await build(token, () => now)
    const begun = async (other: string, at: number) => {
      const sessions = openSessions({ admin: other, reader: undefined }, database.db, log, () => at)
      return (await sessions.begin('admin', false)).cookie.split(';')[0] ?? ''
    }
    const enter = async (cookie: string) => (await built.inject({ url: '/status', headers: { cookie } })).statusCode
    const good = await begun(token, now)
    expect(await enter(good)).toBe(200)
    expect(await enter(`other=1; ${good}`)).toBe(200)
    expect(await enter(await begun('another', now))).toBe(401)
    const [name, value = ''] = good.split('=')
    const [row] = await database.db.select().from(sessions)
    for (const forged of [row?.key, `${value}A`, value.slice(1), value.toLowerCase(), '', '..', "'; select 1"]) {
      expect(await enter(`${name}=${forged}`)).toBe(401)
    }
    now += 8 * HOUR + 1
    expect(await enter(good)).toBe(401)
  })

  it('slows wrong tokens in the form, and takes the right one all the while, for a stranger must lock nobody out', async () => {
    const built = await build(token)
    const guess = (payload: string) =>
      built.inject({ method: 'POST', url: '/sign-in', headers: { ...form, ...browser }, payload })
    for (let n = 0; n < 10; n++) expect((await guess(`token=${n}`)).statusCode).toBe(401)
    const tooMany = await guess('token=10')
    expect(tooMany.statusCode).toBe(429)
    expect(tooMany.headers['set-cookie']).toBeUndefined()
    expect(tooMany.body).toContain('Too many wrong tries')
    const right = await guess(`token=${token}`)
    expect([right.statusCode, right.headers.location]).toEqual([303, '/'])
    expect(String(right.headers['set-cookie'])).toMatch(/^buildkite_mirror_session=/)
  })

  it('slows wrong tokens in headers and forms together, while sessions and requests with the right token are answered', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const built = await build(token)
    const bear = (value: string) =>
      built.inject({ url: '/status', headers: { accept: '*/*', authorization: `Bearer ${value}` } })
    const tokens = { admin: token, reader: undefined }
    const { cookie } = await openSessions(tokens, database.db, log, Date.now).begin('admin', false)
    for (let n = 0; n < 5; n++) {
      expect((await bear(`guess ${n}`)).statusCode).toBe(401)
      const asked = { method: 'POST', url: '/sign-in', headers: form, payload: `token=${n}` } as const
      expect((await built.inject(asked)).statusCode).toBe(401)
    }
    const tooMany = await bear('one more')
    expect([tooMany.statusCode, tooMany.headers['retry-after']]).toEqual([429, '60'])
    expect(tooMany.json()).toEqual({ error: 'Too many wrong tries. The right token is still accepted.' })
    const signedIn = { cookie: cookie.split(';')[0] ?? '' }
    expect((await built.inject({ url: '/status', headers: signedIn })).statusCode).toBe(200)
    expect((await bear(token)).statusCode).toBe(200)
    vi.setSystemTime(Date.now() + 60_001)
    expect((await bear('after a minute')).statusCode).toBe(401)
  })

  it('gathers once for all who watch, and closes while they do', async () => {
    const built = await build()
    await built.listen({ host: '127.0.0.1', port: 0 })
    const address = built.server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    gathered = 0
    const texts = ['', '', '', '', '']
    const ended = texts.map(
      (_, index) =>
        new Promise((resolve) => {
          const asking = get({ host: '127.0.0.1', port, path: '/events' }, (answer) => {
            expect(answer.headers['content-type']).toContain('text/event-stream')
            answer.on('data', (chunk) => (texts[index] += String(chunk)))
            answer.on('close', resolve)
          })
          asking.on('error', resolve)
        }),
    )
    await until(() => texts.every((text) => text.includes('event: facts')), 'all listeners get the event')
    expect(gathered).toBeLessThanOrEqual(3)
    expect(texts[0]).toContain('"id":"health"')
    await built.close()
    await Promise.all(ended)
  })

  it('shows the queues on a board that can only look', async () => {
    const built = await build()
    const page = await built.inject('/queues/')
    expect(page.statusCode).toBe(200)
    expect(page.body).not.toMatch(/<%|https:\/\//)
    const script = /src="(static\/js\/main[^"]+)"/.exec(page.body)?.[1]
    expect((await built.inject(`/queues/${script}`)).headers['content-type']).toContain('javascript')
    for (const path of ['..%2f..%2fpackage.json', '../package.json', '%2e%2e/index.ejs', 'nothing.js']) {
      expect((await built.inject(`/queues/static/${path}`)).statusCode).toBe(404)
    }
    const { queues: shown } = (await built.inject('/queues/api/queues')).json<{
      queues: { name: string; readOnlyMode: boolean }[]
    }>()
    expect(shown.map(({ name, readOnlyMode }) => [name, readOnlyMode])).toEqual([
      ['deliveries', true],
      ['reconcile', true],
      ['backfill', true],
    ])
    expect((await built.inject('/queues/api/redis/stats')).statusCode).toBe(200)
    for (const path of ['queues/reconcile/pause', 'queues/reconcile/empty', 'queues/pause', 'queues/reconcile/add']) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH'] as const) {
        expect((await built.inject({ method, url: `/queues/api/${path}` })).statusCode).toBe(404)
      }
    }
  })
})
