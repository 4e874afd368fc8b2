import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { readWebhookRanges } from '../../src/buildkite/meta.ts'
import { buildPublicApp } from '../../src/http/public.ts'
import { BuildkiteError } from '../../src/runtime/errors.ts'
import { type IpRange, parseRange } from '../../src/runtime/ip-range.ts'
import { createLog } from '../../src/runtime/log.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'
import { type AllowList, fixedAllowList, followedAllowList } from '../../src/webhooks/receive/allow-list.ts'
import { webhookRoute } from '../../src/webhooks/receive/receive.ts'
import { closeAll, errorOf, startStub } from '../buildkite/stub.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
const never = new AbortController().signal
const lists: AllowList[] = []
let app: FastifyInstance | undefined

afterEach(async () => {
  for (const list of lists.splice(0)) list.stop()
  await app?.close()
  app = undefined
  await closeAll()
})

const ranges = (...texts: string[]): IpRange[] => texts.flatMap((text) => parseRange(text) ?? [])

function follow(read: () => Promise<IpRange[]>, lines: string[] = []): AllowList {
  const list = followedAllowList({
    read,
    log: createLog('warn', { write: (line) => void lines.push(line) }),
    everyMs: 5,
    againMs: 5,
  })
  lists.push(list)
  return list
}

describe('the list that Buildkite tells', () => {
  it('is read from /v2/meta without a token', async () => {
    const simulation = createSimulation()
    const api = await simulation.startApi({ tokens: [] })
    expect(await readWebhookRanges(api.url, undefined, never)).toEqual(
      ranges('127.0.0.0/8', '192.0.2.0/24', '198.51.100.12'),
    )
    await simulation.stop()
  })

  it.each<[string, { status?: number; json?: unknown; text?: string }]>([
    ['a refusal', { status: 503, text: '<html>' }],
    ['no JSON', { text: 'x' }],
    ['no list', { json: {} }],
    ['an empty list, which would shut everybody out', { json: { webhook_ips: [] } }],
    ['nothing that is an address', { json: { webhook_ips: ['x', '1.2.3.4/99'] } }],
  ])('is not taken from %s', async (_name, answer) => {
    const stub = await startStub(() => answer)
    expect(await errorOf(readWebhookRanges(stub.url, undefined, never))).toBeInstanceOf(BuildkiteError)
  })

  it('lets everybody in until it has been read, with one warning', async () => {
    const lines: string[] = []
    let reads = 0
    let read = () => Promise.reject<IpRange[]>(new BuildkiteError('unavailable', 'Not now.'))
    const list = follow(() => {
      reads += 1
      return read()
    }, lines)
    await until(() => reads > 3, 'it has tried again')
    expect(list.lets('203.0.113.9')).toBe(true)
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('accepted from every address')
    read = async () => ranges('192.0.2.0/24')
    await until(() => !list.lets('203.0.113.9'), 'the list is in use')
    expect(list.lets('192.0.2.1')).toBe(true)
  })

  it('stays in use while it cannot be read again, and is renewed when it can', async () => {
    let reads = 0
    let read = async () => ranges('192.0.2.0/24')
    const list = follow(() => {
      reads += 1
      return read()
    })
    await until(() => !list.lets('203.0.113.9'), 'the list is in use')
    read = () => Promise.reject(new BuildkiteError('unavailable', 'Not now.'))
    const before = reads
    await until(() => reads > before + 3, 'it has failed')
    expect([list.lets('192.0.2.1'), list.lets('203.0.113.9')]).toEqual([true, false])
    read = async () => ranges('203.0.113.0/24')
    await until(() => list.lets('203.0.113.9'), 'the new list is in use')
    expect(list.lets('192.0.2.1')).toBe(false)
  })
})

describe('a receiver with a list', () => {
  const counted: string[] = []

  async function listen(allowed: string[], proxies: string[] = []): Promise<number> {
    counted.length = 0
    const parts = {
      secrets: ['secret'],
      auth: 'signature' as const,
      toleranceMs: 300_000,
      storeEnv: false,
      inbox: { keep: async () => 'new' as const },
      lets: fixedAllowList(ranges(...allowed)).lets,
      record: (_what: string, _n: number, labels?: Readonly<Record<string, string>>) =>
        void counted.push(labels?.status ?? ''),
      log,
    }
    app = await buildPublicApp({
      log,
      webhooks: (own) => webhookRoute(own, parts),
      facts: () => Promise.reject(new Error('Not asked here.')),
      trustProxy: ranges(...proxies),
    })
    await app.listen({ host: '127.0.0.1', port: 0 })
    const address = app.server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  const post = async (port: number, headers: Record<string, string> = {}) => {
    const all = { 'content-type': 'application/json', ...headers }
    return (await fetch(`http://127.0.0.1:${port}/webhooks/buildkite`, { method: 'POST', headers: all, body: '{}' }))
      .status
  }

  it('refuses others with 403, counts that, and lets health checks pass', async () => {
    const port = await listen(['192.0.2.0/24'])
    expect(await post(port)).toBe(403)
    expect(counted).toEqual(['403'])
    expect((await fetch(`http://127.0.0.1:${port}/health/live`)).status).toBe(200)
  })

  it('asks those on the list for their signature all the same', async () => {
    expect(await post(await listen(['127.0.0.0/8']))).toBe(401)
  })

  it('refuses before the body has come, and hangs up', async () => {
    const port = await listen(['192.0.2.0/24'])
    const socket = connect(port, '127.0.0.1')
    const head =
      'POST /webhooks/buildkite HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{'
    socket.write(head)
    let answer = ''
    socket.on('data', (chunk) => {
      answer += String(chunk)
    })
    await new Promise((closed) => socket.on('close', closed))
    expect(answer).toMatch(/^HTTP\/1\.1 403 /)
  })

  it('believes X-Forwarded-For of its own proxies only', async () => {
    const forwarded = { 'x-forwarded-for': '192.0.2.7' }
    expect(await post(await listen(['192.0.2.0/24']), forwarded)).toBe(403)
    await app?.close()
    const port = await listen(['192.0.2.0/24'], ['127.0.0.1'])
    expect(await post(port, forwarded)).toBe(401)
    expect(await post(port, { 'x-forwarded-for': '192.0.2.7, 203.0.113.9' })).toBe(403)
  })
})
