import net from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterEach, expect, test } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { buildPublicApp } from '../../src/http/public.ts'
import { createLog } from '../../src/runtime/log.ts'
import { ProvenAddresses } from '../../src/webhooks/receive/proven-addresses.ts'
import type { ReceiverSettings } from '../../src/webhooks/receive/read-request.ts'
import { webhookRoute } from '../../src/webhooks/receive/receive.ts'
import { until } from '../support/until.ts'

const MiB = 1024 * 1024
const secret = 'the-secret-of-the-tests'
const log = createLog('silent')
let app: FastifyInstance
let port: number
let counted: string[]
const sockets: net.Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  await app.close()
})

async function listen(settings: Partial<ReceiverSettings> = {}): Promise<void> {
  const proven = new ProvenAddresses()
  const record = (_what: string, _n: number, labels?: Readonly<Record<string, string>>) =>
    void (labels?.status && counted.push(labels.status))
  const receiver = { secrets: [secret], auth: 'signature', toleranceMs: 300_000, storeEnv: false, ...settings } as const
  counted = []
  app = await buildPublicApp({
    log,
    webhooks: (own) => webhookRoute(own, { ...receiver, proven, inbox: { keep: async () => 'new' }, log, record }),
    facts: () => Promise.reject(new Error('Not asked here.')),
    isProven: proven.has,
  })
  port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
}

/** A connection from an address of its own: all of 127.0.0.0/8 is loopback. */
interface Client {
  socket: net.Socket
  answer(): string
  isClosed(): boolean
}

function connect(localAddress = '127.0.0.1'): Client {
  const socket = net.connect({ host: '127.0.0.1', port, localAddress })
  sockets.push(socket)
  let text = ''
  let closed = false
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
  })
  return { socket, answer: () => text, isClosed: () => closed }
}

function begin(client: Client, headers: Record<string, string>): void {
  const lines = Object.entries({ host: 'x', 'content-type': 'application/json', ...headers })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  client.socket.write(`POST /webhooks/buildkite HTTP/1.1\r\n${head}\r\n`)
}

/** Well-formed and fresh, which anyone can write; it signs nothing. */
const forged = () => sign('', 'another secret', Date.now())

async function post(body: string, localAddress?: string): Promise<string> {
  const client = connect(localAddress)
  begin(client, {
    'x-buildkite-signature': sign(body, secret, Date.now()),
    'content-length': String(body.length),
    connection: 'close',
  })
  client.socket.write(body)
  await until(async () => client.isClosed(), 'the connection is closed', 10_000)
  return client.answer().slice(9, 12)
}

test.each<[string, Partial<ReceiverSettings>, () => Record<string, string>]>([
  ['no signature', {}, () => ({})],
  ['a signature that is not well-formed', {}, () => ({ 'x-buildkite-signature': 'timestamp=1' })],
  ['an old signature', {}, () => ({ 'x-buildkite-signature': sign('', secret, Date.now() - 302_000) })],
  ['no token', { auth: 'token' }, () => ({ 'x-buildkite-signature': forged() })],
  ['a wrong token', { auth: 'token' }, () => ({ 'x-buildkite-token': 'wrong' })],
])('a request with %s is answered 401 and closed before its body', async (_name, settings, headers) => {
  await listen(settings)
  const client = connect()
  begin(client, { ...headers(), 'content-length': String(10 * MiB) })
  await until(async () => client.isClosed(), 'the connection is closed', 2_000)
  expect(client.answer()).toMatch(/^HTTP\/1\.1 401 .*connection: close/is)
  expect(counted).toEqual(['401'])
})

test('forged large bodies get 503 over their bounds, and webhooks are accepted meanwhile', async () => {
  await listen()
  const held = (localAddress: string) => {
    const client = connect(localAddress)
    begin(client, { 'x-buildkite-signature': forged(), 'content-length': String(6 * MiB) })
    client.socket.write(Buffer.alloc(6 * MiB - 1, ' '))
    return client
  }
  const clients = ['127.0.0.2', '127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.3', '127.0.0.4', '127.0.0.4'].map(held)
  // Each needs a buffer of 10 MiB. The bounds of unproven addresses leave room for two, and those of one address for one.
  const refused = () => clients.filter((client) => client.isClosed())
  await until(async () => refused().length >= 3, 'three bodies are refused', 5_000)
  for (const client of refused().filter((each) => each.answer() !== '')) {
    expect(client.answer()).toMatch(/^HTTP\/1\.1 503 .*connection: close.*retry-after: 5/is)
  }
  expect(refused().length).toBeLessThan(clients.length)
  expect(new Set(counted)).toEqual(new Set(['503']))

  expect(await post('{}')).toBe('202')
  // 127.0.0.1 is proven now, so the largest body fits although unproven addresses use all of their part.
  const largest = JSON.stringify({ text: 'x'.repeat(10 * MiB - 100) })
  expect(await post(largest)).toBe('202')
  for (const client of clients) client.socket.destroy()
  await until(async () => (await post(largest, '127.0.0.5')) === '202', 'an unproven address has room again', 5_000)
})

test.each([1, 20])('a body in chunks of %i bytes is answered 400 and closed', async (size) => {
  await listen()
  const client = connect()
  begin(client, { 'x-buildkite-signature': forged(), 'transfer-encoding': 'chunked' })
  const block = `${size.toString(16)}\r\n${'a'.repeat(size)}\r\n`.repeat(2_000)
  client.socket.write(block)
  await until(async () => client.isClosed(), 'the connection is closed', 2_000)
  expect(client.answer()).toMatch(/^HTTP\/1\.1 400 .*connection: close.*small chunks/is)
  expect(counted).toEqual(['400'])
})

test('a signed body in ordinary chunks is accepted', async () => {
  await listen()
  const body = JSON.stringify({ text: 'x'.repeat(500_000) })
  const client = connect()
  const signature = sign(body, secret, Date.now())
  begin(client, { 'x-buildkite-signature': signature, 'transfer-encoding': 'chunked', connection: 'close' })
  for (let at = 0; at < body.length; at += 300) {
    const part = body.slice(at, at + 300)
    client.socket.write(`${part.length.toString(16)}\r\n${part}\r\n`)
  }
  client.socket.write('0\r\n\r\n')
  await until(async () => client.isClosed(), 'the connection is closed', 5_000)
  expect(client.answer()).toMatch(/^HTTP\/1\.1 202/)
})

test('an unproven address may open 250 connections, a proven one more', async () => {
  await listen()
  const clients = Array.from({ length: 260 }, () => connect('127.0.0.2'))
  await until(async () => clients.filter((client) => client.isClosed()).length === 10, 'ten are closed', 5_000)
  expect(await post('{}')).toBe('202')
  const others = Array.from({ length: 260 }, () => connect())
  await until(async () => others.every(({ socket }) => !socket.connecting), 'all are connected', 5_000)
  expect(await post('{}')).toBe('202')
  expect(others.filter((client) => client.isClosed())).toEqual([])
})
