import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { verifySignature } from '../../src/buildkite/signature.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import type { Dispatch } from '../../src/simulator/webhooks/dispatch.ts'
import { until } from '../support/until.ts'

interface Received {
  event: string
  branch: string | undefined
  pipeline: string | undefined
  signed: boolean
  token: string | undefined
}

let server: Server
let url: string
let received: Received[] = []
let simulation: Simulation
let dispatch: Dispatch
let home: string

beforeEach(async () => {
  received = []
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const raw = Buffer.concat(chunks)
    const body = JSON.parse(raw.toString())
    const signature = request.headers['x-buildkite-signature']
    const verdict = verifySignature(raw, String(signature), ['the-token'], Date.now(), 300_000)
    received.push({
      event: String(request.headers['x-buildkite-event']),
      branch: body.build?.branch,
      pipeline: body.pipeline?.id,
      signed: verdict.ok,
      token: request.headers['x-buildkite-token']?.toString(),
    })
    response.writeHead(202).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/webhooks/buildkite`
  simulation = createSimulation({ seed: 8, pipelines: 3 })
  const api = await simulation.startApi()
  home = `${api.url}/organizations/acme/services`
  dispatch = simulation.startDispatch()
})
afterEach(async () => {
  await simulation.stop()
  await new Promise((closed) => server.close(closed))
})

async function ask(method: string, path: string, body?: unknown): Promise<{ status: number; id: string }> {
  const headers = { authorization: `Bearer ${demoToken.token}`, 'content-type': 'application/json' }
  const response = await fetch(home + path, { method, headers, body: JSON.stringify(body) ?? null })
  const { id } = (await response.json()) as { id: string }
  return { status: response.status, id }
}
const settings = { token: 'the-token', token_mode: 'signature', events: ['build.finished', 'job.finished'] }
const live = async () => {
  await simulation.play({ builds: 12, atOnce: 3 })
  await dispatch.settled()
}
it('a service that is registered gets a ping, and then signed webhooks of the events that it asks for', async () => {
  const { status } = await ask('POST', '', { provider: 'webhook', settings: { ...settings, url } })
  expect(status).toBe(201)
  await until(() => received.some(({ event }) => event === 'ping'), 'the ping has come')
  await live()
  expect(new Set(received.map(({ event }) => event))).toEqual(new Set(['ping', 'build.finished', 'job.finished']))
  expect(received.every(({ signed, token }) => signed && token === undefined)).toBe(true)
})

it('a service is sent only what its pipelines and branches let through, and nothing while disabled', async () => {
  const [pipeline] = simulation.truth.pipelines
  const scope = { scope: 'some_projects', scope_uuids: [pipeline?.id], branch_configuration: 'main' }
  const { id } = await ask('POST', '', { provider: 'webhook', ...scope, settings: { ...settings, url } })
  await live()
  const events = received.filter(({ event }) => event !== 'ping')
  expect(events.length).toBeGreaterThan(0)
  expect(events.every((one) => one.pipeline === pipeline?.id && one.branch === 'main')).toBe(true)
  await ask('PUT', `/${id}/disable`)
  const before = received.length
  await live()
  expect(received.length).toBe(before)
  await ask('PUT', `/${id}/enable`)
  await until(() => received.length > before, 'a ping has come')
})

it('in token mode the token is sent as it is', async () => {
  await ask('POST', '', { provider: 'webhook', settings: { ...settings, url, token_mode: 'token' } })
  await until(() => received.length > 0, 'the ping has come')
  expect(received[0]).toMatchObject({ event: 'ping', token: 'the-token', signed: false })
})

it.each([
  ['over TLS', () => url.replace('http:', 'https:')],
  ['at what is no URL', () => 'http://['],
])('outlives a service %s that cannot be reached, and others get theirs', async (_where, bad) => {
  let handshakes = 0
  server.on('clientError', (_error, socket) => {
    handshakes++
    socket.destroy()
  })
  const away = { provider: 'webhook', settings: { ...settings, url: bad() } }
  expect((await ask('POST', '', away)).status).toBe(201)
  await live()
  expect(received).toEqual([])
  // Nobody speaks TLS at our port, but it was spoken to.
  expect(handshakes > 0).toBe(bad().startsWith('https:'))
  await ask('POST', '', { provider: 'webhook', settings: { ...settings, url } })
  await until(() => received.length > 0, 'the ping has come')
})

it.each([
  [{ provider: 'slack', settings: { url: 'https://example.com' } }],
  [{ provider: 'webhook', settings: {} }],
  [{ provider: 'webhook', settings: { url: 'ftp://example.com' } }],
  [{ provider: 'webhook', settings: { url: 'https://example.com', events: ['build.created'] } }],
  [{ provider: 'webhook', scope: 'some_projects', scope_uuids: ['nothing'], settings: { url: 'https://example.com' } }],
])('refuses %j with 422', async (body) => {
  expect((await ask('POST', '', body)).status).toBe(422)
})
