import { memoryBudget } from '../buildkite/budget.ts'
import { type Config, readConfig } from '../config.ts'
import { openDatabase } from '../database/connection.ts'
import { findEmbedded } from '../database/embedded.ts'
import { pendingMigrations } from '../database/migrate.ts'
import { BuildkiteError, messageOf } from '../errors.ts'
import { createLog, type Log } from '../log.ts'
import { openQueues } from '../queue/queues.ts'
import { openAccess } from '../reconcile/access.ts'
import type { Source } from '../reconcile/deps.ts'
import { problemOf } from '../reconcile/problem.ts'
import type { InspectedToken } from '../reconcile/token.ts'
import { inScope } from '../scope.ts'
import type { Command, Io } from './command.ts'
import { table } from './terminal.ts'

/** One thing looked at. `code` is Buildkite's error class where there is one; `remedy` what to do. */
interface Finding {
  check: string
  result: 'ok' | 'warning' | 'failed'
  detail: string
  code?: string
  remedy?: string
}

export const check: Command = {
  name: 'check',
  summary: 'validate token, scopes, expiry, organizations, database and queue',
  about:
    'Looks at everything the service needs, changes nothing, and says for each fault what to do. Exit 1 when something failed;\n' +
    'for the token with one of the codes invalid_credentials, invalid_permissions, no_resources.',
  options: { json: { about: 'print JSON' } },
  async run(values, io) {
    const config = readConfig(io.env)
    const log = createLog('silent')
    const findings = [
      ...(await checkBuildkite(config, log)),
      ...checkWebhooks(config),
      ...(await checkStores(config, log)),
    ]
    if (values.json) io.stdout.write(`${JSON.stringify(findings, null, 2)}\n`)
    else print(findings, io)
    return findings.some(({ result }) => result === 'failed') ? 1 : 0
  },
}

async function checkBuildkite(config: Config, log: Log): Promise<Finding[]> {
  if (config.apiTokens.length === 0) {
    const remedy =
      'Set BUILDKITE_API_TOKEN to a token with the scopes read_builds, read_pipelines and read_organizations.'
    const detail = 'not set: only webhooks would be mirrored, and what they miss would stay missing'
    return [{ check: 'token', result: 'warning', detail, remedy }]
  }
  const scope = inScope(config)
  const access = openAccess(config, { budget: memoryBudget(config.apiBudgetShare), scope, log, clock: Date.now })
  try {
    const { tokens, sources } = await access.current()
    const findings = tokens.flatMap(describeToken)
    for (const source of sources) findings.push(await checkPipelines(source, scope.pipeline))
    return findings
  } finally {
    await access.close()
  }
}

function describeToken({ label, token, problems }: InspectedToken): Finding[] {
  const found: Finding[] = problems.map(({ subject, code, message, remedy }) => ({
    check: subject,
    result: code === 'expires_soon' ? 'warning' : 'failed',
    detail: message,
    code,
    remedy,
  }))
  if (found.some(({ result }) => result === 'failed') || !token) return found
  const expiry = token.expires_at ? `expires ${token.expires_at.toISOString()}` : 'never expires'
  return [{ check: label, result: 'ok', detail: `scopes ${token.scopes.join(', ')}; ${expiry}` }, ...found]
}

async function checkPipelines({ slug, client }: Source, wanted: (slug: string) => boolean): Promise<Finding> {
  const name = `organization ${slug}`
  try {
    let seen = 0
    let chosen = 0
    for await (const page of client.pipelines(slug)) {
      for (const pipeline of page.value) {
        seen++
        if (typeof pipeline === 'object' && pipeline && 'slug' in pipeline && wanted(String(pipeline.slug))) chosen++
      }
    }
    if (chosen > 0) return { check: name, result: 'ok', detail: `${chosen} of ${seen} pipelines are mirrored` }
    const detail = seen === 0 ? 'the token sees no pipeline' : `none of its ${seen} pipelines is wanted`
    const remedy =
      seen === 0
        ? "Give the token's user access to pipelines: Buildkite leaves out what that user cannot see."
        : 'Check PIPELINES_INCLUDE and PIPELINES_EXCLUDE.'
    return { check: name, result: 'failed', detail, code: 'no_resources', remedy }
  } catch (error) {
    if (!(error instanceof BuildkiteError)) throw error
    const { code, message, remedy } = problemOf(name, error)
    return { check: name, result: 'failed', detail: message, code, remedy }
  }
}

function checkWebhooks(config: Config): Finding[] {
  if (config.webhookSecrets.length > 0) {
    return [{ check: 'webhooks', result: 'ok', detail: `authenticated by ${config.webhookAuth}` }]
  }
  const detail = 'WEBHOOK_SECRET is not set: webhooks would be answered with 503'
  const remedy = "Set it to the token that Buildkite shows in the webhook's settings."
  return [{ check: 'webhooks', result: 'warning', detail, remedy }]
}

async function checkStores(config: Config, log: Log): Promise<Finding[]> {
  const url = config.databaseUrl ?? (await findEmbedded(config.dataDir))
  if (!url) {
    const detail = `embedded PostgreSQL in ${config.dataDir}, not running; the service starts it`
    const queue: Finding[] = config.redisUrl ? [await checkQueue(config, '', log)] : []
    return [{ check: 'database', result: 'ok', detail }, ...queue]
  }
  return [await checkDatabase(url), await checkQueue(config, url, log)]
}

async function checkDatabase(url: string): Promise<Finding> {
  const database = openDatabase(url, { name: 'check', connections: 1 })
  try {
    await database.ping()
    const pending = await pendingMigrations(database.db)
    const detail =
      pending === 0
        ? 'answers; its schema is up to date'
        : `answers; ${pending} migrations to apply, which the service does`
    return { check: 'database', result: 'ok', detail }
  } catch (error) {
    const remedy = 'Check DATABASE_URL, and that Postgres runs and lets us in from here.'
    return { check: 'database', result: 'failed', detail: messageOf(error), remedy }
  } finally {
    await database.close()
  }
}

async function checkQueue(config: Config, databaseUrl: string, log: Log): Promise<Finding> {
  const queues = await openQueues({ redisUrl: config.redisUrl, databaseUrl }, log)
  try {
    const [warning] = await queues.check()
    if (warning) return { check: 'queue', result: 'warning', detail: warning }
    return { check: 'queue', result: 'ok', detail: `answers, on ${queues.backend}` }
  } catch (error) {
    const remedy = config.redisUrl ? 'Check REDIS_URL, and that Redis runs and lets us in from here.' : 'See database.'
    return { check: 'queue', result: 'failed', detail: messageOf(error), remedy }
  } finally {
    await queues.close(2_000)
  }
}

function print(findings: readonly Finding[], io: Io): void {
  const rows = findings.map(({ check: what, result, detail, code }) => [
    what,
    result,
    code && code !== 'expires_soon' ? `${code}: ${detail}` : detail,
  ])
  io.stdout.write(`${table([['check', 'result', 'detail'], ...rows])}\n`)
  const remedies = findings.filter(({ remedy }) => remedy)
  if (remedies.length > 0) io.stdout.write('\n')
  for (const { check: what, remedy } of remedies) io.stdout.write(`${what}: ${remedy}\n`)
}
