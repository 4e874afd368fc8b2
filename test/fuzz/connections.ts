import { readdirSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { sql } from 'drizzle-orm'
import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'
import { deliveries } from '../../src/database/schema.ts'
import { createRandom } from '../../src/simulator/random.ts'
import { until } from '../support/until.ts'
import { type Conversation, makeConversation } from './conversation.ts'
import { openPoster } from './post.ts'
import { type FuzzOptions, type FuzzReport, find, inTenths, newReport, tally } from './report.ts'
import { openTarget, secret, type Target } from './webhooks.ts'

/** What a server that follows the rules of HTTP may answer here. 408 is Node's own time-out; the other 5xx are faults. */
const expected = new Set([200, 202, 400, 401, 404, 405, 408, 411, 413, 414, 415, 417, 429, 431, 503, 505])
/** The server ends an unfinished request after 10 s; a connection that it keeps for longer is a leak. */
const patienceMs = 30_000
const strangers = 8

/**
 * Opens connections whose HTTP is odd, broken or hostile to the real receiver, inbox and queue, while honest webhooks arrive. Looks for
 * answers of 5xx, stored deliveries that nobody signed, honest webhooks that are refused or wait, and for sockets, file descriptors and
 * shares of the body budget that stay taken.
 */
export async function fuzzConnections(
  stores: { databaseUrl: string; redisUrl?: string | undefined },
  options: FuzzOptions,
): Promise<FuzzReport> {
  const report = newReport('connections')
  const target = await openTarget(stores)
  // A connection that is kept alive would hold up the others for a minute. Node waits `timeout` instead if bytes follow an early answer.
  target.server.keepAliveTimeout = 5_000
  target.server.timeout = 15_000
  const honest = sendHonest(target.url, report)
  let early = 0
  const one = async (number: number) => {
    const random = createRandom(`${options.seed} connection ${number}`)
    const conversation = makeConversation({ secret, random, mark: `fuzz ${number}` })
    const from = `127.0.0.${2 + (number % strangers)}`
    const { answers, closed } = await converse(target.url, conversation, from)
    for (const status of answers) {
      tally(report, String(status))
      if (!expected.has(status)) find(report, `Connection ${number} was answered ${status}.`)
    }
    if (answers.length === 0) tally(report, 'no answer')
    if (!closed) find(report, `Connection ${number} stayed open for ${patienceMs / 1_000} s.`)
  }
  const settle = async () => {
    // The honest client keeps its connections.
    await until(async () => (await connections(target)) <= honest.connections, 'strangers have left', patienceMs).catch(
      async () => find(report, `${await connections(target)} connections stay open at the server.`),
    )
    early ||= openFiles()
    await checkStored(target, report)
  }
  try {
    await inTenths(report, { ...options, atOnce: 64 }, one, settle)
    await honest.stop()
    const late = openFiles()
    // The pools of Postgres and Redis may have opened a few more.
    if (late > early + 20) find(report, `${late - early} more file descriptors are open than after the first tenth.`)
    await checkBudget(target, report)
  } finally {
    await honest.stop()
    await target.close()
  }
  return report
}

const connections = ({ server }: Target) => promisify(server.getConnections.bind(server))()
const openFiles = () => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0)

/** Plays a conversation. Returns the statuses that came back, and whether the connection is closed in the end. */
async function converse(url: string, { steps, leave }: Conversation, localAddress: string) {
  const { hostname: host, port } = new URL(url)
  const socket = net.connect({ host, port: Number(port), localAddress, allowHalfOpen: true })
  let received = ''
  socket.on('data', (data) => (received += data.toString('latin1')))
  socket.on('error', () => {})
  const closed = new Promise<true>((resolve) => socket.once('close', () => resolve(true)))
  socket.once('end', () => socket.end())
  for (const step of steps) {
    if (socket.destroyed) break
    if (typeof step === 'number') await sleep(step)
    else socket.write(step)
  }
  if (leave === 'reset') socket.resetAndDestroy()
  if (leave === 'end') socket.end()
  // Most are kept alive after their answers: no news for a while is an end.
  if (leave === 'answer') void untilQuiet(() => received.length, 100).then(() => socket.end())
  const giveUp = new AbortController()
  const timeout = sleep(patienceMs, false, { signal: giveUp.signal }).catch(() => false)
  const isClosed = await Promise.race([closed, timeout])
  giveUp.abort()
  socket.destroy()
  const answers = [...received.matchAll(/(?:^|\})HTTP\/1\.1 (\d{3}) |\r\n\r\nHTTP\/1\.1 (\d{3}) /g)]
  return {
    answers: answers.map(([, first, later]) => Number(first ?? later)).filter((one) => one !== 100),
    closed: isClosed,
  }
}

/** Waits until nothing more comes after the first answer, or for a second without any: leaving earlier would cancel the request. */
async function untilQuiet(size: () => number, ms: number): Promise<void> {
  for (let waited = 0; size() === 0 && waited < 1_000; waited += ms) await sleep(ms)
  for (let before = -1; before !== size(); ) {
    before = size()
    await sleep(ms)
  }
}

/** Sends webhooks from 127.0.0.1, one after the other, all the time. */
function sendHonest(url: string, report: FuzzReport) {
  const connections = 2
  const poster = openPoster(url + WEBHOOK_PATH, connections)
  let isStopping = false
  const run = async () => {
    for (let number = 0; !isStopping; number++) {
      const body = Buffer.from(JSON.stringify({ event: 'ping', mark: `honest ${number}` }))
      const begun = performance.now()
      const headers = { 'content-type': 'application/json', 'x-buildkite-signature': sign(body, secret, Date.now()) }
      const status = await poster.post(body, headers).catch(String)
      tally(report, 'honest')
      if (status !== 202) find(report, `An honest webhook was answered ${status}.`)
      if (performance.now() - begun > patienceMs) find(report, `An honest webhook waited for ${patienceMs / 1_000} s.`)
      await sleep(10)
    }
  }
  const running = run()
  return {
    connections,
    async stop() {
      isStopping = true
      await running
      poster.close()
    },
  }
}

/** Only what was signed is stored, whole. */
async function checkStored({ database: { db } }: Target, report: FuzzReport): Promise<void> {
  const stored = await db.select({ payload: deliveries.payload, event: deliveries.event }).from(deliveries)
  for (const { payload, event } of stored) {
    const { mark, ...rest } = JSON.parse(String(payload ?? 'null')) ?? {}
    const isWhole = event === 'ping' && /^(fuzz|honest) \d+$/.test(mark) && /^x*$/.test(rest.filler ?? '')
    if (!isWhole) find(report, `A delivery was stored that nobody signed: ${String(payload).slice(0, 80)}`)
  }
  tally(report, 'stored', stored.length)
  await db.delete(deliveries).where(sql`${deliveries.status} <> 'pending'`)
}

/** The largest body of an unproven address fits only if no share of others stayed taken. */
async function checkBudget({ url }: Target, report: FuzzReport): Promise<void> {
  const body = JSON.stringify({ event: 'ping', mark: 'honest 0', filler: 'x'.repeat(10 * 1024 * 1024 - 100) })
  const head = ['Host: x', 'Connection: close', 'Content-Type: application/json', `Content-Length: ${body.length}`]
  const signed = `X-Buildkite-Signature: ${sign(body, secret, Date.now())}`
  const text = [`POST ${WEBHOOK_PATH} HTTP/1.1`, ...head, signed, '', body].join('\r\n')
  const { answers } = await converse(url, { steps: [Buffer.from(text)], leave: 'hold' }, '127.0.0.200')
  if (answers[0] !== 202) find(report, `The largest body was answered ${answers[0]} after all others were gone.`)
}
