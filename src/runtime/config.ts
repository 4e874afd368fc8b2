import { existsSync, readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { ConfigError } from './errors.ts'
import { type IpRange, parseRange } from './ip-range.ts'
import { DAY, parseDuration } from './time.ts'

export type Role = 'web' | 'worker' | 'reconciler'
export type WebhookAuth = 'signature' | 'token'

/** One setting as users see it: its variable, what it does, and its default in words. The help and docs/reference/settings.md are made from it. */
export interface Setting {
  name: string
  about: string
  default: string
}

const list = z.string().transform((text) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
)

/** A value for an error message. A long or unusual value is not repeated: it may be a secret in the wrong line. */
const shown = (text: string) =>
  /^[\x20-\x7e]{0,16}$/.test(text) ? `"${text}"` : `a value of ${text.length} characters (not shown)`

/** Node timers longer than 24.8 days fire at once. */
const LONGEST_DURATION = 20 * DAY

const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== undefined && ms >= 1 && ms <= LONGEST_DURATION) return ms
      const fault = ms === undefined ? 'not a duration' : 'not a duration from 1ms to 20d'
      context.addIssue({ code: 'custom', message: `is ${shown(text)}, ${fault}. Write it like 30s, 5m or 2h.` })
      return z.NEVER
    })

const url = (protocols: readonly string[], example: string) =>
  z.string().superRefine((text, context) => {
    // The value may hold a password, so it is never repeated in the message.
    const parsed = URL.canParse(text) ? new URL(text) : undefined
    if (parsed && protocols.includes(parsed.protocol) && isDecodable(parsed)) return
    context.addIssue({ code: 'custom', message: `is not a ${protocols.join(' or ')} URL. Write it like ${example}.` })
  })

/** Database drivers decode percent-encoding, and throw if it is invalid. */
function isDecodable({ username, password, pathname }: URL): boolean {
  try {
    for (const part of [username, password, pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** The address that paths are appended to. */
const baseUrl = url(['https:', 'http:'], 'https://api.buildkite.com/v2').superRefine((text, context) => {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  if (!parsed || (!/[?#]/.test(text) && parsed.username === '' && parsed.password === '')) return
  context.addIssue({ code: 'custom', message: 'has a user, a ? or a #. Write it like https://api.buildkite.com/v2.' })
})

/** Whether a token can be sent in an Authorization header. */
const isSendable = (token: string) => /^[\x20-\x7e]+$/.test(token)
const unsendable =
  'has characters that are not allowed in an HTTP header. Copy it again: it has only ASCII letters, digits and signs.'

const number = (fallback: number, check: (value: number) => boolean, fault: string) =>
  z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = Number(text)
      if (text.trim() !== '' && check(value)) return value
      context.addIssue({ code: 'custom', message: `is ${shown(text)}. ${fault}` })
      return z.NEVER
    })

const port = (fallback: number) =>
  number(fallback, (n) => Number.isInteger(n) && n >= 0 && n <= 65_535, 'Use a whole number from 0 to 65535.')

const flag = (fallback: boolean) =>
  z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      if (/^(true|1|yes|on)$/i.test(text)) return true
      if (/^(false|0|no|off)$/i.test(text)) return false
      context.addIssue({ code: 'custom', message: `is ${shown(text)}. Use true or false.` })
      return z.NEVER
    })

const oneOf = <const T extends string>(values: readonly T[], fallback: NoInfer<T>) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const value = values.find((candidate) => candidate === text.trim())
      if (value) return value
      context.addIssue({ code: 'custom', message: `is ${shown(text)}. Use ${values.join(' or ')}.` })
      return z.NEVER
    })

const ranges = list.transform((parts, context) => {
  const known = parts.map(parseRange)
  const wrong = parts.find((_, index) => known[index] === undefined)
  if (wrong === undefined) return known.filter((range) => range !== undefined)
  context.addIssue({
    code: 'custom',
    message: `names ${shown(wrong)}. Write addresses like 192.0.2.0/24,198.51.100.12.`,
  })
  return z.NEVER
})

const allowedIps = z.string().transform((text, context) => {
  if (text.trim() === 'buildkite') return 'buildkite'
  const parsed = ranges.safeParse(text)
  if (parsed.success && parsed.data.length > 0) return parsed.data
  const fault = parsed.error?.issues[0]?.message ?? 'names no address.'
  context.addIssue({ code: 'custom', message: `${fault} Or write buildkite.` })
  return z.NEVER
})

const roles = z
  .string()
  .default('web,worker,reconciler')
  .transform((text, context) => {
    const known = ['web', 'worker', 'reconciler'] as const
    const named = text.split(',').map((part) => part.trim())
    const wrong = named.filter((part) => !known.some((role) => role === part))
    if (wrong.length === 0) return new Set<Role>(known.filter((role) => named.includes(role)))
    context.addIssue({ code: 'custom', message: `names ${shown(wrong.join(', '))}. Use any of ${known.join(', ')}.` })
    return z.NEVER
  })

const none: string[] = []

const environment = z.object({
  DATABASE_URL: url(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/buildkite').optional(),
  DATA_DIR: z.string().default('./data'),
  REDIS_URL: url(['redis:', 'rediss:'], 'redis://host:6379').optional(),
  BUILDKITE_API_TOKEN: list.refine((tokens) => tokens.every(isSendable), unsendable).default(none),
  BUILDKITE_API_URL: baseUrl.default('https://api.buildkite.com/v2'),
  BUILDKITE_ORGANIZATIONS: list.default(none),
  PIPELINES_INCLUDE: list.default(none),
  PIPELINES_EXCLUDE: list.default(none),
  WEBHOOK_SECRET: list.default(none),
  WEBHOOK_AUTH: oneOf(['signature', 'token'], 'signature'),
  WEBHOOK_TOLERANCE: duration('5m'),
  WEBHOOK_ALLOWED_IPS: allowedIps.optional(),
  TRUST_PROXY: ranges.default([]),
  HOST: z.string().default('0.0.0.0'),
  PORT: port(8080),
  ADMIN_HOST: z.string().default('127.0.0.1'),
  ADMIN_PORT: port(8081),
  ADMIN_TOKEN: z.string().refine(isSendable, unsendable).optional(),
  HTTPS_PROXY: url(['http:', 'https:'], 'http://proxy.internal:3128').optional(),
  NO_PROXY: list.default(none),
  BACKFILL_DAYS: number(90, (n) => n >= 0 && n <= 36_500, 'Use a number of days from 0 (no backfill) to 36500.'),
  RECONCILE_INTERVAL: duration('1m'),
  API_BUDGET_SHARE: number(0.5, (n) => n > 0 && n <= 1, 'Use a share above 0 and up to 1, such as 0.5.'),
  PAYLOAD_RETENTION_DAYS: number(7, (n) => n >= 0 && n <= 36_500, 'Use a number of days from 0 to 36500.'),
  DELIVERY_RETENTION_DAYS: number(365, (n) => n >= 1 && n <= 36_500, 'Use a number of days from 1 to 36500.'),
  STORE_ENV: flag(false),
  STORE_ANNOTATIONS: flag(false),
  STORE_ARTIFACTS: flag(false),
  ROLES: roles,
  AUTO_MIGRATE: flag(true),
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
  OTEL_EXPORTER_OTLP_ENDPOINT: url(['http:', 'https:'], 'http://collector:4318').optional(),
})

/** Every setting, in the order in which the help and docs/reference/settings.md show them. */
export const settings: readonly (Setting & { name: keyof z.input<typeof environment> })[] = [
  { name: 'DATABASE_URL', about: 'Postgres database for the mirror', default: 'an embedded PostgreSQL in DATA_DIR' },
  { name: 'DATA_DIR', about: 'Data folder of the embedded PostgreSQL', default: './data' },
  { name: 'REDIS_URL', about: 'Redis for the queue', default: 'the queue is in Postgres' },
  {
    name: 'BUILDKITE_API_TOKEN',
    about: 'API access token, or several separated by commas; scopes read_builds, read_pipelines, read_organizations',
    default: 'none: webhooks only',
  },
  { name: 'BUILDKITE_API_URL', about: "Buildkite's REST API", default: 'https://api.buildkite.com/v2' },
  { name: 'BUILDKITE_ORGANIZATIONS', about: 'Organizations to mirror: slugs or globs', default: 'all the token sees' },
  { name: 'PIPELINES_INCLUDE', about: 'Pipelines to mirror: slugs or globs', default: 'all' },
  { name: 'PIPELINES_EXCLUDE', about: 'Pipelines not to mirror: slugs or globs', default: 'none' },
  {
    name: 'WEBHOOK_SECRET',
    about: "The webhook's token from Buildkite; several, separated by commas, while rotating",
    default: 'none: the receiver answers 503',
  },
  { name: 'WEBHOOK_AUTH', about: 'How webhooks are authenticated: signature or token', default: 'signature' },
  {
    name: 'WEBHOOK_TOLERANCE',
    about: "Maximum difference between a signature's time and the service's clock",
    default: '5m',
  },
  {
    name: 'WEBHOOK_ALLOWED_IPS',
    about:
      'Addresses that may send webhooks: buildkite (the list that Buildkite publishes) or ranges such as 192.0.2.0/24; does not replace the secret',
    default: 'every address',
  },
  {
    name: 'TRUST_PROXY',
    about:
      'Addresses of your own proxies in front of the public listener, whose X-Forwarded-For is trusted. Add no others: a trusted peer can claim any address',
    default: 'none: the peer is the client',
  },
  { name: 'HOST', about: 'Address of the public listener', default: '0.0.0.0' },
  { name: 'PORT', about: 'Port of the public listener', default: '8080' },
  { name: 'ADMIN_HOST', about: 'Address of the private listener', default: '127.0.0.1' },
  { name: 'ADMIN_PORT', about: 'Port of the private listener', default: '8081' },
  {
    name: 'ADMIN_TOKEN',
    about: 'Token for the private listener; required when ADMIN_HOST is not loopback, with 16 characters or more',
    default: 'none',
  },
  { name: 'HTTPS_PROXY', about: 'Proxy for requests to Buildkite', default: 'none' },
  { name: 'NO_PROXY', about: 'Hosts to call without the proxy', default: 'none' },
  { name: 'BACKFILL_DAYS', about: 'How many days of history to fetch', default: '90' },
  { name: 'RECONCILE_INTERVAL', about: 'How often changes are read from the REST API', default: '1m' },
  { name: 'API_BUDGET_SHARE', about: "Share of Buildkite's rate limits that the mirror may use", default: '0.5' },
  { name: 'PAYLOAD_RETENTION_DAYS', about: 'Days to keep the payloads of applied webhooks', default: '7' },
  {
    name: 'DELIVERY_RETENTION_DAYS',
    about: 'Days to keep the rows of applied webhooks in `sync.deliveries`, without their payloads',
    default: '365',
  },
  { name: 'STORE_ENV', about: 'Store env, pipeline configuration and steps, which may hold secrets', default: 'false' },
  {
    name: 'STORE_ANNOTATIONS',
    about: 'Fetch the annotations of finished builds, one request a build',
    default: 'false',
  },
  {
    name: 'STORE_ARTIFACTS',
    about: 'Fetch the names and sizes of the artifacts of finished builds, one request a build; scope read_artifacts',
    default: 'false',
  },
  { name: 'ROLES', about: 'What this process does: any of web, worker, reconciler', default: 'web,worker,reconciler' },
  {
    name: 'AUTO_MIGRATE',
    about:
      "Migrate the database to this version's schema at start; if false, only the command migrate does, and work that needs the new schema waits",
    default: 'true',
  },
  { name: 'LOG_LEVEL', about: 'trace, debug, info, warn, error, fatal or silent', default: 'info' },
  {
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    about: "OTLP/HTTP endpoint for traces; OpenTelemetry's other variables work too (docs/operations/traces.md)",
    default: 'none: no traces',
  },
]

// A name such as 127.0.0.1.example.com may resolve to anything.
const isLoopback = (host: string) => host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))

type Addresses = Pick<z.output<typeof environment>, 'HOST' | 'PORT' | 'ADMIN_HOST' | 'ADMIN_PORT'>

/** Whether both listeners would use the same address; port 0 means any free port. */
function isTaken({ HOST, PORT, ADMIN_HOST, ADMIN_PORT }: Addresses): boolean {
  if (PORT !== ADMIN_PORT || PORT === 0) return false
  const isEvery = (host: string) => host === '0.0.0.0' || host === '::'
  const isNamed = (host: string) => host === 'localhost'
  if (isEvery(HOST) || isEvery(ADMIN_HOST) || HOST === ADMIN_HOST) return true
  return isLoopback(HOST) && isLoopback(ADMIN_HOST) && (isNamed(HOST) || isNamed(ADMIN_HOST))
}

/** The minimum length of an ADMIN_TOKEN that other machines can try. */
const SHORTEST_TOKEN = 16

/** The settings of one run, checked and frozen. Durations are in milliseconds. */
export interface Config {
  readonly databaseUrl: string | undefined
  readonly dataDir: string
  readonly redisUrl: string | undefined
  readonly apiTokens: readonly string[]
  readonly apiUrl: string
  readonly organizations: readonly string[]
  readonly pipelinesInclude: readonly string[]
  readonly pipelinesExclude: readonly string[]
  readonly webhookSecrets: readonly string[]
  readonly webhookAuth: WebhookAuth
  readonly webhookToleranceMs: number
  /** Which addresses may send webhooks: undefined for all, `buildkite` for the list from Buildkite's API. */
  readonly webhookAllowedIps: readonly IpRange[] | 'buildkite' | undefined
  /** Our own proxies, whose X-Forwarded-For is trusted. */
  readonly trustProxy: readonly IpRange[]
  readonly host: string
  readonly port: number
  readonly adminHost: string
  readonly adminPort: number
  readonly adminToken: string | undefined
  readonly httpsProxy: string | undefined
  readonly noProxy: readonly string[]
  readonly backfillDays: number
  readonly reconcileIntervalMs: number
  readonly apiBudgetShare: number
  readonly payloadRetentionDays: number
  readonly deliveryRetentionDays: number
  readonly storeEnv: boolean
  readonly storeAnnotations: boolean
  readonly storeArtifacts: boolean
  readonly roles: ReadonlySet<Role>
  /** Whether the service and the commands migrate the database automatically. */
  readonly autoMigrate: boolean
  readonly logLevel: string
}

/**
 * Reads and checks the whole configuration.
 * @throws ConfigError naming every wrong variable, what is wrong with it and what to write instead.
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  // An empty variable means "not set", as with `FOO=` in a compose or .env file.
  const given = Object.fromEntries(settings.map(({ name }) => [name, env[name]?.trim() || undefined]))
  const result = environment.safeParse({
    ...given,
    HTTPS_PROXY: given.HTTPS_PROXY ?? (env.https_proxy || undefined),
    NO_PROXY: given.NO_PROXY ?? (env.no_proxy || undefined),
  })
  const faults = result.success ? [] : result.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`)
  const adminHost = given.ADMIN_HOST ?? '127.0.0.1'
  if (!isLoopback(adminHost) && !given.ADMIN_TOKEN) {
    faults.push(
      `ADMIN_TOKEN is not set, but ADMIN_HOST is ${shown(adminHost)}, which opens the private listener beyond this machine. ` +
        'Set ADMIN_TOKEN to a long random value, or leave ADMIN_HOST at 127.0.0.1.',
    )
  } else if (!isLoopback(adminHost) && (given.ADMIN_TOKEN?.length ?? 0) < SHORTEST_TOKEN) {
    faults.push(
      `ADMIN_TOKEN has fewer than ${SHORTEST_TOKEN} characters, but ADMIN_HOST is ${shown(adminHost)}, which opens the private ` +
        'listener beyond this machine. Generate a longer one, for example with openssl rand -hex 24.',
    )
  }
  if (result.success && isTaken(result.data)) {
    faults.push(
      `ADMIN_PORT and PORT are both ${result.data.ADMIN_PORT}, but the two listeners need different ports. Change one of them.`,
    )
  }
  if (!result.success || faults.length > 0) throw new ConfigError(faults.join('\n'))
  const value = result.data
  return Object.freeze({
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
  })
}

/** The `.env` file of the working directory, if there is one, overridden by the process's environment. */
export function readEnvironment(file = '.env'): Record<string, string | undefined> {
  return existsSync(file) ? { ...parseEnv(readFileSync(file, 'utf8')), ...process.env } : process.env
}

/**
 * Copies variables of `env` that begin with `prefix` to the process's environment, unless they are set there. Some libraries read only
 * that, and `env` also holds the `.env` file. Returns `env`.
 */
export function lentToLibraries(env: Record<string, string | undefined>, prefix: string) {
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && value) process.env[name] ||= value
  }
  return env
}
