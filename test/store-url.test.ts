import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { checkConnections } from '../src/diagnostics/checks/connections.ts'
import { readConfig } from '../src/runtime/config.ts'
import { ConfigError, messageOf } from '../src/runtime/errors.ts'
import { readRedisUrl } from '../src/runtime/redis-url.ts'
import { readStoreUrl } from '../src/runtime/store-url.ts'

const folder = mkdtempSync(join(tmpdir(), 'bkm-store-url-'))
afterAll(() => rmSync(folder, { recursive: true }))
const noPem = join(folder, 'no.pem')
writeFileSync(noPem, 'hunter2')

function faultOf(env: Record<string, string>): string {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return messageOf(error)
    throw error
  }
  throw new Error('The URL was accepted.')
}

describe('the URL of a store', () => {
  it.each([
    ['postgres://u:p@db.example/x', undefined],
    ['postgres://u:p@db.example/x?sslmode=disable', undefined],
    ['redis://redis.example', undefined],
    ['postgres://u:p@db.example/x?sslmode=require', { rejectUnauthorized: false }],
    ['postgres://u:p@db.example/x?ssl=true', { rejectUnauthorized: false }],
    ['postgres://u:p@db.example/x?sslmode=prefer', { rejectUnauthorized: false }],
    ['postgres://u:p@db.example/x?sslmode=verify-full', { rejectUnauthorized: true }],
    ['postgres://u:p@db.example/x?ssl=true&sslmode=verify-full', { rejectUnauthorized: true }],
    ['postgres://u:p@db.example/x?sslmode=require&sslmode=verify-full', { rejectUnauthorized: true }],
    ['rediss://u:p@redis.example', { rejectUnauthorized: true }],
    ['rediss://u:p@redis.example?sslmode=require', { rejectUnauthorized: false }],
  ])('%s demands TLS as libpq reads it', (text, tls) => {
    const read = readStoreUrl(text).tls
    expect(read && { rejectUnauthorized: read.rejectUnauthorized }).toEqual(tls)
    // The host name is always checked when the CA is, except with verify-ca, which needs a file.
    if (read?.rejectUnauthorized) expect(read.checkServerIdentity).toBeUndefined()
  })

  it('keeps everything else of the URL', () => {
    const text = 'postgres://u:p%40@[::1]:5433/x?application_name=a&options=-c%20jit%3Doff'
    expect(readStoreUrl(text).url).toBe(text)
    const { url } = readStoreUrl(`${text}&sslmode=require`)
    expect(new URL(url).searchParams.get('options')).toBe('-c jit=off')
    expect(url).not.toContain('ssl')
  })

  it.each([
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=verify', 'has an unknown sslmode'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=no-verify', 'has an unknown sslmode'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=REQUIRE', 'has an unknown sslmode'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=', 'has an unknown sslmode'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?ssl=false', 'has the parameter ssl.'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=require&sslcrl=/x', 'has the parameter sslcrl.'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslrootcert=/x', 'has sslrootcert, but does not demand TLS'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=verify-ca', 'has sslmode=verify-ca without sslrootcert'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=require&sslrootcert=system', 'needs sslmode=verify-full'],
    ['DATABASE_URL', 'postgres://u:hunter2@h/x?sslmode=require&sslcert=/x', 'has only one of sslcert and sslkey'],
    [
      'DATABASE_URL',
      'postgres://u:hunter2@h/x?sslmode=verify-ca&sslrootcert=/nowhere',
      'has sslrootcert=/nowhere, which',
    ],
    [
      'DATABASE_URL',
      'postgres://u:p@h/x?sslmode=require&sslrootcert=hunter2',
      'not shown), which cannot be read (ENOENT)',
    ],
    [
      'DATABASE_URL',
      `postgres://u:p@h/x?sslmode=require&sslrootcert=${noPem}`,
      'certificates or a key that cannot be used',
    ],
    ['DATABASE_URL', `postgres://u:p@h/x?sslmode=require&sslcert=${noPem}&sslkey=${noPem}`, 'cannot be used'],
    ['REDIS_URL', 'redis://u:hunter2@h?sslmode=require', 'begins with redis:. Write rediss: for TLS.'],
    ['REDIS_URL', 'redis://u:hunter2@h?sslrootcert=/x', 'does not demand TLS'],
    ['REDIS_URL', 'rediss://u:hunter2@h?sslmode=disable', 'begins with rediss: but has sslmode=disable'],
  ])('is refused by a sentence that names the setting and no secret: %s=%s', (name, text, says) => {
    const fault = faultOf({ [name]: text })
    expect(fault).toMatch(new RegExp(`^${name} `))
    expect(fault).toContain(says)
    expect(fault).not.toContain('hunter2')
  })

  it('is the only place that says what TLS is wanted', () => {
    const DATABASE_URL = 'postgres://u:p@h/x'
    expect(faultOf({ DATABASE_URL, PGSSLMODE: 'require' })).toContain('Add sslmode to it')
    expect(readConfig({ DATABASE_URL: `${DATABASE_URL}?sslmode=require`, PGSSLMODE: 'disable' })).toBeDefined()
    expect(readConfig({ PGSSLMODE: 'require' })).toBeDefined()
  })
})

it('is read in one place, whatever connects', () => {
  const src = new URL('../src/', import.meta.url)
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const holding = (pattern: RegExp) => files.filter((file) => pattern.test(readFileSync(new URL(file, src), 'utf8')))
  expect(holding(/connectionString:/)).toEqual(['runtime/store-url.ts'])
  expect(holding(/new (Redis|Cluster)\(/)).toEqual(['queue/redis-connection.ts'])
  const connecting = holding(/new (pg\.(Client|Pool)|CalmClient)\(/)
  expect(connecting.length).toBeGreaterThan(4)
  expect(connecting.filter((file) => !holding(/postgresOptions|connectionOptions/).includes(file))).toEqual([])
})

describe('checkConnections', () => {
  const results = (settings: { databaseUrl?: string; redisUrl?: string; apiUrl?: string }) =>
    checkConnections({
      apiTokens: ['bkua_hunter2'],
      apiUrl: 'https://api.buildkite.com/v2',
      databaseUrl: undefined,
      redisUrl: undefined,
      ...settings,
    })
  const warnings = (settings: Parameters<typeof results>[0]) =>
    results(settings).flatMap(({ name, result }) => (result === 'warning' ? [name] : []))

  it.each([
    'postgres://u:hunter2@db.example/x',
    'postgres://u:hunter2@postgres/x',
    'postgres://u:hunter2@10.0.0.7/x',
    'postgres://u:hunter2@127.0.0.1.evil.example/x',
    'postgres://u:hunter2@localhost/x?host=db.example',
    'postgres://u:hunter2@[2001:db8::1]/x',
  ])('warns about %s, which is plain text to another machine', (databaseUrl) => {
    expect(warnings({ databaseUrl })).toEqual(['postgres_plain_text'])
    expect(JSON.stringify(results({ databaseUrl }))).not.toContain('hunter2')
  })

  it.each([
    'postgres://u:p@db.example/x?sslmode=require',
    'postgres://u:p@db.example/x?sslmode=disable',
    'postgres://u:p@127.0.0.1/x',
    'postgres://u:p@[::1]/x',
    'postgres://u:p@localhost/x',
    'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/x',
    'postgres://u:p@localhost/x?host=/var/run/postgresql',
  ])('does not warn about %s', (databaseUrl) => expect(warnings({ databaseUrl })).toEqual([]))

  it('warns about Redis in the same way', () => {
    expect(warnings({ redisUrl: 'redis://:hunter2@redis.example:6379' })).toEqual(['redis_plain_text'])
    for (const redisUrl of ['rediss://redis.example', 'redis://127.0.0.1', 'redis://redis.example?sslmode=disable'])
      expect(warnings({ redisUrl })).toEqual([])
  })

  it('warns when the API token is sent to another host than Buildkite', () => {
    expect(warnings({ apiUrl: 'https://api.buildkite.com.evil.example/v2' })).toEqual(['token_sent_elsewhere'])
    expect(warnings({ apiUrl: 'http://127.0.0.1:8080' })).toEqual([])
    expect(JSON.stringify(results({ apiUrl: 'https://gateway.example' }))).not.toContain('hunter2')
  })
})

describe('the URL of several servers of Redis', () => {
  it('names a cluster by some of its nodes', () => {
    const address = readRedisUrl('redis://u:p@one.example?cluster=true&node=two.example:7000&node=[::1]')
    expect(address.cluster).toEqual([
      { host: 'one.example', port: 6_379 },
      { host: 'two.example', port: 7_000 },
      { host: '::1', port: 6_379 },
    ])
    expect(address.url).toBe('redis://u:p@one.example')
  })

  it('names Sentinels, and the primary that they know', () => {
    const address = readRedisUrl('rediss://one.example/2?sentinel=mirror&node=two.example:7000')
    expect(address.sentinels).toEqual({
      name: 'mirror',
      nodes: [
        { host: 'one.example', port: 26_379 },
        { host: 'two.example', port: 7_000 },
      ],
    })
    expect(address.url).toBe('rediss://one.example/2')
    expect(address.tls).toMatchObject({ rejectUnauthorized: true })
  })

  it.each([
    ['redis://127.0.0.1?cluster=true&node=two.example', true],
    ['redis://127.0.0.1?cluster=true&node=two.example&sslmode=disable', false],
    ['rediss://127.0.0.1?cluster=true&node=two.example', false],
    ['redis://127.0.0.1?cluster=true&node=127.0.0.1:7000', false],
  ])('%s sends plain text to another machine: %s', (text, isExposed) => {
    expect(readRedisUrl(text).isExposed).toBe(isExposed)
  })

  it.each([
    ['cluster=yes', 'has an unknown value of cluster'],
    ['cluster=true&sentinel=a', 'has both cluster and sentinel'],
    ['sentinel=', 'has an empty sentinel'],
    ['node=two.example', 'has node, but neither'],
    ['cluster=true&node=u:hunter2@two.example', 'has a node that is no address'],
    ['cluster=true&node=two.example/1', 'has a node that is no address'],
    ['cluster=true&node=', 'has a node that is no address'],
  ])('with %s is refused, without its password', (query, says) => {
    const fault = faultOf({ REDIS_URL: `redis://u:hunter2@one.example?${query}` })
    expect(fault).toContain(says)
    expect(fault).not.toContain('hunter2')
  })

  it('of a cluster has no database', () => {
    expect(faultOf({ REDIS_URL: 'redis://one.example/1?cluster=true' })).toContain('has only database 0')
  })
})
