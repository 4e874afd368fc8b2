import { existsSync, readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { ConfigError, shownPath } from './errors.ts'
import { isLoopback } from './ip-range.ts'
import { readRedisUrl } from './redis-url.ts'
import {
  allowedIps,
  baseUrl,
  duration,
  flag,
  list,
  number,
  oneOf,
  port,
  ranges,
  roles,
  secrets,
  shown,
  storeUrl,
  token,
  tokens,
  url,
} from './setting-formats.ts'
import { readStoreUrl } from './store-url.ts'

export type { Role } from './setting-formats.ts'
export type WebhookAuth = Config['webhookAuth']

/** One setting as users see it: its variable, what it does, and its default in words. The help and docs/reference/settings.md are made from it. */
export interface Setting {
  name: string
  about: string
  default: string
  /** Whether it holds a secret. The variable with _FILE after its name then gives the path of a file with the value. */
  isSecret?: boolean
}

const descriptions = z.registry<Omit<Setting, 'name'>>()

/** Marks a setting that holds a secret. */
function secret<T extends z.ZodType>(shape: T): T {
  const description = descriptions.get(shape)
  if (description) descriptions.add(shape, { ...description, isSecret: true })
  return shape
}

/** A setting whose default is a value. */
const withDefault = <T>(shape: z.ZodType<T, string>, value: string, about: string) =>
  shape.prefault(value).register(descriptions, { about, default: value })
/** A setting that may be missing; `without` says what happens then. */
const optional = <T>(shape: z.ZodType<T, string>, without: string, about: string) =>
  shape.optional().register(descriptions, { about, default: without })
/** A list that may be empty; `without` says what happens then. */
const maybeEmpty = <T>(shape: z.ZodType<readonly T[], string>, without: string, about: string) =>
  shape.prefault('').register(descriptions, { about, default: without })

/** Every setting, in the order in which the help and docs/reference/settings.md show them. */
const environment = z.object({
  DATABASE_URL: secret(
    optional(
      storeUrl(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/buildkite', readStoreUrl),
      'an embedded PostgreSQL in DATA_DIR',
      'Postgres database for the mirror; sslmode and sslrootcert as in libpq (docs/operations/tls.md)',
    ),
  ),
  DATA_DIR: withDefault(z.string(), './data', 'Data folder of the embedded PostgreSQL'),
  REDIS_URL: secret(
    optional(
      storeUrl(['redis:', 'rediss:'], 'redis://host:6379', readRedisUrl),
      'the queue is in Postgres',
      'Redis for the queue: a server, a cluster or Sentinels (docs/operations/deployment.md); rediss: for TLS',
    ),
  ),
  BUILDKITE_API_TOKEN: secret(
    maybeEmpty(
      tokens,
      'none: webhooks only',
      'API access token, or several separated by commas; scopes read_builds, read_pipelines, read_organizations',
    ),
  ),
  BUILDKITE_API_URL: withDefault(
    baseUrl,
    'https://api.buildkite.com/v2',
    "Buildkite's REST API; http: only for this machine",
  ),
  BUILDKITE_ORGANIZATIONS: maybeEmpty(list, 'all the token sees', 'Organizations to mirror: slugs or globs'),
  PIPELINES_INCLUDE: maybeEmpty(list, 'all', 'Pipelines to mirror: slugs or globs'),
  PIPELINES_EXCLUDE: maybeEmpty(list, 'none', 'Pipelines not to mirror: slugs or globs'),
  WEBHOOK_SECRET: secret(
    maybeEmpty(
      secrets,
      'none: the receiver answers 503',
      "The webhook's token from Buildkite, 16 characters or more; several, separated by commas, while rotating",
    ),
  ),
  WEBHOOK_AUTH: withDefault(
    oneOf(['signature', 'token']),
    'signature',
    'How webhooks are authenticated: signature or token',
  ),
  WEBHOOK_TOLERANCE: withDefault(
    duration,
    '5m',
    "Maximum difference between a signature's time and the service's clock",
  ),
  WEBHOOK_ALLOWED_IPS: optional(
    allowedIps,
    'every address',
    'Addresses that may send webhooks: buildkite (the list that Buildkite publishes) or ranges such as 192.0.2.0/24; does not replace the secret',
  ),
  TRUST_PROXY: maybeEmpty(
    ranges,
    'none: the peer is the client',
    'Addresses of your own proxies in front of the listeners, whose X-Forwarded-For is trusted. Add no others: a trusted peer can claim any address',
  ),
  HOST: withDefault(z.string(), '0.0.0.0', 'Address of the public listener'),
  PORT: withDefault(port, '8080', 'Port of the public listener'),
  ADMIN_HOST: withDefault(z.string(), '127.0.0.1', 'Address of the private listener'),
  ADMIN_PORT: withDefault(port, '8081', 'Port of the private listener'),
  ADMIN_TOKEN: secret(
    optional(
      token,
      'none',
      'Token for the private listener, 16 characters or more; required when ADMIN_HOST is not loopback',
    ),
  ),
  READER_TOKEN: secret(
    optional(
      token,
      'none',
      'Second token for the private listener, which may look and not act; needs ADMIN_TOKEN, and must differ from it',
    ),
  ),
  HTTPS_PROXY: secret(
    optional(url(['http:', 'https:'], 'http://proxy.internal:3128'), 'none', 'Proxy for requests to Buildkite'),
  ),
  NO_PROXY: maybeEmpty(list, 'none', 'Hosts to call without the proxy'),
  BACKFILL_DAYS: withDefault(
    number((n) => n >= 0 && n <= 36_500, 'Use a number of days from 0 (no backfill) to 36500.'),
    '90',
    'How many days of history to fetch',
  ),
  RECONCILE_INTERVAL: withDefault(duration, '1m', 'How often changes are read from the REST API'),
  API_BUDGET_SHARE: withDefault(
    number((n) => n > 0 && n <= 1, 'Use a share above 0 and up to 1, such as 0.5.'),
    '0.5',
    "Share of Buildkite's rate limits that the mirror may use",
  ),
  PAYLOAD_RETENTION_DAYS: withDefault(
    number((n) => n >= 0 && n <= 36_500, 'Use a number of days from 0 to 36500.'),
    '7',
    'Days to keep the payloads of applied webhooks',
  ),
  DELIVERY_RETENTION_DAYS: withDefault(
    number((n) => n >= 1 && n <= 36_500, 'Use a number of days from 1 to 36500.'),
    '365',
    'Days to keep the rows of applied webhooks in `sync.deliveries`, without their payloads',
  ),
  STORE_ENV: withDefault(flag, 'false', 'Store env, pipeline configuration and steps, which may hold secrets'),
  STORE_ANNOTATIONS: withDefault(flag, 'false', 'Fetch the annotations of finished builds, one request a build'),
  STORE_ARTIFACTS: withDefault(
    flag,
    'false',
    'Fetch the names and sizes of the artifacts of finished builds, one request a build; scope read_artifacts',
  ),
  ROLES: withDefault(roles, 'web,worker,reconciler', 'What this process does: any of web, worker, reconciler'),
  AUTO_MIGRATE: withDefault(
    flag,
    'true',
    "Migrate the database to this version's schema at start; if false, only the command migrate does, and work that needs the new schema waits",
  ),
  LOG_LEVEL: withDefault(
    oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    'info',
    'trace, debug, info, warn, error, fatal or silent',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: optional(
    url(['http:', 'https:'], 'http://collector:4318'),
    'none: no traces',
    "OTLP/HTTP endpoint for traces; OpenTelemetry's other variables work too (docs/operations/traces.md)",
  ),
})

type Settings = z.output<typeof environment>

/** What users see of each setting. */
export const settings: readonly Setting[] = Object.entries(environment.shape).map(([name, shape]) => {
  const { about, ...rest } = descriptions.get(shape) ?? { about: '', default: '' }
  return { name, about: rest.isSecret ? `${about}; may be in a file: ${name}_FILE` : about, ...rest }
})

/** Whether both listeners would use the same address; port 0 means any free port. */
function isTaken({ HOST, PORT, ADMIN_HOST, ADMIN_PORT }: Settings): boolean {
  if (PORT !== ADMIN_PORT || PORT === 0) return false
  const isEvery = (host: string) => host === '0.0.0.0' || host === '::'
  const isNamed = (host: string) => host === 'localhost'
  if (isEvery(HOST) || isEvery(ADMIN_HOST) || HOST === ADMIN_HOST) return true
  return isLoopback(HOST) && isLoopback(ADMIN_HOST) && (isNamed(HOST) || isNamed(ADMIN_HOST))
}

/** The settings of one run, checked and frozen. Durations are in milliseconds. */
export type Config = Readonly<ReturnType<typeof configOf>>

/**
 * Reads and checks the whole configuration.
 * @throws ConfigError naming every wrong variable, what is wrong with it and what to write instead.
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  const faults: string[] = []
  const given = Object.fromEntries(settings.map((setting) => [setting.name, givenValue(setting, env, faults)]))
  const result = environment.safeParse({
    ...given,
    HTTPS_PROXY: given.HTTPS_PROXY ?? (env.https_proxy || undefined),
    NO_PROXY: given.NO_PROXY ?? (env.no_proxy || undefined),
  })
  faults.push(...(result.error?.issues ?? []).map((issue) => `${issue.path.join('.')} ${issue.message}`))
  const adminHost = given.ADMIN_HOST ?? '127.0.0.1'
  if (!isLoopback(adminHost) && !given.ADMIN_TOKEN && !env.ADMIN_TOKEN_FILE) {
    faults.push(
      `ADMIN_TOKEN is not set, but ADMIN_HOST is ${shown(adminHost)}, which opens the private listener beyond this machine. ` +
        'Set ADMIN_TOKEN to a long random value, or leave ADMIN_HOST at 127.0.0.1.',
    )
  }
  const reader = result.data?.READER_TOKEN
  if (reader !== undefined && result.data?.ADMIN_TOKEN === undefined) {
    faults.push('READER_TOKEN is set without ADMIN_TOKEN, so everybody may act. Set ADMIN_TOKEN too.')
  } else if (reader !== undefined && reader === result.data?.ADMIN_TOKEN) {
    faults.push('READER_TOKEN is the same as ADMIN_TOKEN, so readers may act. Generate another one.')
  }
  if (env.PGSSLMODE && given.DATABASE_URL && !given.DATABASE_URL.includes('sslmode=')) {
    faults.push('PGSSLMODE is set, but the service reads only DATABASE_URL. Add sslmode to it, or unset PGSSLMODE.')
  }
  if (result.success && isTaken(result.data)) {
    faults.push(
      `ADMIN_PORT and PORT are both ${result.data.ADMIN_PORT}, but the two listeners need different ports. Change one of them.`,
    )
  }
  if (!result.success || faults.length > 0) throw new ConfigError(faults.join('\n'))
  return Object.freeze(configOf(result.data))
}

/** The value of a setting, from its variable or from the file that its variable with _FILE names. Adds to `faults`. */
function givenValue(
  { name, isSecret }: Setting,
  env: Record<string, string | undefined>,
  faults: string[],
): string | undefined {
  // An empty variable means "not set", as with `FOO=` in a compose or .env file.
  const value = env[name]?.trim() || undefined
  const file = isSecret ? env[`${name}_FILE`]?.trim() : undefined
  if (!file) return value
  if (value !== undefined) {
    faults.push(`${name} and ${name}_FILE are both set. Unset one of them.`)
    return undefined
  }
  const path = shownPath(file)
  try {
    const content = readFileSync(file, 'utf8').trim()
    if (content === '') faults.push(`${name}_FILE names ${path}, which is empty. Write the value into it.`)
    return content || undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : 'unknown error'
    faults.push(`${name}_FILE names ${path}, which cannot be read (${code}). Give the path of a readable file.`)
    return undefined
  }
}

function configOf(value: Settings) {
  return {
    databaseUrl: value.DATABASE_URL,
    dataDir: value.DATA_DIR,
    redisUrl: value.REDIS_URL,
    apiTokens: value.BUILDKITE_API_TOKEN,
    apiUrl: value.BUILDKITE_API_URL.replace(/\/+$/, ''),
    organizations: value.BUILDKITE_ORGANIZATIONS,
    pipelinesInclude: value.PIPELINES_INCLUDE,
    pipelinesExclude: value.PIPELINES_EXCLUDE,
    webhookSecrets: value.WEBHOOK_SECRET,
    webhookAuth: value.WEBHOOK_AUTH,
    webhookToleranceMs: value.WEBHOOK_TOLERANCE,
    webhookAllowedIps: value.WEBHOOK_ALLOWED_IPS,
    trustProxy: value.TRUST_PROXY,
    host: value.HOST,
    port: value.PORT,
    adminHost: value.ADMIN_HOST,
    adminPort: value.ADMIN_PORT,
    adminToken: value.ADMIN_TOKEN,
    readerToken: value.READER_TOKEN,
    httpsProxy: value.HTTPS_PROXY,
    noProxy: value.NO_PROXY,
    backfillDays: value.BACKFILL_DAYS,
    reconcileIntervalMs: value.RECONCILE_INTERVAL,
    apiBudgetShare: value.API_BUDGET_SHARE,
    payloadRetentionDays: value.PAYLOAD_RETENTION_DAYS,
    deliveryRetentionDays: value.DELIVERY_RETENTION_DAYS,
    storeEnv: value.STORE_ENV,
    storeAnnotations: value.STORE_ANNOTATIONS,
    storeArtifacts: value.STORE_ARTIFACTS,
    roles: value.ROLES,
    autoMigrate: value.AUTO_MIGRATE,
    logLevel: value.LOG_LEVEL,
  }
}

/** The `.env` file of the working directory, if there is one, overridden by the process's environment. */
export function readEnvironment(file = '.env'): Record<string, string | undefined> {
  return existsSync(file) ? { ...parseEnv(readFileSync(file, 'utf8')), ...process.env } : process.env
}

/**
 * Copies variables of `env` that begin with `prefix` to the process's environment, unless they are set there. Some libraries read only
 * that, and `env` also holds the `.env` file. Returns `env`.
 */
export function copyToProcess(env: Record<string, string | undefined>, prefix: string) {
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && value) process.env[name] ||= value
  }
  return env
}
