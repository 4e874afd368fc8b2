import { memoryBudget } from '../buildkite/http/budget.ts'
import { openDatabase } from '../database/connection.ts'
import { findEmbedded } from '../database/embedded/embedded.ts'
import { isMirror } from '../database/migrations/migrate.ts'
import { checkDisk, readDisk } from '../diagnostics/checks/disk.ts'
import { listedPipelines } from '../diagnostics/checks/pipelines.ts'
import { type CheckResult, checkLabels, ok } from '../diagnostics/finding.ts'
import { checkBuildkite, checkPostgres, checkQueue } from '../diagnostics/run.ts'
import { openAccess } from '../reconcile/access/access.ts'
import { type Config, readConfig } from '../runtime/config.ts'
import { createLog, type Log } from '../runtime/log.ts'
import { mirrorFilter } from '../runtime/scope.ts'
import type { Command, Io } from './shell/command.ts'
import { type Paint, paintFor, table } from './shell/terminal.ts'

export const check: Command = {
  name: 'check',
  summary: 'check token, webhook, clock, stores and lag',
  about:
    'Checks everything that the service needs, changes nothing, and prints a remedy for each fault; docs/reference/checks.md lists\n' +
    'them by the names in brackets.\n' +
    'Exit code 1 if a check failed; a failed token has the code invalid_credentials, invalid_permissions or no_resources.',
  options: { json: { about: 'print JSON' } },
  async run(values, io) {
    const config = readConfig(io.env)
    const log = createLog('silent')
    const findings = [...(await readBuildkite(config, log)), ...(await checkStores(config, log))]
    if (values.json) io.stdout.write(`${JSON.stringify(findings, null, 2)}\n`)
    else print(findings, io, paintFor(io.stdout, io.env))
    return findings.some(({ result }) => result === 'failed') ? 1 : 0
  },
}

async function readBuildkite(config: Config, log: Log): Promise<readonly CheckResult[]> {
  const filter = mirrorFilter(config)
  const access = openAccess(config, { budget: memoryBudget(config.apiBudgetShare), filter, log, clock: Date.now })
  try {
    const discovery = await access.current()
    const client = (id: string) => discovery.tokens.find(({ wanted }) => wanted.some((one) => one.id === id))?.client
    const examined = await checkBuildkite({
      config,
      filter,
      discovery,
      pipelines: ({ id, slug }) => listedPipelines(client(id), slug),
      priority: 'hot',
    })
    return examined.findings
  } finally {
    await access.close()
  }
}

async function checkStores(config: Config, log: Log): Promise<CheckResult[]> {
  const url = config.databaseUrl ?? (await findEmbedded(config.dataDir))
  if (url) return [...(await readPostgres(config, url)), ...(await readQueue(config, url, log))]
  const detail = `The embedded PostgreSQL in ${config.dataDir} is not running; the service starts it.`
  return [
    ok('postgres_unreachable', '', detail),
    ...checkDisk(undefined, await readDisk(config.dataDir)),
    ...(config.redisUrl ? await readQueue(config, '', log) : []),
  ]
}

async function readPostgres(config: Config, url: string): Promise<CheckResult[]> {
  const database = openDatabase(url, { name: 'check', connections: 1 })
  try {
    return await checkPostgres(database, config, mirrorFilter(config), Date.now())
  } finally {
    await database.close()
  }
}

async function readQueue(config: Config, databaseUrl: string, log: Log): Promise<CheckResult[]> {
  // Loaded only now, because loading BullMQ is slow.
  const { openQueues } = await import('../queue/queues.ts')
  const { redisUrl, webhookSecrets } = config
  if (!redisUrl && !(await isMirror(databaseUrl).catch(() => true)))
    return [ok('queue_unreachable', '', 'The database is empty; the service creates the queue when it starts.')]
  const queues = await openQueues({ redisUrl, databaseUrl, webhookSecret: webhookSecrets[0], mayMigrate: false }, log)
  try {
    return await checkQueue(queues)
  } finally {
    await queues.close(2_000)
  }
}

function print(findings: readonly CheckResult[], io: Io, paint: Paint): void {
  const rows = findings.map(({ name, subject, result, detail, code }) => [
    { ok: paint.green, warning: paint.yellow, failed: paint.red }[result](result),
    checkLabels[name],
    subject,
    code ? `${code}: ${detail}` : detail,
  ])
  io.stdout.write(`${table([['result', 'check', 'in', 'found'], ...rows], paint)}\n`)
  const faults = findings.filter(({ result }) => result !== 'ok')
  if (faults.length === 0) io.stdout.write('\nNo problems found.\n')
  else io.stdout.write('\nWhat to do:\n')
  for (const { name, subject, remedy } of faults) {
    const label = subject ? `${checkLabels[name]}, ${subject}` : checkLabels[name]
    io.stdout.write(`  ${label} [${name}]: ${remedy ?? ''}\n`)
  }
}
