import { existsSync, readFileSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { ConfigError } from './errors.ts'
import { parseDuration } from './time.ts'

export type Role = 'web' | 'worker' | 'reconciler'
export type WebhookAuth = 'signature' | 'token'

/** One setting as the user knows it: its variable, what it does, and its default in words. The help and the README are made from it. */
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

const duration = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const ms = parseDuration(text)
      if (ms !== undefined && ms > 0) return ms
      context.addIssue({ code: 'custom', message: `is "${text}", not a duration. Write it like 30s, 5m or 2h.` })
      return z.NEVER
    })

const url = (protocols: readonly string[], example: string) =>
  z.string().superRefine((text, context) => {
    // The value may hold a password, so it is never repeated in the message.
    const parsed = URL.canParse(text) ? new URL(text) : undefined
    if (parsed && protocols.includes(parsed.protocol)) return
    context.addIssue({ code: 'custom', message: `is not a ${protocols.join(' or ')} URL. Write it like ${example}.` })
  })

const number = (fallback: number, check: (value: number) => boolean, fault: string) =>
  z
    .string()
    .default(String(fallback))
    .transform((text, context) => {
      const value = Number(text)
      if (text.trim() !== '' && check(value)) return value
      context.addIssue({ code: 'custom', message: `is "${text}". ${fault}` })
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
      context.addIssue({ code: 'custom', message: `is "${text}". Use true or false.` })
      return z.NEVER
    })

const oneOf = <const T extends string>(values: readonly T[], fallback: NoInfer<T>) =>
  z
    .string()
    .default(fallback)
    .transform((text, context) => {
      const value = values.find((candidate) => candidate === text.trim())
      if (value) return value
      context.addIssue({ code: 'custom', message: `is "${text}". Use ${values.join(' or ')}.` })
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
    context.addIssue({ code: 'custom', message: `names "${wrong.join(', ')}". Use any of ${known.join(', ')}.` })
    return z.NEVER
  })

const none: string[] = []

const environment = z.object({
  DATABASE_URL: url(['postgres:', 'postgresql:'], 'postgres://user:password@host:5432/buildkite').optional(),
  DATA_DIR: z.string().default('./data'),
  REDIS_URL: url(['redis:', 'rediss:'], 'redis://host:6379').optional(),
  BUILDKITE_API_TOKEN: list.default(none),
  BUILDKITE_API_URL: url(['https:', 'http:'], 'https://api.buildkite.com/v2').default('https://api.buildkite.com/v2'),
  BUILDKITE_ORGANIZATIONS: list.default(none),
  PIPELINES_INCLUDE: list.default(none),
  PIPELINES_EXCLUDE: list.default(none),
  WEBHOOK_SECRET: list.default(none),
  WEBHOOK_AUTH: oneOf(['signature', 'token'], 'signature'),
  WEBHOOK_TOLERANCE: duration('5m'),
  HOST: z.string().default('0.0.0.0'),
  PORT: port(8080),
  ADMIN_HOST: z.string().default('127.0.0.1'),
  ADMIN_PORT: port(8081),
  ADMIN_TOKEN: z.string().optional(),
  HTTPS_PROXY: url(['http:', 'https:'], 'http://proxy.internal:3128').optional(),
  NO_PROXY: list.default(none),
  BACKFILL_DAYS: number(90, (n) => n >= 0 && n <= 36_500, 'Use a number of days from 0 (no backfill) to 36500.'),
  RECONCILE_INTERVAL: duration('1m'),
  API_BUDGET_SHARE: number(0.5, (n) => n > 0 && n <= 1, 'Use a share above 0 and up to 1, such as 0.5.'),
  PAYLOAD_RETENTION_DAYS: number(7, (n) => n >= 0 && n <= 36_500, 'Use a number of days from 0 to 36500.'),
  STORE_ENV: flag(false),
  ROLES: roles,
  LOG_LEVEL: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'], 'info'),
})

/** Every setting, in the order in which the help and the README show them. */
export const settings: readonly (Setting & { name: keyof z.input<typeof environment> })[] = [
  { name: 'DATABASE_URL', about: 'Postgres to keep the mirror in', default: 'an embedded PostgreSQL in DATA_DIR' },
  { name: 'DATA_DIR', about: 'Where the embedded PostgreSQL keeps its data', default: './data' },
  { name: 'REDIS_URL', about: 'Redis for the queue', default: 'the queue lives in Postgres' },
  {
    name: 'BUILDKITE_API_TOKEN',
    about: 'API access token, or several separated by commas; scopes read_builds, read_pipelines, read_organizations',
    default: 'none: webhooks only',
  },
  { name: 'BUILDKITE_API_URL', about: "Buildkite's REST API", default: 'https://api.buildkite.com/v2' },
  { name: 'BUILDKITE_ORGANIZATIONS', about: 'Organizations to mirror: slugs or globs', default: 'all the token sees' },
  { name: 'PIPELINES_INCLUDE', about: 'Pipelines to mirror: slugs or globs', default: 'all' },
  { name: 'PIPELINES_EXCLUDE', about: 'Pipelines to leave out: slugs or globs', default: 'none' },
  {
    name: 'WEBHOOK_SECRET',
    about: "The webhook's token from Buildkite; several, separated by commas, while rotating",
    default: 'none: the receiver answers 503',
  },
  { name: 'WEBHOOK_AUTH', about: 'How webhooks prove themselves: signature or token', default: 'signature' },
  { name: 'WEBHOOK_TOLERANCE', about: "How far a signature's time may be from ours", default: '5m' },
  { name: 'HOST', about: 'Address of the public listener', default: '0.0.0.0' },
  { name: 'PORT', about: 'Port of the public listener', default: '8080' },
  { name: 'ADMIN_HOST', about: 'Address of the private listener', default: '127.0.0.1' },
  { name: 'ADMIN_PORT', about: 'Port of the private listener', default: '8081' },
  {
    name: 'ADMIN_TOKEN',
    about: 'Asked for by the private listener when set; required when ADMIN_HOST is not loopback',
    default: 'none',
  },
  { name: 'HTTPS_PROXY', about: 'Proxy through which Buildkite is called', default: 'none' },
  { name: 'NO_PROXY', about: 'Hosts to call without the proxy', default: 'none' },
  { name: 'BACKFILL_DAYS', about: 'How many days of history to fetch', default: '90' },
  { name: 'RECONCILE_INTERVAL', about: 'How often the REST API is asked what changed', default: '1m' },
  { name: 'API_BUDGET_SHARE', about: "Share of Buildkite's rate limits that the mirror may use", default: '0.5' },
  { name: 'PAYLOAD_RETENTION_DAYS', about: 'How long applied webhook payloads are kept', default: '7' },
  { name: 'STORE_ENV', about: 'Keep env, pipeline configuration and steps, which may hold secrets', default: 'false' },
  { name: 'ROLES', about: 'What this process does: any of web, worker, reconciler', default: 'web,worker,reconciler' },
  { name: 'LOG_LEVEL', about: 'trace, debug, info, warn, error, fatal or silent', default: 'info' },
]

const isLoopback = (host: string) => host === 'localhost' || host === '::1' || host.startsWith('127.')

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
  readonly storeEnv: boolean
  readonly roles: ReadonlySet<Role>
  readonly logLevel: string
}

/**
 * Reads and checks the whole configuration.
 * @throws ConfigError naming every wrong variable, what is wrong with it and what to write instead.
 */
export function readConfig(env: Record<string, string | undefined>): Config {
  // An empty variable means "not set": that is what `FOO=` in a compose or .env file is meant to say.
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
      `ADMIN_TOKEN is not set, but ADMIN_HOST=${adminHost} opens the private listener beyond this machine. ` +
        'Set ADMIN_TOKEN to a long random value, or leave ADMIN_HOST at 127.0.0.1.',
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
    storeEnv: value.STORE_ENV,
    roles: value.ROLES,
    logLevel: value.LOG_LEVEL,
  })
}

/** The process's environment over the `.env` file of the working directory, if there is one. */
export function readEnvironment(file = '.env'): Record<string, string | undefined> {
  return existsSync(file) ? { ...parseEnv(readFileSync(file, 'utf8')), ...process.env } : process.env
}
