import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isOutage, openDatabase, withOwnConnection, withStoreError } from '../../src/database/connection.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { moveDatabase } from '../../src/database/move.ts'
import { locationReader } from '../../src/queue/job-location.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { messageOf } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'
import { type Certificates, makeCertificates } from '../support/certificates.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { runCommand, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
let certificates: Certificates

beforeAll(async () => {
  certificates = await makeCertificates()
})
afterAll(() => certificates.remove())

type Server = 'good' | 'expired' | 'wrongHost' | 'selfSigned'

/** The certificate of the server, a URL's parameters (see `filled`), and what a connection says then; undefined if it works. */
interface Case {
  readonly server: Server
  readonly query: string
  readonly says?: RegExp
}

/** Parameters with the paths of files for their names in angle brackets. */
function filled(query: string): string {
  const { ca, otherCa, selfSigned, client } = certificates
  const paths: Record<string, string> = { ca, otherCa, selfSigned: selfSigned.cert, cert: client.cert, key: client.key }
  return query.replaceAll(/<(\w+)>/g, (_, name: string) => paths[name] ?? name)
}

const withCa = 'sslmode=verify-full&sslrootcert=<ca>'
const untrusted = /cannot be reached with TLS: no CA that is trusted here has signed its certificate \(\w+\)/
const otherHost = /its certificate is for another host name \(ERR_TLS_CERT_ALTNAME_INVALID\)/
const expired = /its certificate has expired or is not valid yet \(CERT_HAS_EXPIRED\)/

const cases: readonly Case[] = [
  { server: 'good', query: 'sslmode=verify-full&sslrootcert=<ca>' },
  { server: 'good', query: 'sslmode=verify-ca&sslrootcert=<ca>' },
  { server: 'good', query: 'sslmode=require' },
  { server: 'good', query: 'sslmode=prefer' },
  { server: 'good', query: 'sslmode=allow' },
  { server: 'good', query: 'sslmode=verify-full&sslrootcert=<otherCa>', says: untrusted },
  { server: 'good', query: 'sslmode=verify-ca&sslrootcert=<otherCa>', says: untrusted },
  { server: 'good', query: 'sslmode=require&sslrootcert=<otherCa>', says: untrusted },
  { server: 'good', query: 'sslmode=verify-full', says: untrusted },
  { server: 'good', query: 'sslmode=verify-full&sslrootcert=system', says: untrusted },
  { server: 'wrongHost', query: 'sslmode=verify-full&sslrootcert=<ca>', says: otherHost },
  { server: 'wrongHost', query: 'sslmode=verify-ca&sslrootcert=<ca>' },
  { server: 'wrongHost', query: 'sslmode=require' },
  { server: 'expired', query: 'sslmode=verify-full&sslrootcert=<ca>', says: expired },
  { server: 'expired', query: 'sslmode=verify-ca&sslrootcert=<ca>', says: expired },
  { server: 'expired', query: 'sslmode=require' },
  { server: 'selfSigned', query: 'sslmode=verify-full&sslrootcert=<ca>', says: untrusted },
  { server: 'selfSigned', query: 'sslmode=verify-full&sslrootcert=<selfSigned>' },
  { server: 'selfSigned', query: 'sslmode=require' },
]

/** What `work` says when it fails; undefined if it succeeds. */
const faultOf = (work: () => Promise<unknown>): Promise<string | undefined> => work().then(() => undefined, messageOf)

/** Gives a job to a queue and to a worker of it. @throws StoreError */
async function useQueue(redisUrl: string | undefined, databaseUrl: string): Promise<void> {
  const queues = await openQueues({ redisUrl, databaseUrl, ...(redisUrl ? { prefix: '{bk-tls}' } : {}) }, log)
  try {
    await queues.check()
    const ids: number[] = []
    const worker = queues.workDeliveries(async (job) => void ids.push(...('ids' in job ? job.ids : [])), 1)
    await queues.addDeliveries({ ids: [7] }, 5_000)
    await until(() => ids.length > 0, 'the worker gets the job')
    await worker.close(2_000)
  } finally {
    await queues.close(2_000)
  }
}

describe('TLS to Postgres', () => {
  let own: OwnPostgres
  let plain: TestDatabase

  beforeAll(async () => {
    own = await startOwnPostgres()
    await migrate(own.url)
    plain = await createTestDatabase()
  })
  afterAll(async () => {
    await own.stop()
    await plain.drop()
  })

  const urlWith = (query: string, host = 'localhost') => {
    const url = new URL(own.url)
    url.hostname = host
    url.search = filled(query)
    return url.href
  }

  /** Each way in which the service connects to Postgres. */
  const connections: Record<string, (url: string) => Promise<unknown>> = {
    async pool(url) {
      const database = openDatabase(url, { name: 'tls' })
      await database.ping().finally(() => database.close())
    },
    single: (url) =>
      withStoreError('connect', () => withOwnConnection(url, 'tls', {}, (client) => client.query('select 1'))),
    migrate: (url) => migrate(url),
    queue: (url) => useQueue(undefined, url),
    async location(url) {
      let fault: Error | undefined
      await locationReader({ databaseUrl: url }, (error) => (fault = error))()
      if (fault) throw fault
    },
  }

  it.each(cases)('$server, $query: the same for every connection', async ({ server, query, says }) => {
    await own.demandTls(certificates[server])
    const url = urlWith(query)
    for (const [name, connect] of Object.entries(connections)) {
      const fault = await faultOf(() => connect(url))
      if (says) expect(`${name}: ${fault}`).toMatch(says)
      else expect([name, fault]).toEqual([name, undefined])
    }
  })

  it('verifies an IP address as a host name', async () => {
    const connect = (query: string) =>
      faultOf(() => connections.pool?.(urlWith(query, '127.0.0.1')) ?? Promise.reject())
    await own.demandTls(certificates.good)
    expect(await connect(withCa)).toBeUndefined()
    await own.demandTls(certificates.wrongHost)
    expect(await connect(withCa)).toMatch(otherHost)
  })

  it('is demanded by a server that refuses plain text, and the message says so', async () => {
    await own.demandTls(certificates.good)
    for (const connect of [connections.pool, connections.migrate]) {
      expect(await faultOf(async () => connect?.(urlWith('')))).toMatch(
        /Postgres may demand TLS: add sslmode=verify-full/,
      )
    }
    expect(await faultOf(() => moveDatabase({ from: plain.url, to: urlWith('') }))).toMatch(/Postgres may demand TLS/)
    expect(
      await faultOf(() => moveDatabase({ from: plain.url, to: urlWith('sslmode=verify-full&sslrootcert=<otherCa>') })),
    ).toMatch(untrusted)
  })

  it.each(['allow', 'prefer', 'require', 'verify-full'])(
    'never falls back to plain text with sslmode=%s',
    async (mode) => {
      for (const [name, connect] of Object.entries(connections)) {
        const fault = await faultOf(() => connect(`${plain.url}?sslmode=${mode}`))
        expect(`${name}: ${fault}`).toMatch(/Postgres cannot be reached with TLS: the server does not offer it/)
      }
    },
  )

  it('that fails while the service runs is an outage, so that webhooks wait in the queue', async () => {
    for (const { server, query, says } of cases.filter((one) => one.says)) {
      await own.demandTls(certificates[server])
      const database = openDatabase(urlWith(query), { name: 'tls' })
      const fault: unknown = await database.ping().catch((error) => error)
      await database.close()
      expect([messageOf(fault), isOutage(fault)]).toEqual([expect.stringMatching(says ?? /./), true])
    }
  })

  it('has a certificate of the client, where the server demands one', async () => {
    await own.demandTls(certificates.good, certificates.ca)
    for (const [name, connect] of Object.entries(connections)) {
      expect([name, await faultOf(() => connect(urlWith(`${withCa}&sslcert=<cert>&sslkey=<key>`)))]).toEqual([
        name,
        undefined,
      ])
      expect([name, await faultOf(() => connect(urlWith(withCa)))]).not.toEqual([name, undefined])
    }
  })
})

describe.runIf(testQueueBackends().includes('redis'))('TLS to Redis', () => {
  let redis: RedisServer

  beforeAll(async () => {
    redis = await startRedisServer({ ...certificates.good, ca: certificates.ca, clients: 'no' })
  })
  afterAll(() => redis.stop())

  const present = ({ cert, key }: { cert: string; key: string }) =>
    redis.command('CONFIG', 'SET', 'tls-cert-file', cert, 'tls-key-file', key)

  const use = (query: string, url = redis.url) => faultOf(() => useQueue(`${url}?${filled(query)}`, ''))

  it.each(cases)('$server, $query', async ({ server, query, says }) => {
    await present(certificates[server])
    const fault = await use(query)
    if (says) expect(fault).toMatch(says)
    else expect(fault).toBeUndefined()
  })

  it('is verified in full unless the URL says otherwise', async () => {
    await present(certificates.wrongHost)
    expect(await use('sslrootcert=<ca>')).toMatch(otherHost)
    await present(certificates.good)
    expect(await use('')).toMatch(untrusted)
  })

  it('is never left out: a server without TLS is refused, and one with TLS refuses plain text', async () => {
    const other = await startRedisServer()
    try {
      expect(await use('', other.url.replace('redis:', 'rediss:'))).toMatch(/Redis cannot be reached/)
    } finally {
      await other.stop()
    }
    expect(await use('', redis.url.replace('rediss:', 'redis:'))).toMatch(/Redis cannot be reached/)
  })

  it('has a user of an ACL, whose keys are ours alone', async () => {
    await present(certificates.good)
    await redis.command('ACL', 'SETUSER', 'mirror', 'on', '>p@ss/word', '~{bk*', '&*', '+@all', '-@dangerous', '+info')
    const as = (password: string) => redis.url.replace('//', `//mirror:${encodeURIComponent(password)}@`)
    expect(await use('sslrootcert=<ca>', as('p@ss/word'))).toBeUndefined()
    const fault = await use('sslrootcert=<ca>', as('wrong'))
    expect(fault).toBeDefined()
    expect(fault).not.toContain('wrong')
  })

  it('has a certificate of the client, where the server demands one', async () => {
    const strict = await startRedisServer({ ...certificates.good, ca: certificates.ca, clients: 'yes' })
    try {
      expect(await use('sslrootcert=<ca>&sslcert=<cert>&sslkey=<key>', strict.url)).toBeUndefined()
      expect(await use('sslrootcert=<ca>', strict.url)).toMatch(/Redis cannot be reached/)
    } finally {
      await strict.stop()
    }
  })
})

describe.each(testQueueBackends())('a whole service with the queue on %s', (backend) => {
  it('reads its secrets from files and connects only with TLS', async () => {
    const own = await startOwnPostgres()
    await own.demandTls(certificates.good)
    const redis = await startRedisServer({ ...certificates.good, ca: certificates.ca, clients: 'no' })
    const simulation = createSimulation({ seed: 18, clock: realClock })
    simulation.writeHistory({ builds: 20, days: 2 })
    const api = await simulation.startApi()
    const secret = 'the-secret-of-tls-tests'
    const adminToken = 'the-admin-token-of-tls-tests'
    const database = new URL(own.url)
    database.hostname = 'localhost'
    const urls = (query: string) => ({
      DATABASE_URL: `${database}?${filled(query)}`,
      ...(backend === 'redis' ? { REDIS_URL: `${redis.url}?${filled(query)}` } : {}),
    })
    const given = {
      ...urls(withCa),
      BUILDKITE_API_TOKEN: demoToken.token,
      WEBHOOK_SECRET: secret,
      ADMIN_TOKEN: adminToken,
    }
    const settings: Record<string, string> = {
      BUILDKITE_API_URL: api.url,
      RECONCILE_INTERVAL: '1s',
      API_BUDGET_SHARE: '1',
    }
    for (const [name, value] of Object.entries(given))
      settings[`${name}_FILE`] = await certificates.write(`${backend}-${name}`, `${value}\n`)
    const service = await startService(settings)
    try {
      const webhooks = simulation.startWebhooks({ url: () => `${service.publicUrl}/webhooks/buildkite`, secret })
      await simulation.play({ builds: 5 })
      await webhooks.settled()
      expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
      const headers = { authorization: `Bearer ${adminToken}` }
      const status = async () => (await fetch(`${service.privateUrl}/status`, { headers })).text()
      await until(async () => (await status()).includes('"done":true'), 'history is read', 60_000)

      const sound = await runCommand(['check', '--json'], settings)
      const result = (name: string) =>
        JSON.parse(sound.stdout).find((one: { name: string }) => one.name === name)?.result
      for (const name of ['postgres_plain_text', 'postgres_unreachable', 'queue_unreachable', 'token_sent_elsewhere'])
        expect([name, result(name)]).toEqual([name, 'ok'])
      expect(result('redis_plain_text')).toBe(backend === 'redis' ? 'ok' : undefined)

      const wrong = urls('sslmode=verify-full&sslrootcert=<otherCa>')
      const check = await runCommand(['check'], wrong)
      expect(check.code).toBe(1)
      expect(check.stdout.match(new RegExp(untrusted, 'g'))).toHaveLength(2)
      const migrated = await runCommand(['migrate'], wrong)
      expect([migrated.code, migrated.stderr]).toEqual([1, expect.stringMatching(untrusted)])
      expect(service.output()).not.toMatch(/Queue error|cannot be reached/)
    } finally {
      expect(await service.stop()).toBe(0)
      await simulation.stop()
      await redis.stop()
      await own.stop()
    }
  })
})
