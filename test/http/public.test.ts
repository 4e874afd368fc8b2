import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { buildPublicApp } from '../../src/http/public.ts'
import type { Probes } from '../../src/http/status/probes.ts'
import { problem } from '../../src/reconcile/issue.ts'
import { createLog } from '../../src/runtime/log.ts'
import { webhookRoute } from '../../src/webhooks/receive/receive.ts'
import { healthy } from './sample.ts'

const log = createLog('silent')
let app: FastifyInstance

afterEach(() => app.close())

async function build(facts: Partial<Probes> = {}, receives = true) {
  const parts = {
    secrets: ['secret'],
    auth: 'signature' as const,
    toleranceMs: 300_000,
    storeEnv: false,
    inbox: { keep: async () => 'new' as const },
    log,
  }
  app = await buildPublicApp({
    log,
    webhooks: receives ? (own) => webhookRoute(own, parts) : undefined,
    facts: async () => ({ ...healthy, ...facts }),
  })
}

describe('the public listener', () => {
  it('says that it lives', async () => {
    await build()
    const answer = await app.inject('/health/live')
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'ok' }])
  })

  it('says that it is ready, and no more', async () => {
    await build()
    const answer = await app.inject('/health/ready')
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'ok' }])
    expect(answer.headers).not.toHaveProperty('x-powered-by')
  })

  it('stays in service, degraded, while the API token is refused, and keeps the reason to itself', async () => {
    await build({ problems: [problem('token', 'invalid_credentials', 'The token of acme is refused.')] })
    const answer = await app.inject('/health/ready')
    expect([answer.statusCode, answer.json()]).toEqual([200, { status: 'degraded' }])
  })

  it('is unavailable when it can keep a delivery nowhere', async () => {
    await build({ database: { ok: false, why: 'x' }, queue: { ok: false, why: 'y' } })
    const answer = await app.inject('/health/ready')
    expect([answer.statusCode, answer.json()]).toEqual([503, { status: 'unavailable' }])
  })

  it('gives the webhook route its own body parser, limits and refusals', async () => {
    await build()
    const post = (type: string, signature?: string) =>
      app.inject({
        method: 'POST',
        url: '/webhooks/buildkite',
        headers: { 'content-type': type, ...(signature && { 'x-buildkite-signature': signature }) },
        payload: '{}',
      })
    expect((await post('application/json')).statusCode).toBe(401)
    expect((await post('text/plain', sign('{}', 'secret', Date.now()))).statusCode).toBe(415)
  })

  it('answers floods of unauthenticated webhooks with 429 after sixty a minute', async () => {
    await build()
    const codes = new Set<number>()
    for (let n = 1; n <= 61; n++) {
      const answer = await app.inject({
        method: 'POST',
        url: '/webhooks/buildkite',
        headers: { 'content-type': 'application/json' },
        payload: '{}',
      })
      codes.add(answer.statusCode)
      if (n === 60) expect([...codes]).toEqual([401])
    }
    expect([...codes]).toEqual([401, 429])
  })

  it('has nothing else, and answers those who keep looking with 429', async () => {
    await build()
    for (const url of ['/', '/status', '/metrics', '/queues', '/health']) {
      const answer = await app.inject(url)
      expect([url, answer.statusCode, answer.json()]).toEqual([url, 404, { error: 'Not found.' }])
    }
    for (let n = 0; n < 55; n++) expect((await app.inject('/wp-login.php')).statusCode).toBe(404)
    expect((await app.inject('/wp-login.php')).statusCode).toBe(429)
    expect((await app.inject('/health/ready')).statusCode).toBe(200)
  })

  it.each(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const)(
    'answers %s only where it has something, and elsewhere names nothing',
    async (method) => {
      await build()
      const there: Record<string, readonly string[]> = {
        '/webhooks/buildkite': ['POST'],
        '/health/live': ['GET', 'HEAD'],
        '/health/ready': ['GET', 'HEAD'],
      }
      const other = [
        '/',
        '/status',
        '/metrics',
        '/schema',
        '/queues',
        '/admin',
        '/webhooks',
        '/webhooks/buildkite/x',
        '/.env',
      ]
      for (const url of [...Object.keys(there), ...other]) {
        if (there[url]?.includes(method)) continue
        const answer = await app.inject({ method, url })
        expect([url, answer.statusCode]).toEqual([url, 404])
        expect(answer.body).toBe(method === 'HEAD' ? answer.body : '{"error":"Not found."}')
        expect(Object.keys(answer.headers)).not.toContain('allow')
      }
    },
  )

  it('has no webhook route in a process that does not receive', async () => {
    await build({}, false)
    expect((await app.inject({ method: 'POST', url: '/webhooks/buildkite' })).statusCode).toBe(404)
  })

  it('answers a fault of its own with 500 and no detail', async () => {
    app = await buildPublicApp({
      log,
      webhooks: undefined,
      facts: () => Promise.reject(new Error('password is hunter2')),
    })
    const answer = await app.inject('/health/ready')
    expect(answer.statusCode).toBe(500)
    expect(answer.body).not.toContain('hunter2')
  })

  it('sets every timeout', async () => {
    await build()
    const { server } = app
    expect([server.requestTimeout, server.headersTimeout, server.timeout, server.keepAliveTimeout]).toEqual([
      10_000, 5_000, 30_000, 65_000,
    ])
  })
})
