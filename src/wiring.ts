import type { FastifyInstance } from 'fastify'
import { startRollups } from './analytics/rollups.ts'
import { readWebhookRanges } from './buildkite/meta.ts'
import { coverage } from './coverage/coverage.ts'
import { readCatalog } from './database/catalog.ts'
import { type Database, openDatabase } from './database/connection.ts'
import { findPostgres, type PostgresHome } from './database/find-postgres.ts'
import { countMissing, migrate } from './database/migrations/migrate.ts'
import { checkConnections } from './diagnostics/checks/connections.ts'
import { startCheckScheduler } from './diagnostics/scheduler.ts'
import type { ActionParts } from './http/actions.ts'
import { watchGauges } from './http/metrics/gauges.ts'
import { createMeters, type Meters } from './http/metrics/registry.ts'
import { buildPrivateApp } from './http/private.ts'
import { buildPublicApp } from './http/public.ts'
import { cached } from './http/status/health.ts'
import { runProbes, type Watched } from './http/status/probes.ts'
import { readStatus } from './http/status/status.ts'
import { WebhookDay } from './http/status/webhook-day.ts'
import { openQueues, type Queues, type RunningWorker, warningText } from './queue/queues.ts'
import { type Reconciler, startReconciler } from './reconcile/reconciler.ts'
import type { Config, Role } from './runtime/config.ts'
import { ConfigError, StoreError } from './runtime/errors.ts'
import type { Log } from './runtime/log.ts'
import { mirrorFilter } from './runtime/scope.ts'
import type { Shutdown } from './runtime/shutdown.ts'
import { pause, SECOND } from './runtime/time.ts'
import type { Tracing } from './runtime/tracing.ts'
import { startDeferredRetries } from './webhooks/apply/deferred.ts'
import { deliveryHandler } from './webhooks/apply/process-deliveries.ts'
import { Inbox } from './webhooks/inbox/inbox.ts'
import { type AllowList, fixedAllowList, followedAllowList } from './webhooks/receive/allow-list.ts'
import { ProvenAddresses } from './webhooks/receive/proven-addresses.ts'
import { followBuildkiteClock, type ReceiptClock } from './webhooks/receive/receipt-clock.ts'
import { webhookRoute } from './webhooks/receive/receive.ts'
import { startSweeper } from './webhooks/sweeper.ts'

/** Jobs that run at the same time share one transaction: see webhooks/apply/process-deliveries.ts. */
const DELIVERY_JOBS_AT_ONCE = 64

/** The number of connections for each role, and for health, status and metrics. */
const CONNECTIONS: Readonly<Record<Role, number>> = { web: 3, worker: 5, reconciler: 6 }
const CONNECTIONS_BESIDES = 4
/** A pool of their own for the pages under /explore, so that they delay nothing else. It opens none before somebody looks. */
const EXPLORE_CONNECTIONS = 4

/** How long a migration may delay the listeners. The receiver works on the older schema, too. */
const LISTEN_WITHIN = 5 * SECOND

function connectionsFor(roles: ReadonlySet<Role>): number {
  return [...roles].reduce((sum, role) => sum + CONNECTIONS[role], CONNECTIONS_BESIDES)
}

/** The parts of the service. `workers` and `reconciler` are filled when those start. */
interface Parts {
  readonly config: Config
  readonly log: Log
  readonly home: PostgresHome
  readonly database: Database
  readonly queues: Queues
  readonly meters: Meters
  readonly tracing: Tracing | undefined
  readonly workers: RunningWorker[]
  reconciler: Reconciler | undefined
}

/** The ports on which the service listens. */
export interface Addresses {
  readonly publicPort: number
  readonly privatePort: number
}

/** Starts all parts in the order of their dependencies. Each part adds its closer when it starts; closers run in reverse order. */
export async function startService(
  config: Config,
  log: Log,
  shutdown: Shutdown,
  tracing: Tracing | undefined,
): Promise<Addresses> {
  for (const { result, detail, remedy } of checkConnections(config)) {
    if (result === 'warning') log.warn(`${detail} ${remedy}`)
  }
  const home = await findPostgres(config, log)
  shutdown.add('Postgres', (ms) => home.stop(ms), 10 * SECOND)
  const ended = new StoreError('transient', 'The service cannot run without it.')
  void home.exited.then(() => shutdown.run('embedded PostgreSQL ended', ended))
  const database = openDatabase(home.url, { name: 'serve', connections: connectionsFor(config.roles) })
  shutdown.add('the database connections', (ms) => database.close(ms), 3 * SECOND)
  const { redisUrl, webhookSecrets, autoMigrate: mayMigrate } = config
  const queueConfig = { redisUrl, databaseUrl: home.url, webhookSecret: webhookSecrets[0], mayMigrate }
  const queues = await openQueues(queueConfig, log)
  shutdown.add('the queues', (ms) => queues.close(ms), 3 * SECOND)
  const parts: Parts = {
    config,
    log,
    home,
    database,
    queues,
    meters: createMeters(),
    tracing,
    workers: [],
    reconciler: undefined,
  }

  // The service listens even if the database is unavailable: the queue stores webhooks meanwhile.
  const schemaIsThere = config.autoMigrate ? () => tryMigrating(home.url, log) : awaitedSchema(home.url, log)
  const migrating = schemaIsThere()
  migrating.catch(() => {}) // awaited below
  // A long migration, such as building an index, must not delay the listeners either.
  const ready = await Promise.race([migrating, pause(LISTEN_WITHIN).then(() => false)])
  const addresses = await startListeners(parts, shutdown)
  if (!ready && !(await migrating)) await keepTrying(schemaIsThere, shutdown.signal)
  if (shutdown.signal.aborted) return addresses
  if (config.roles.has('worker')) startWorkers(parts, shutdown)
  if (config.roles.has('reconciler')) startReconciling(parts, shutdown)
  for (const warning of await queues.check().catch(() => [])) log.warn(warningText(warning))
  log.info({ roles: [...config.roles], database: home.kind, queue: queues.backend }, 'Started.')
  return addresses
}

async function startListeners(parts: Parts, shutdown: Shutdown): Promise<Addresses> {
  const { config, log, meters } = parts
  const watched = watch(parts, shutdown)
  const facts = cached(() => runProbes(watched), Date.now)
  watchGauges(meters, watched)
  const inbox = config.roles.has('web') ? openReceiverInbox(parts, shutdown) : undefined
  const allowed = inbox && openAllowList(parts, shutdown)
  const clock = inbox && openReceiptClock(parts, shutdown)
  const proven = new ProvenAddresses()
  const webhooks =
    inbox && ((app: FastifyInstance) => webhookRoute(app, { ...receiverParts(parts, inbox, allowed, clock), proven }))
  const { record } = meters
  const { trustProxy } = config
  const publicApp = await buildPublicApp({ log, webhooks, facts, trustProxy, isProven: proven.has, record })
  const publicPort = await listen(publicApp, 'public', config.host, config.port, log, shutdown)
  const explore = openDatabase(parts.home.url, { name: 'explore', connections: EXPLORE_CONNECTIONS })
  shutdown.add('the connections of /explore', (ms) => explore.close(ms), 3 * SECOND)
  const status = async () => readStatus(watched, await facts())
  const privateApp = await buildPrivateApp({
    log,
    config,
    status,
    meters,
    catalog: (withExamples) => readCatalog(parts.database.db, withExamples),
    actions: actionParts(parts, shutdown),
    explore: { db: explore.db },
    board: () => parts.queues.board(),
  })
  const privatePort = await listen(privateApp, 'private', config.adminHost, config.adminPort, log, shutdown)
  if (config.roles.has('web') && config.webhookSecrets.length === 0) {
    log.warn(
      'WEBHOOK_SECRET is not set: the service answers webhooks with 503. Set it to the token of the webhook in Buildkite.',
    )
  }
  return { publicPort, privatePort }
}

/** What the actions of the status page need. */
function actionParts({ config, database, queues, log, meters }: Parts, shutdown: Shutdown): ActionParts {
  const applying = { filter: mirrorFilter(config), storeEnv: config.storeEnv, log, record: meters.record }
  // Only the database role of a worker may read payloads.
  const apply = config.roles.has('worker') ? applying : undefined
  return { db: database.db, queues, apply, log, clock: Date.now, closing: shutdown.signal }
}

function openReceiverInbox({ database, queues, log, meters, tracing }: Parts, shutdown: Shutdown): Inbox {
  const inbox = new Inbox({ db: database.db, queues, log, record: meters.record, tracing })
  shutdown.add('the inbox', (ms) => inbox.close(ms), 5 * SECOND)
  return inbox
}

/** Undefined if every address may send webhooks. */
function openAllowList({ config, log }: Parts, shutdown: Shutdown): AllowList | undefined {
  const { webhookAllowedIps: wanted, apiUrl, httpsProxy, noProxy } = config
  if (wanted === undefined) return undefined
  if (wanted !== 'buildkite') return fixedAllowList(wanted)
  const proxy = httpsProxy === undefined ? undefined : { url: httpsProxy, noProxy }
  const list = followedAllowList({ read: (signal) => readWebhookRanges(apiUrl, proxy, signal), log })
  shutdown.add('the list of addresses', async () => list.stop(), SECOND)
  return list
}

/** Undefined if deliveries are dated by their signatures. */
function openReceiptClock({ config, database, log }: Parts, shutdown: Shutdown): ReceiptClock | undefined {
  if (config.webhookAuth !== 'token') return undefined
  const clock = followBuildkiteClock({ db: database.db, log })
  shutdown.add("Buildkite's clock", async () => clock.stop(), SECOND)
  return clock
}

function receiverParts(
  { config, log, meters, tracing }: Parts,
  inbox: Inbox,
  allowed: AllowList | undefined,
  clock: ReceiptClock | undefined,
) {
  return {
    inbox,
    buildkiteNow: clock?.now,
    lets: allowed?.lets,
    log,
    record: meters.record,
    tracing,
    secrets: config.webhookSecrets,
    auth: config.webhookAuth,
    toleranceMs: config.webhookToleranceMs,
    storeEnv: config.storeEnv,
  }
}

function watch(parts: Parts, shutdown: Shutdown): Watched {
  const { config, database, home, queues, workers } = parts
  const filter = mirrorFilter(config)
  const webhookDay = new WebhookDay(database.db, Date.now)
  return {
    config,
    database,
    databaseKind: home.kind,
    queues,
    workers,
    problems: () => parts.reconciler?.problems() ?? [],
    filter,
    coverage: () => coverage(database.db, new Date(), { filter, backfillDays: config.backfillDays }),
    webhookDay: () => webhookDay.latest(),
    closing: () => shutdown.signal.aborted,
    clock: Date.now,
  }
}

function startWorkers({ config, log, database, queues, meters, tracing, workers }: Parts, shutdown: Shutdown): void {
  const applying = {
    db: database.db,
    filter: mirrorFilter(config),
    storeEnv: config.storeEnv,
    log,
    record: meters.record,
    tracing,
  }
  const worker = queues.workDeliveries(deliveryHandler(applying), DELIVERY_JOBS_AT_ONCE)
  workers.push(worker)
  shutdown.add('the delivery worker', (ms) => worker.close(ms), 8 * SECOND)
  const retries = startDeferredRetries(applying)
  shutdown.add('the retries of deferred deliveries', (ms) => retries.stop(ms), 3 * SECOND)
  const { payloadRetentionDays, deliveryRetentionDays } = config
  const retention = { payloadRetentionDays, deliveryRetentionDays }
  const sweeper = startSweeper({ db: database.db, queues, ...retention, log, record: meters.record })
  shutdown.add('the sweeper', (ms) => sweeper.stop(ms), 3 * SECOND)
  const rollups = startRollups(database.db, log, meters.record)
  shutdown.add('the analytics totals', (ms) => rollups.stop(ms), 3 * SECOND)
}

function startReconciling(parts: Parts, shutdown: Shutdown): void {
  const { config, database, queues, log, meters, tracing } = parts
  const reconciler = startReconciler({
    config,
    db: database.db,
    queues,
    log,
    clock: Date.now,
    record: meters.record,
    tracing,
  })
  parts.reconciler = reconciler
  shutdown.add('the reconciler', (ms) => reconciler.close(ms), 8 * SECOND)
  const { access } = reconciler
  const checks = startCheckScheduler({
    config,
    database,
    queues,
    access,
    filter: mirrorFilter(config),
    log,
    clock: Date.now,
  })
  shutdown.add('the scheduled health check', (ms) => checks.close(ms), 3 * SECOND)
}

async function listen(
  app: FastifyInstance,
  name: string,
  host: string,
  port: number,
  log: Log,
  shutdown: Shutdown,
): Promise<number> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const setting = name === 'public' ? 'HOST and PORT' : 'ADMIN_HOST and ADMIN_PORT'
    throw new ConfigError(
      code === 'EADDRINUSE'
        ? `Port ${port} on ${host} is in use by another process. Stop it, or change ${setting}.`
        : `Cannot listen on ${host}:${port} (${code}). Set ${setting} to an address of this machine that this process may use.`,
      { cause: error },
    )
  }
  const address = app.server.address()
  const given = typeof address === 'object' && address ? address.port : port
  log.info({ host, port: given }, `The ${name} listener is up.`)
  shutdown.add(`the ${name} listener`, () => app.close(), 5 * SECOND)
  return given
}

/** Waits for the database to have this version's schema. */
async function keepTrying(schemaIsThere: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  for (let wait = SECOND / 2; !signal.aborted; wait = Math.min(wait * 2, 5 * SECOND)) {
    await pause(wait, signal)
    if (await schemaIsThere()) return
  }
}

/**
 * For AUTO_MIGRATE=false: checks whether the database has this version's schema, and logs once that the process waits for it. The
 * receiver stores webhooks in the older inbox meanwhile, or in the queue if that inbox does not accept them.
 */
function awaitedSchema(url: string, log: Log): () => Promise<boolean> {
  let hasWarned = false
  return async () => {
    const missing = await unlessUnavailable(log, () => countMissing(url))
    if (missing && !hasWarned) {
      hasWarned = true
      log.warn(
        { migrations: missing },
        'The database needs migrations, and AUTO_MIGRATE is false: this process applies and reconciles nothing until buildkite-mirror migrate has run.',
      )
    }
    return missing === 0
  }
}

/**
 * Migrates the database; false if it is unavailable.
 * @throws ConfigError if the database needs a newer version, StoreError if Postgres fails permanently.
 */
async function tryMigrating(url: string, log: Log): Promise<boolean> {
  return (await unlessUnavailable(log, () => migrate(url, log).then(() => true))) ?? false
}

async function unlessUnavailable<T>(log: Log, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind === 'permanent') throw error
    log.warn({ err: error }, 'Postgres cannot be reached; trying again soon.')
    return undefined
  }
}
