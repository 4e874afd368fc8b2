import { createHmac, hkdfSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Agent, get, request } from 'node:http'
import net from 'node:net'
import { asc } from 'drizzle-orm'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { audit_log, organizations, pauses, sessions } from '../../src/database/schema.ts'
import { createMeters } from '../../src/http/metrics/registry.ts'
import { buildPrivateApp } from '../../src/http/private.ts'
import { runProbes } from '../../src/http/status/probes.ts'
import { readStatus } from '../../src/http/status/status.ts'
import { openQueues, type Queues } from '../../src/queue/queues.ts'
import { parseRange } from '../../src/runtime/ip-range.ts'
import { createLog } from '../../src/runtime/log.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'
import { everything, watchedOf } from './watched.ts'

const acme = '0190a0b0-0000-7000-8000-000000000001'
const adminToken = 'canary-admin-token'
const readerToken = 'canary-reader-token'
/** What actions put into the queue. */
const asked: unknown[] = []
/** Called before an action puts something into the queue. */
let beforeAsk = async () => {}
const lines: string[] = []
const log = createLog('info', { write: (line) => void lines.push(line) })

let home: TestDatabase
let proxy: TcpProxy
let database: Database
let queues: Queues
let running: Listener[] = []

interface Listener {
  readonly app: FastifyInstance
  readonly port: number
  readonly routes: readonly RouteOptions[]
  metrics(): Promise<string>
}

beforeAll(async () => {
  home = await createTestDatabase()
  proxy = await startTcpProxy(home.url, 5432)
  database = openDatabase(proxy.url, { name: 'access test' })
  queues = await openQueues({ redisUrl: undefined, databaseUrl: home.url }, createLog('silent'))
  const now = new Date()
  const seen = { observed_at: now, first_seen_at: now, first_seen_via: 'rest', changed_at: now } as const
  await database.db.insert(organizations).values({ id: acme, slug: 'acme', ...seen })
})

afterEach(async () => {
  for (const { app } of running) await app.close()
  running = []
  lines.length = 0
  asked.length = 0
  beforeAsk = async () => {}
  for (const table of [pauses, sessions, audit_log]) await database.db.delete(table)
})

afterAll(async () => {
  await queues.close(2_000)
  await database.close()
  await proxy.close()
  await home.drop()
})

/** The private listener of one process, as the service builds it. */
async function listen(tokens: { adminToken?: string; readerToken?: string } = {}, proxies: string[] = []) {
  const routes: RouteOptions[] = []
  const collect = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    fastify.addHook('onRoute', (route) => void routes.push(route))
  }
  const watched = watchedOf({ database, queues, coverage: async () => [] }, ['web'])
  const meters = createMeters()
  subscribe('fastify.initialization', collect)
  const app = await buildPrivateApp({
    log,
    config: {
      adminToken,
      readerToken,
      ...tokens,
      trustProxy: proxies.flatMap((text) => parseRange(text) ?? []),
    },
    status: async () => readStatus(watched, await runProbes(watched)),
    meters,
    catalog: async () => [],
    actions: {
      db: database.db,
      queues: {
        async ask(job) {
          await beforeAsk()
          asked.push(job)
        },
      },
      apply: { filter: everything, storeEnv: false, log },
      log,
      clock: Date.now,
      closing: new AbortController().signal,
    },
    explore: { db: database.db },
    board: () => queues.board(),
  })
  unsubscribe('fastify.initialization', collect)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const listener: Listener = { app, port, routes, metrics: async () => (await meters.page()).body }
  running.push(listener)
  return listener
}

interface Sent {
  method?: string
  headers?: Record<string, string>
  body?: string
  /** The address to send from. */
  from?: string
}

const agent = new Agent({ keepAlive: true, maxSockets: 8 })
afterAll(() => agent.destroy())

/** Sends a request over a real connection. */
function send({ port }: Listener, path: string, { method = 'GET', headers = {}, body, from = '127.0.0.1' }: Sent = {}) {
  return new Promise<{ status: number; body: string; cookie: string }>((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const options = {
      host: '127.0.0.1',
      port,
      path,
      method,
      headers: { ...headers, ...length },
      localAddress: from,
      agent,
    }
    const sent = request(options, (answer) => {
      let text = ''
      answer.on('data', (chunk) => (text += String(chunk)))
      const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text, cookie }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Follows the live updates of the status page. */
function openStream({ port }: Listener, cookie: string) {
  let text = ''
  let hasEnded = false
  get({ host: '127.0.0.1', port, path: '/events', headers: { cookie } }, (answer) => {
    answer.on('data', (chunk) => (text += String(chunk)))
    answer.on('close', () => {
      hasEnded = true
    })
  })
  return { text: () => text, hasEnded: () => hasEnded }
}

const json = { 'content-type': 'application/json', accept: 'application/json' }
const post = (body: object, headers: Record<string, string> = {}): Sent => ({
  method: 'POST',
  headers: { ...json, ...headers },
  body: JSON.stringify(body),
})
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const signIn = async (listener: Listener, token = adminToken) =>
  (await send(listener, '/sign-in', post({ token }))).cookie
const rows = () => database.db.select().from(audit_log).orderBy(asc(audit_log.id))
const entries = async () =>
  (await rows()).map(({ who, via, request, result, times }) => `${who} ${via} ${request} ${result} ${times}`)

const connections = ({ server }: FastifyInstance) =>
  new Promise<number>((resolve, reject) => server.getConnections((error, n) => (error ? reject(error) : resolve(n))))

/** A request for each route and method that the listener has. */
function requestsOf({ routes }: Listener): { method: string; path: string }[] {
  return routes.flatMap(({ method, url }) =>
    [method].flat().map((one) => ({ method: one, path: url.replaceAll(/:\w+/g, 'reconcile').replace('*', 'x') })),
  )
}

describe('the audit log', () => {
  it('says who pressed which button, by session and by token, and never a token', async () => {
    const listener = await listen()
    const cookie = await signIn(listener)
    expect((await send(listener, '/actions/backfill/pause', post({ organization: acme }, { cookie }))).status).toBe(200)
    await send(listener, '/actions/cycle', post({}, bearer(adminToken)))
    await send(listener, '/actions/replay', post({ id: 999 }, bearer(adminToken)))
    await send(listener, '/status', { headers: { cookie } })
    await send(listener, '/sign-out', post({}, { cookie }))
    expect(await entries()).toEqual([
      'admin form POST /sign-in done 1',
      'admin session POST /actions/backfill/pause done 1',
      'admin bearer POST /actions/cycle done 1',
      'admin bearer POST /actions/replay failed 1',
      'admin session POST /sign-out done 1',
    ])
    const [begun, paused, , replayed] = await rows()
    expect(begun).toMatchObject({ address: '127.0.0.1', target: null, session: expect.stringMatching(/^[\w-]{8}$/) })
    expect(paused).toMatchObject({ session: begun?.session, target: `organization=${acme}` })
    expect(replayed).toMatchObject({ session: null, target: 'id=999' })
    const logged = lines.filter((line) => line.includes('"audit"'))
    expect(logged).toHaveLength(5)
    expect(logged[1]).toContain(`"target":"organization=${acme}"`)
    expect(await listener.metrics()).toContain(
      'buildkite_mirror_audited_requests_total{request="POST /actions/cycle",who="admin",result="done"} 1',
    )
    const said = `${lines.join('')}${JSON.stringify(await rows())}${JSON.stringify(await database.db.select().from(sessions))}`
    expect(said).not.toMatch(/canary/)
    expect(said).not.toContain(cookie.split('=')[1])
  })

  it('records each wrong token, wherever it was sent', async () => {
    const listener = await listen()
    for (const path of ['/', '/status', '/metrics', '/queues/', '/queues/api/queues', '/nowhere']) {
      expect((await send(listener, path, { headers: bearer('wrong') })).status).toBe(401)
    }
    await send(listener, '/sign-in', post({ token: 'wrong' }))
    await send(listener, '/', { headers: { cookie: `buildkite_mirror_session=${'x'.repeat(43)}` } })
    await send(listener, '/actions/cycle', post({}))
    await send(listener, '/')
    expect(await entries()).toEqual([
      'unknown bearer GET / refused 1',
      'unknown bearer GET /status refused 1',
      'unknown bearer GET /metrics refused 1',
      'unknown bearer GET /queues/ refused 1',
      'unknown bearer GET /queues/api/queues refused 1',
      'unknown bearer GET * refused 1',
      'unknown form POST /sign-in refused 1',
      'unknown session GET / refused 1',
      'unknown none POST /actions/cycle refused 1',
    ])
  })

  it('has the address that a trusted proxy forwards, and no other', async () => {
    const forwarded = { headers: { ...bearer('wrong'), 'x-forwarded-for': '203.0.113.7' } }
    await send(await listen({}, ['127.0.0.0/8']), '/', forwarded)
    await send(await listen(), '/', forwarded)
    expect((await rows()).map(({ address }) => address)).toEqual(['203.0.113.7', '127.0.0.1'])
  })

  it('has the action of a client that hangs up at once', async () => {
    const { app, port } = await listen()
    const socket = net.connect(port, '127.0.0.1')
    const head = [
      'POST /actions/cycle HTTP/1.1',
      'host: 127.0.0.1',
      `authorization: Bearer ${adminToken}`,
      'content-type: application/json',
      'content-length: 2',
    ]
    beforeAsk = async () => {
      socket.destroy()
      await until(async () => (await connections(app)) === 0, 'the client is gone')
    }
    socket.write(`${head.join('\r\n')}\r\n\r\n{}`)
    await until(async () => (await rows()).length > 0, 'the action is in the audit log')
    expect(await entries()).toEqual(['admin bearer POST /actions/cycle done 1'])
  })

  it('stays short in a flood from a thousand addresses, and counts all of it', async () => {
    const listener = await listen({}, ['127.0.0.0/8'])
    for (let n = 0; n < 1_000; n += 50) {
      const from = (i: number) => ({ ...bearer('wrong'), 'x-forwarded-for': `198.51.${(n + i) >> 8}.${(n + i) & 255}` })
      await Promise.all(Array.from({ length: 50 }, (_, i) => send(listener, '/', { headers: from(i) })))
    }
    expect((await rows()).length).toBeLessThan(60)
    expect(lines.length).toBeLessThan(70)
    await listener.app.close()
    const all = await rows()
    expect(all.reduce((sum, { times }) => sum + times, 0)).toBe(1_000)
    expect(all.at(-1)).toMatchObject({ address: 'others', request: '*', times: expect.any(Number) })
    expect(all.length).toBeLessThan(70)
  })
})

describe('an attacker who', () => {
  it('guesses 3,000 tokens is slowed, counted and logged in a few lines, and disturbs nobody elsewhere', async () => {
    const listener = await listen()
    const paths = ['/', '/metrics', '/queues/', '/actions/cycle']
    const guess = (n: number): [string, Sent] => {
      if (n % 5 === 4) return ['/sign-in', { ...post({ token: `guess ${n}` }), from: '127.0.0.2' }]
      const method = n % 5 === 3 ? 'POST' : 'GET'
      return [paths[n % 5] ?? '/', { method, headers: bearer(`guess ${n}`), from: '127.0.0.2' }]
    }
    const answers = new Map<number, number>()
    for (let n = 0; n < 3_000; n += 20) {
      const batch = Array.from({ length: 20 }, (_, i) => send(listener, ...guess(n + i)))
      for (const { status } of await Promise.all(batch)) answers.set(status, (answers.get(status) ?? 0) + 1)
      if (n % 1_000 !== 0) continue
      expect((await send(listener, '/status', { headers: bearer(readerToken), from: '127.0.0.3' })).status).toBe(200)
      const mistyped = { ...post({ token: 'mistyped' }), from: '127.0.0.3' }
      expect((await send(listener, '/sign-in', mistyped)).status).toBe(401)
    }
    expect([...answers.keys()].toSorted()).toEqual([401, 429])
    // Ten a minute, over the minutes that a busy machine may take.
    expect(answers.get(401)).toBeLessThan(100)
    const metrics = await listener.metrics()
    const counted = [...metrics.matchAll(/tokens_refused_total\{via="\w+"\} (\d+)/g)].map(([, n]) => Number(n))
    expect(counted.reduce((sum, n) => sum + n, 0)).toBe(3_003)
    await listener.app.close()
    const all = await rows()
    expect(all.reduce((sum, { times }) => sum + times, 0)).toBe(3_003)
    expect(all.length).toBeLessThan(60)
    expect(lines.length, lines[200]).toBeLessThan(60)
    expect(new Set(all.map(({ address }) => address))).toEqual(new Set(['127.0.0.2', '127.0.0.3']))
    expect(`${lines.join('')}${JSON.stringify(all)}`).not.toContain('guess')
  })

  it('copied a cookie has nothing after the sign-out: in no replica, after no restart, and no open stream', async () => {
    const [one, other] = [await listen(), await listen()]
    const cookie = await signIn(one)
    const enter = async (listener: Listener) => (await send(listener, '/status', { headers: { cookie } })).status
    expect([await enter(one), await enter(other)]).toEqual([200, 200])
    const stream = openStream(other, cookie)
    await until(() => stream.text().includes('event: facts'), 'the stream has begun')
    await send(one, '/sign-out', post({}, { cookie }))
    expect([await enter(one), await enter(other), await enter(await listen())]).toEqual([401, 401, 401])
    await until(() => stream.hasEnded(), 'the stream has ended')
  })

  it('kept a cookie of an older ADMIN_TOKEN has nothing, and readers stay signed in', async () => {
    const before = await listen()
    const [admin, reader] = [await signIn(before), await signIn(before, readerToken)]
    const after = await listen({ adminToken: 'canary-another' })
    const enter = async (cookie: string) => (await send(after, '/status', { headers: { cookie } })).status
    expect([await enter(admin), await enter(reader)]).toEqual([401, 200])
  })

  it('guesses a weak token from its cookie or from its row learns nothing', async () => {
    const weak = 'summer0042'
    const cookie = (await signIn(await listen({ adminToken: weak }), weak)).split('=')[1] ?? ''
    expect(cookie).toMatch(/^[\w-]{43}$/)
    const [row] = await database.db.select().from(sessions)
    const words = Array.from({ length: 100 }, (_, n) => `summer${String(n).padStart(4, '0')}`)
    expect(words).toContain(weak)
    const macOf = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest('base64url')
    // The cookie of earlier versions had two parts and a MAC over them, with this key.
    const [end, random, mac] = cookie.split('.')
    const oldKey = (word: string) => Buffer.from(hkdfSync('sha256', word, '', 'buildkite-mirror session', 32))
    expect(words.filter((word) => macOf(oldKey(word), `${end}.${random}`) === mac)).toEqual([])
    const seen = [cookie, row?.key]
    const derived = (word: string) => [word, `admin ${word}`].flatMap((text) => [macOf(text, ''), macOf('', text)])
    expect(words.filter((word) => derived(word).some((text) => seen.includes(text)))).toEqual([])
    // Only both together name the token: the row is the cookie's, for this token.
    expect(row?.key).toBe(macOf(cookie, `admin ${weak}`))
  })

  it('makes a browser post from another site gets no action done', async () => {
    const listener = await listen()
    const cookie = await signIn(listener)
    const posts = requestsOf(listener).filter(({ method }) => !['GET', 'HEAD'].includes(method))
    expect(posts.length).toBeGreaterThanOrEqual(7)
    for (const foreign of [
      { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
      { origin: 'null' },
      { 'sec-fetch-site': 'same-site' },
    ]) {
      for (const { method, path } of posts) {
        const headers = { cookie, 'content-type': 'application/x-www-form-urlencoded', ...foreign }
        const sent = { method, headers, body: `organization=${acme}` }
        expect([path, (await send(listener, path, sent)).status]).toEqual([path, 403])
      }
    }
    expect([asked, await database.db.select().from(pauses)]).toEqual([[], []])
    expect(await entries()).toContain('unknown none POST /actions/replay refused 1')
  })
})

describe('READER_TOKEN', () => {
  const acts = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

  it('refuses every request but looking, on every route that there is', async () => {
    const listener = await listen()
    const all = requestsOf(listener)
    expect(all).toContainEqual({ method: 'POST', path: '/actions/replay' })
    expect(all).toContainEqual({ method: 'GET', path: '/metrics' })
    expect(all).toContainEqual({ method: 'GET', path: '/queues/api/queues' })
    const session = await signIn(listener, readerToken)
    const paths = [...new Set(all.map(({ path }) => path))].filter((path) => !path.startsWith('/sign-'))
    for (const as of [{ cookie: session }, bearer(readerToken)]) {
      for (const path of paths) {
        for (const method of acts) {
          const sent: Sent = {
            ...post({ organization: acme, failed: 'all', from: '2026-01-01', to: '2026-01-02' }, as),
            method,
          }
          const { status, body } = await send(listener, path, sent)
          expect([method, path, status]).toEqual([method, path, 403])
          expect(JSON.parse(body)).toEqual({ error: 'READER_TOKEN may look, not act. Use ADMIN_TOKEN.' })
        }
      }
      for (const { method, path } of all.filter(
        // The event stream never ends, and the audit log says who did what.
        (one) => ['GET', 'HEAD'].includes(one.method) && !['/events', '/history/actions'].includes(one.path),
      )) {
        const { status } = await send(listener, path, { method, headers: as })
        expect([401, 403, 405], `${method} ${path}`).not.toContain(status)
      }
    }
    expect([asked, await database.db.select().from(pauses)]).toEqual([[], []])
    expect(await entries()).toContain('reader session POST /actions/backfill/pause refused 1')
    expect((await send(listener, '/sign-out', post({}, { cookie: session }))).status).toBe(200)
  })

  it('shows a delivery without its payload, and not who did what', async () => {
    await database.db.execute(`insert into sync.deliveries (key, event, received_at, observed_at, failed_at, status, error, payload)
      values ('p', 'ping', now(), now(), now(), 'failed', 'no', '{"marker": "of the payload"}')`)
    const [row] = (await database.db.execute<{ id: string }>(`select id from sync.deliveries where key = 'p'`)).rows
    const listener = await listen()
    const as = (token: string, path: string) => send(listener, path, { headers: bearer(token) })
    const [admin, reader] = [adminToken, readerToken].map((token) => as(token, `/deliveries/${row?.id}`))
    expect((await admin)?.body).toContain('of the payload')
    expect((await admin)?.body).toContain('action="/actions/replay"')
    expect((await reader)?.body).toContain('READER_TOKEN does not show payloads')
    expect((await reader)?.body).not.toMatch(/of the payload|action="\/actions/)
    expect((await as(readerToken, '/history')).status).toBe(200)
    expect((await as(readerToken, '/history/actions')).status).toBe(403)
    await database.db.execute(`delete from sync.deliveries where key = 'p'`)
  })

  it('shows the page and its live pieces without buttons, to readers alone', async () => {
    await database.db.execute(`insert into sync.deliveries (key, event, received_at, observed_at, failed_at, status, error, payload)
      values ('a', 'ping', now(), now(), now(), 'failed', 'no', '{}')`)
    const listener = await listen()
    const [admin, reader] = [await signIn(listener), await signIn(listener, readerToken)]
    const pageOf = async (cookie: string) => (await send(listener, '/', { headers: { cookie } })).body
    expect(await pageOf(admin)).toContain('Replay all 1')
    const shown = await pageOf(reader)
    expect(shown).toContain('Failed deliveries')
    expect(shown).toContain('action="/sign-out"')
    expect(shown).not.toContain('action="/actions/')
    const [toAdmin, toReader] = [admin, reader].map((cookie) => openStream(listener, cookie))
    for (const stream of [toAdmin, toReader])
      await until(() => stream?.text().includes('Failed deliveries'), 'an update came')
    expect(toAdmin?.text()).toContain('Replay all 1')
    expect(toReader?.text()).not.toContain('/actions/')
    await database.db.execute('delete from sync.deliveries')
  })
})

describe('while Postgres does not answer,', () => {
  it('people who are signed in still see the page, others sign in, and a sign-out says that it did not happen', async () => {
    const listener = await listen()
    const cookie = await signIn(listener)
    await proxy.cut()
    try {
      const enter = async (one: string) => (await send(listener, '/', { headers: { cookie: one } })).status
      expect(await enter(cookie)).toBe(200)
      expect(await enter(`buildkite_mirror_session=${'x'.repeat(43)}`)).toBe(401)
      const late = await signIn(listener)
      expect(await enter(late)).toBe(200)
      expect(lines.join('')).toContain('A session is valid in this process only')
      expect(lines.join('')).toContain('Audit: POST /sign-in by admin done.')
      expect(lines.join('')).toContain('sync.audit_log lacks entries')
      const out = await send(listener, '/sign-out', post({}, { cookie }))
      expect([out.status, out.cookie]).toEqual([503, ''])
      expect(await enter(cookie)).toBe(200)
      await proxy.restore()
      await until(
        async () => (await send(listener, '/sign-out', post({}, { cookie }))).status === 200,
        'it is signed out',
      )
      expect([await enter(cookie), await enter(late)]).toEqual([401, 401])
    } finally {
      await proxy.restore()
    }
  })
})
