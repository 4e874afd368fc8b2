import type { Config } from '../config.ts'
import { type Database, openDatabase } from '../database/connection.ts'
import { findEmbedded, hasEmbedded, startEmbedded } from '../database/embedded.ts'
import { countAll, countMissing, migrate } from '../database/migrate.ts'
import { ConfigError, StoreError } from '../errors.ts'
import type { Log } from '../log.ts'

/** Where the mirror's Postgres is, and how to leave it. */
export interface PostgresHome {
  readonly url: string
  readonly kind: 'external' | 'embedded'
  /** Resolves when the server is gone without our having stopped it; never, when it is not ours. */
  readonly exited: Promise<void>
  /** Stops the server, if it is ours. */
  stop(deadlineMs?: number): Promise<void>
}

const never = new Promise<never>(() => {})

/**
 * The Postgres of `DATABASE_URL`, else the embedded one, started.
 * @throws ConfigError when another service holds the data directory.
 */
export async function findPostgres(config: Config, log: Log): Promise<PostgresHome> {
  if (config.databaseUrl) return { url: config.databaseUrl, kind: 'external', exited: never, stop: async () => {} }
  const embedded = await startEmbedded(config.dataDir, log)
  return {
    url: embedded.url,
    kind: 'embedded',
    exited: embedded.exited,
    stop: (deadlineMs) => embedded.stop(deadlineMs),
  }
}

/** A command's work on the mirror. */
type Work<T> = (database: Database) => Promise<T>

/**
 * Runs one command's work on the migrated database: beside a running service on its embedded server, else on a server of its own.
 * Everything is closed again.
 * @throws ConfigError when the database lacks migrations and AUTO_MIGRATE is false.
 */
export async function withDatabase<T>(config: Config, log: Log, name: string, work: Work<T>): Promise<T> {
  return withHome(config, log, async (url) => {
    if (config.autoMigrate) await migrate(url, log)
    else await demandSchema(url)
    return onDatabase(url, name, work)
  })
}

/**
 * The same on a mirror that is there: none is made, and none brought up to date, for whoever only looks into it may have forgotten
 * to say where it is. @throws ConfigError when there is none, or the database lacks migrations.
 */
export async function withMirror<T>(config: Config, log: Log, name: string, work: Work<T>): Promise<T> {
  if (!config.databaseUrl && !hasEmbedded(config.dataDir)) {
    throw new ConfigError(
      `There is no mirror in DATA_DIR, which is ${config.dataDir}, and DATABASE_URL is not set. Set one of them to where the mirror is.`,
    )
  }
  return withHome(config, log, async (url) => {
    await demandSchema(url)
    return onDatabase(url, name, work)
  })
}

async function onDatabase<T>(url: string, name: string, work: Work<T>): Promise<T> {
  const database = openDatabase(url, { name })
  try {
    return await work(database)
  } finally {
    await database.close()
  }
}

async function withHome<T>(config: Config, log: Log, work: (url: string) => Promise<T>): Promise<T> {
  const running = config.databaseUrl ? undefined : await findEmbedded(config.dataDir)
  const home = running ? { url: running, stop: async () => {} } : await findPostgres(config, log)
  try {
    return await work(home.url)
  } catch (error) {
    throw config.databaseUrl ? withPlace(error, config.databaseUrl) : error
  } finally {
    await home.stop()
  }
}

/** What says that there is no database to work with: the network, or Postgres when it is connected to. */
const UNREACHABLE = /^(E[A-Z]|08|28|3D|53300|55000|57P)/

/** The error with the place that DATABASE_URL names and what to do, when it is about the place. */
function withPlace(error: unknown, url: string): unknown {
  if (!(error instanceof StoreError)) return error
  // Where nothing answers there is no code.
  if (error.code === undefined ? error.kind !== 'transient' : !UNREACHABLE.test(error.code)) return error
  const { hostname, port, pathname } = new URL(url)
  const remedy = `DATABASE_URL names ${hostname}:${port || 5432}${pathname}: check it, and that Postgres runs and lets us in from here.`
  return new StoreError(error.kind, `${error.message} ${remedy}`, { code: error.code, cause: error })
}

/** A command of a newer version must not migrate a database whose operator does that by hand, nor one that it only looks into. */
async function demandSchema(url: string): Promise<void> {
  const missing = await countMissing(url)
  if (missing === 0) return
  if (missing === countAll()) {
    throw new ConfigError(
      'There is no mirror in this database. Set DATABASE_URL to where it is, or run buildkite-mirror migrate to make one.',
    )
  }
  throw new ConfigError(
    `The database lacks ${missing} ${missing === 1 ? 'migration' : 'migrations'} of this version. ` +
      'Run buildkite-mirror migrate first.',
  )
}
