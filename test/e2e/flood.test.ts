import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'
import { openPoster } from '../fuzz/post.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { limitMemory, type MemoryLimit } from '../support/memory-limit.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'

const MiB = 1024 * 1024
const secret = 'the-secret-of-the-flood-test'
/** As long as a request may take, twice: those that are held are replaced by new ones. */
const seconds = 20
const perSecond = 100

let database: TestDatabase
let redis: RedisServer
let service: ServiceProcess
let limit: MemoryLimit | undefined
let strangers: ChildProcess | undefined

beforeEach(async () => {
  database = await createTestDatabase()
  redis = await startRedisServer()
  service = await startService({
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    ROLES: 'web',
    WEBHOOK_SECRET: secret,
  })
})
afterEach(async () => {
  strangers?.kill('SIGKILL')
  await service.stop()
  limit?.remove()
  await redis.stop()
  await database.drop()
})

/**
 * Puts a process before the strangers, who would have machines of their own, and before other work on this machine. Only root may; others
 * measure without it.
 */
function favour(pid: number): void {
  try {
    setPriority(pid, -15)
  } catch {}
}

/** Of the service, in bytes. */
function memory(): number {
  const status = readFileSync(`/proc/${service.process.pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

/** Sends webhooks at a steady rate, from 127.0.0.1, whatever the answers take. */
async function sendHonest(count: number, first: number) {
  const poster = openPoster(service.publicUrl + WEBHOOK_PATH, 64)
  const took: number[] = []
  const refused: unknown[] = []
  const one = async (number: number) => {
    const body = Buffer.from(JSON.stringify({ event: 'ping', number, filler: 'x'.repeat(4_000) }))
    const begun = performance.now()
    const headers = { 'content-type': 'application/json', 'x-buildkite-signature': sign(body, secret, Date.now()) }
    const status = await poster.post(body, headers).catch(String)
    took.push(performance.now() - begun)
    if (status !== 202) refused.push(status)
  }
  const begun = performance.now()
  const sent: Promise<void>[] = []
  while (sent.length < count) {
    const due = Math.min(count, Math.ceil(((performance.now() - begun) / 1_000) * perSecond))
    while (sent.length < due) sent.push(one(first + sent.length))
    await sleep(5)
  }
  await Promise.all(sent)
  poster.close()
  took.sort((a, b) => a - b)
  return { refused, p99: took[Math.floor(took.length * 0.99)] ?? Number.NaN }
}

/** The slowest answer of /health/live, and the most memory, until `work` is done. */
async function watch<T>(work: Promise<T>) {
  let isDone = false
  let [slowest, most] = [0, 0]
  const live = async () => {
    while (!isDone) {
      const begun = performance.now()
      const response = await fetch(`${service.publicUrl}/health/live`, { signal: AbortSignal.timeout(10_000) })
      expect(response.status).toBe(200)
      slowest = Math.max(slowest, performance.now() - begun)
      await sleep(200)
    }
  }
  const rss = async () => {
    for (; !isDone; await sleep(50)) most = Math.max(most, memory())
  }
  const watching = [live(), rss()]
  const result = await work.finally(() => {
    isDone = true
  })
  await Promise.all(watching)
  return { result, slowest, most }
}

it.runIf(process.platform === 'linux')(
  '128 strangers with 10 MiB bodies and 16 with one-byte chunks delay no webhook and fill no memory, in 512 MiB',
  async () => {
    const { pid = 0 } = service.process
    limit = limitMemory(pid, 512 * MiB)
    favour(pid)
    favour(process.pid)
    if (!limit) console.warn('This user cannot create a memory cgroup, so only the memory of the process is measured.')
    // Warm, and proven: 127.0.0.1 is the honest sender's address from now on.
    const { result: calm, slowest: calmHealth } = await watch(sendHonest(15 * perSecond, 0))
    expect(calm.refused).toEqual([])
    const before = memory()
    const program = fileURLToPath(new URL('../support/strangers.ts', import.meta.url))
    strangers = spawn(process.execPath, ['--import', 'tsx', program, new URL(service.publicUrl).port], {
      stdio: 'inherit',
    })
    await once(strangers, 'spawn')
    const { result, slowest, most } = await watch(sendHonest(seconds * perSecond, 2_000))
    expect(strangers.exitCode).toBeNull()
    const measured = {
      calmP99: Math.round(calm.p99),
      calmHealth: Math.round(calmHealth),
      refused: result.refused.length,
      p99: Math.round(result.p99),
      slowestHealth: Math.round(slowest),
      grown: Math.round((most - before) / MiB),
      most: Math.round(most / MiB),
      kills: limit?.kills() ?? 0,
    }
    console.info(JSON.stringify(measured))
    expect(measured.kills).toBe(0)
    // Bodies take at most 48 MiB. The rest of what it grows by is garbage, which V8 leaves until there is as much of it.
    expect(measured.most).toBeLessThan(450)
    // On a machine that is quiet without the strangers, this is 1 s. One that is busy with other work is as much slower.
    const slack = Math.max(1, calm.p99 / 50)
    // A client that gives up after 30 s was not refused. A Postgres that has no time for 4 s is a reason to refuse, strangers or not.
    if (slack < 20) expect(result.refused.filter((status) => typeof status === 'number')).toEqual([])
    expect(measured.p99).toBeLessThan(1_000 * slack)
    expect(measured.slowestHealth).toBeLessThan(1_000 * slack)
    expect(service.output()).toContain('the bodies in memory reach their limit')
  },
)
