import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { type Api, demoToken, type Fault } from '../../src/simulator/api/api.ts'
import { secretMark } from '../../src/simulator/model/shapes.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { tracesInPostgres, tracesInRedis } from '../support/traces.ts'
import { until } from '../support/until.ts'

// Secrets are planted wherever one is known to stand, the service is led through all it does and all that fails, and then everything
// it wrote is searched. Beside the secrets stands a mark that is none: that it is found shows that the search can find.

const canary = 'canary-in-the-mine'
const mark = 'a-mark-that-is-no-secret'
const secrets = {
  apiToken: `bkua_${canary}-api`,
  otherToken: `bkua_${canary}-api-2`,
  webhook: `${canary}-webhook`,
  admin: `${canary}-admin`,
  database: `${canary}-database`,
  redis: `${canary}-redis`,
}

let home: TestDatabase
let simulation: Simulation
let api: Api
let postgres: TcpProxy
let redis: RedisServer | undefined
let redisUrl: string | undefined
let service: ServiceProcess | undefined
/** Everything that was answered to anybody. */
let answers: string[] = []

beforeEach(async () => {
  answers = []
  home = await createTestDatabase()
  simulation = createSimulation({ seed: 5, pipelines: 3, stepMs: [1, 20] })
  simulation.writeHistory({ builds: 30, days: 2 })
  const tokens = [secrets.apiToken, secrets.otherToken].map((token) => ({ ...demoToken, token }))
  api = await simulation.startApi({ limits: {}, tokens })
  const target = new URL(home.url)
  target.password = secrets.database
  postgres = await startTcpProxy(target.href, 5432)
})

afterEach(async () => {
  await service?.stop()
  service = undefined
  await simulation.stop()
  await postgres.close()
  await redis?.stop()
  redis = undefined
  redisUrl = undefined
  await home.drop()
})

async function protectRedis(): Promise<void> {
  redis = await startRedisServer()
  const client = new Redis(redis.url)
  await client.config('SET', 'requirepass', secrets.redis)
  client.disconnect()
  const url = new URL(redis.url)
  url.password = secrets.redis
  redisUrl = url.href
}

async function start(settings: Record<string, string>): Promise<ServiceProcess> {
  service = await startService({
    DATABASE_URL: postgres.url,
    ...(redisUrl ? { REDIS_URL: redisUrl } : {}),
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: `${secrets.apiToken},${secrets.otherToken}`,
    WEBHOOK_SECRET: `${secrets.webhook},${secrets.webhook}-new`,
    ADMIN_TOKEN: secrets.admin,
    RECONCILE_INTERVAL: '1s',
    WEBHOOK_TOLERANCE: '1d',
    API_BUDGET_SHARE: '1',
    LOG_LEVEL: 'trace',
    ...settings,
  })
  return service
}

/** Asks the service, keeps the answer, headers and all, and gives its status and text. */
async function ask(url: string, init: RequestInit = {}): Promise<{ status: number; text: string }> {
  const response = await fetch(url, init)
  const text = await response.text()
  answers.push(`${new URL(url).pathname} ${response.status} ${JSON.stringify([...response.headers])} ${text}`)
  return { status: response.status, text }
}

const askAdmin = (path: string) =>
  ask(`${service?.privateUrl}${path}`, { headers: { authorization: `Bearer ${secrets.admin}` } })

function deliver(event: string, payload: unknown, secret = secrets.webhook): Promise<{ status: number }> {
  const body = JSON.stringify(payload)
  const headers = {
    'content-type': 'application/json',
    'x-buildkite-event': event,
    'x-buildkite-signature': sign(body, secret, Date.now()),
    // What a service in token mode would send; here it is of no use, and must not be kept either.
    'x-buildkite-token': secrets.webhook,
  }
  return ask(`${service?.publicUrl}/webhooks/buildkite`, { method: 'POST', headers, body })
}

const uuid = (tail: number) => `0190dddd-0000-7000-8000-${String(tail).padStart(12, '0')}`

/** A webhook with a secret in every place where one is known to have been. */
function leaky(number: number) {
  const url = `https://api.buildkite.com/v2/organizations/acme/pipelines/leaky`
  const env = { KEY: `${canary}-env` }
  const steps = [{ type: 'script', env, command: 'make', agents: { token: `${canary}-step-token` } }]
  const agent = { id: uuid(4), name: 'agent', access_token: `${canary}-agent`, meta_data: ['queue=default'] }
  return {
    event: 'job.finished',
    build: { id: uuid(number), number, state: 'passed', message: mark, url: `${url}/builds/${number}`, env },
    job: { id: uuid(number + 1_000), type: 'script', state: 'passed', env, agent, step: { id: uuid(3), env } },
    pipeline: {
      id: uuid(2),
      slug: 'leaky',
      url,
      env,
      steps,
      configuration: `env:\n  KEY: ${canary}-configuration`,
      provider: { id: 'github', webhook_url: `https://x.invalid/${canary}-hook`, settings: { access_token: canary } },
    },
    service: { settings: { url: 'https://x.invalid', token: `${canary}-service` } },
    cluster_token: { id: 'x', token: `${canary}-cluster` },
  }
}

/** Answers every request of the API with this fault from now on. */
const apiFails = (fault: Fault | undefined) => {
  api.beforeAnswer = fault && (() => fault)
}

const logSays = (text: string) => until(() => service?.output().includes(text), `the log says "${text}"`, 30_000)

const pending = async () => {
  const { text } = await askAdmin('/status')
  const status: { deliveries: { pending: number } | null } = JSON.parse(text)
  return status.deliveries?.pending ?? -1
}

/** Leads the service through its whole life, with all the trouble that there may be. */
async function live(backend: 'redis' | 'postgres'): Promise<void> {
  const url = `${service?.publicUrl}/webhooks/buildkite`
  const webhooks = simulation.startWebhooks({ url, secret: secrets.webhook })
  webhooks.ping()
  await simulation.play({ builds: 10 })
  for (const [index, event] of ['job.finished', 'ping', 'unheard.of', 'cluster_token.registration_blocked'].entries()) {
    expect((await deliver(event, { ...leaky(index + 10), event })).status).toBe(202)
  }
  // One that fails, and those that are refused.
  expect((await deliver('build.finished', { ...leaky(20), build: { number: 7 } })).status).toBe(202)
  expect((await deliver('build.finished', leaky(21), `${canary}-wrong`)).status).toBe(401)
  expect((await deliver('build.finished', [canary])).status).toBe(400)
  await until(async () => (await pending()) === 0, 'every delivery is applied')
  await logSays('Ran a cycle.')

  apiFails({ kind: 'status', status: 422, message: `${mark} ${secrets.apiToken} ${secrets.otherToken}` })
  await logSays(mark)
  // The log comes before the book of problems that /status reads.
  await until(async () => (await askAdmin('/status')).text.includes(mark), '/status tells what Buildkite said', 30_000)
  apiFails({
    kind: 'status',
    status: 403,
    message: `${secrets.apiToken} lacks the read_builds scope ${secrets.webhook}`,
  })
  await logSays('HTTP 403')
  apiFails({ kind: 'status', status: 401, message: `Not ${secrets.apiToken}` })
  await logSays('HTTP 401')
  await askAdmin('/status')
  apiFails({ kind: 'status', status: 500, message: `Not ${secrets.apiToken}` })
  await logSays('HTTP 500')
  apiFails(undefined)

  await postgres.cut()
  const { status } = await deliver('job.finished', leaky(30))
  expect(status).toBe(backend === 'redis' ? 202 : 503)
  if (redisUrl) expectClean('Redis, while Postgres is unavailable', await tracesInRedis(redisUrl), true)
  for (const path of ['/status', '/metrics']) await askAdmin(path)
  await ask(`${service?.publicUrl}/health/ready`)
  await postgres.restore()
  await until(async () => (await pending()) === 0, 'the service has recovered', 30_000)
}

async function knockEverywhere(): Promise<void> {
  const [open, closed] = [service?.publicUrl, service?.privateUrl]
  for (const path of ['/', '/health/live', '/health/ready', '/status', `/x?token=${secrets.admin}`])
    await ask(open + path)
  for (const path of ['/', '/status', '/metrics', '/nothing']) {
    await askAdmin(path)
    await ask(closed + path)
    await ask(closed + path, { headers: { authorization: `Bearer ${secrets.admin}x` } })
  }
}

/** No secret in `text`; and the mark in it, where it must be to show that the search works. */
function expectClean(
  where: string,
  text: string,
  marked: boolean,
  secret = new RegExp(`${canary}|${secretMark}`),
): void {
  const at = text.search(secret)
  expect(at < 0 ? '' : `${where}: …${text.slice(Math.max(0, at - 200), at + 100)}…`).toBe('')
  if (marked) expect(text.includes(mark), `the mark is in ${where}`).toBe(true)
}

describe.each(testQueueBackends())('with the queue on %s, a secret', (backend) => {
  it('is in no table, log, queue, metric or answer, whatever fails', async () => {
    if (backend === 'redis') await protectRedis()
    await start({})
    await live(backend)
    await knockEverywhere()
    const allAnswers = answers.join('\n')
    expectClean('an answer', allAnswers, true)
    expect(allAnswers).toContain('buildkite_mirror_watermark_age_seconds{organization="acme"}')
    expectClean('the database', await tracesInPostgres(home.url), true)
    if (redisUrl) expectClean('Redis', await tracesInRedis(redisUrl), false)
    await service?.stop()
    expectClean('the log', service?.output() ?? '', true)
  })
})

it('with STORE_ENV env is kept, in which people keep secrets, but no token and no delivery address', async () => {
  await start({ STORE_ENV: 'true' })
  await live('postgres')
  const kept = await tracesInPostgres(home.url)
  for (const place of ['env', 'configuration']) expect(kept).toContain(`${canary}-${place}`)
  expect(kept).toContain(`${secretMark}-build-env`)
  const never = new RegExp(
    `${canary}(?!-(env|configuration))|${secretMark}(?!-(pipeline-env|build-env|configuration|step))`,
  )
  expectClean('the database', kept, true, never)
  await service?.stop()
  expectClean('the log', service?.output() ?? '', true)
  expectClean('an answer', answers.join('\n'), true)
})

it('no command prints the secret of a wrong address', async () => {
  const nowhere = `127.0.0.1:${await freePort()}`
  const settings = {
    LOG_LEVEL: 'trace',
    DATA_DIR: '/nonexistent',
    DATABASE_URL: `postgres://mirror:${secrets.database}@${nowhere}/buildkite`,
    REDIS_URL: `redis://:${secrets.redis}@${nowhere}`,
    BUILDKITE_API_TOKEN: secrets.apiToken,
    BUILDKITE_API_URL: `http://${nowhere}/v2`,
    HTTPS_PROXY: `http://proxy:${canary}@${nowhere}`,
  }
  const wrong = [
    settings,
    { ...settings, DATABASE_URL: `mysql://mirror:${secrets.database}@${nowhere}` },
    { ...settings, DATABASE_URL: `postgres://mirror:${secrets.database}%ZZ@${nowhere}` },
    { ...settings, PORT: secrets.admin, WEBHOOK_AUTH: secrets.webhook },
  ]
  const runs = wrong.flatMap((one) => ['migrate', 'status'].map((command) => runCommand([command], one)))
  const results = await Promise.all(runs)
  for (const { code, stdout, stderr } of results) {
    expect([1, 2]).toContain(code)
    expectClean('what a command says', stdout + stderr, false)
  }
  expect(results.map(({ stderr }) => stderr).join('\n')).toContain('ECONNREFUSED')
})
