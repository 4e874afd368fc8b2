import { openDatabase } from '../../src/database/connection.ts'
import { type Config, readConfig, settings } from '../../src/runtime/config.ts'
import { ConfigError } from '../../src/runtime/errors.ts'
import { createRandom, type Random } from '../../src/simulator/random.ts'
import { type FuzzOptions, type FuzzReport, find, inTenths, newReport, tally } from './report.ts'

/** Part of every secret below, so that one search finds any of them. */
const canary = 'c4n4ry-0f-the-fuzzer'

const sane: Record<string, string> = {
  DATABASE_URL: `postgres://mirror:${canary}@db.internal:5432/buildkite?sslmode=require`,
  DATA_DIR: './data',
  REDIS_URL: `rediss://:${canary}@redis.internal:6379/1`,
  BUILDKITE_API_TOKEN: `bkua_${canary}, bkua_other_${canary}`,
  BUILDKITE_API_URL: 'https://api.buildkite.com/v2/',
  BUILDKITE_ORGANIZATIONS: 'acme,acme-*',
  PIPELINES_INCLUDE: 'web,mobile-*',
  PIPELINES_EXCLUDE: '*-sandbox',
  WEBHOOK_SECRET: `${canary}-1,${canary}-2`,
  WEBHOOK_AUTH: 'signature',
  WEBHOOK_TOLERANCE: '5m',
  WEBHOOK_ALLOWED_IPS: '192.0.2.0/24,2001:db8::/32',
  TRUST_PROXY: '10.0.0.0/8,::1',
  HOST: '0.0.0.0',
  PORT: '8080',
  ADMIN_HOST: '127.0.0.1',
  ADMIN_PORT: '8081',
  ADMIN_TOKEN: `admin-${canary}`,
  HTTPS_PROXY: `http://proxy:${canary}@proxy.internal:3128`,
  NO_PROXY: 'localhost,.internal',
  BACKFILL_DAYS: '90',
  RECONCILE_INTERVAL: '1m',
  API_BUDGET_SHARE: '0.5',
  PAYLOAD_RETENTION_DAYS: '7',
  DELIVERY_RETENTION_DAYS: '365',
  STORE_ENV: 'false',
  ROLES: 'web,worker,reconciler',
  LOG_LEVEL: 'info',
}

const odd: readonly string[] = [
  '',
  ' ',
  '\t\n',
  '\0',
  ',',
  ',,,',
  '0',
  '-0',
  '-1',
  '1e3',
  '0x10',
  '1_000',
  'Infinity',
  '-Infinity',
  'NaN',
  '9'.repeat(400),
  '65536',
  '1.5',
  '999999999999d',
  '1e9d',
  `${'9'.repeat(400)}h`,
  '0s',
  '0.0000001ms',
  '-5m',
  '5 m',
  'true',
  'null',
  'undefined',
  '__proto__',
  'constructor',
  '*',
  '**',
  '[',
  '(((((',
  'a{1,99999}',
  `${'*a'.repeat(60)}b`,
  '\ud800',
  'ü',
  'x\r\nX-Injected: 1',
  '127.0.0.1.evil.example',
  '127.',
  '::',
  '::ffff:127.0.0.1',
  'buildkite',
  '10.0.0.0/33',
  '10.0.0.0/-1',
  '::/129',
  'fe80::1%eth0/64',
  '1.2.3.4/8/8',
  'localhost.evil.example',
  'postgres://',
  'postgres://%ZZ:%ZZ@host/db',
  'postgres://u:p%ZZ@host:99999/db',
  'postgres://u:p@[::1/db',
  'postgresql://host/%E0%A4%A',
  'postgres://u:p@host/db?sslmode=%ZZ&sslcert=/nowhere',
  'redis://:%ZZ@host/x',
  'redis://host:6379/notanumber',
  'https://',
  'http://user:pass@host:0/v2?x=1#y',
  'postgres://u:p@h/db?sslmode=verify-ca&sslrootcert=/nowhere',
  'rediss://u:p@h?sslmode=wrong',
  'javascript:alert(1)',
  'file:///etc/passwd',
  'x'.repeat(100_000),
]

/**
 * Reads mutated environments. Each must give a configuration whose every figure is usable, or a ConfigError whose lines each name a
 * variable; no message may hold a secret.
 */
export async function fuzzSettings(options: FuzzOptions): Promise<FuzzReport> {
  const report = newReport('settings')
  await inTenths(report, { ...options, atOnce: 1 }, async (number) => {
    const random = createRandom(`${options.seed} settings ${number}`)
    const env = mutateEnvironment(random)
    try {
      const config = readConfig(env)
      tally(report, 'accepted')
      for (const fault of faultsOf(config)) find(report, `Settings ${number} were accepted, but ${fault}`)
      await tryOpening(config, (fault) => find(report, `Settings ${number} were accepted, but ${fault}`))
    } catch (error) {
      if (!(error instanceof ConfigError)) return find(report, `Settings ${number} threw ${String(error)}.`)
      tally(report, 'refused')
      if (error.message.includes(canary))
        find(report, `Settings ${number}: a message contains a secret: ${error.message}`)
      const unnamed = error.message.split('\n').filter((line) => !settings.some(({ name }) => line.startsWith(name)))
      if (unnamed.length > 0) find(report, `Settings ${number}: a line names no variable: ${unnamed.join(' / ')}`)
    }
  })
  return report
}

function mutateEnvironment(random: Random): Record<string, string | undefined> {
  const env: Record<string, string | undefined> = { ...sane }
  const names = Object.keys(env)
  const name = () => random.choose(names) ?? 'PORT'
  for (let count = random.int(1, 5); count > 0; count--) {
    const key = name()
    const value = env[key] ?? ''
    const at = random.int(0, value.length)
    switch (random.int(0, 6)) {
      case 0:
        env[key] = undefined
        break
      case 1:
        // As when two lines of a file are mixed up: a secret stands where none is expected.
        env[key] = env[name()]
        break
      case 2:
        env[key] = value.slice(0, at) + (random.choose(odd) ?? '') + value.slice(at)
        break
      case 3:
        env[key] = value.slice(0, at)
        break
      default:
        env[key] = random.choose(odd)
    }
  }
  return env
}

/** What would break, or do nothing, or everything, later on. */
function faultsOf(config: Config): string[] {
  const faults: string[] = []
  for (const [name, value] of Object.entries(config)) {
    if (typeof value === 'number' && !Number.isFinite(value)) faults.push(`${name} is ${value}.`)
  }
  // Beyond this a timer of Node's fires at once.
  for (const ms of [config.webhookToleranceMs, config.reconcileIntervalMs]) {
    if (ms > 2_147_483_647 || ms < 1) faults.push(`a duration is ${ms} ms.`)
  }
  for (const token of [...config.apiTokens, config.adminToken ?? '']) {
    if (!/^[\x20-\x7e]*$/.test(token)) faults.push('a token holds what no header can.')
  }
  const isHere = /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(config.adminHost)
  if (!isHere && (config.adminToken ?? '').length < 16)
    faults.push(`ADMIN_HOST ${config.adminHost} needs no long token.`)
  return faults
}

/** Nothing connects here, but a URL must be one that the driver can read. */
async function tryOpening({ databaseUrl }: Config, fault: (what: string) => void): Promise<void> {
  if (databaseUrl === undefined) return
  try {
    await openDatabase(databaseUrl, { name: 'fuzz' }).close(10)
  } catch (error) {
    fault(`the database's driver says ${error instanceof Error ? error.name : typeof error}.`)
  }
}
