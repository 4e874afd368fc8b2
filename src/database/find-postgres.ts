import type { Config } from '../runtime/config.ts'
import { ConfigError, StoreError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { type Database, openDatabase } from './connection.ts'
import { findEmbedded, hasEmbedded, startEmbedded } from './embedded/embedded.ts'
import { countMissing, isMirror, migrate } from './migrations/migrate.ts'

/** The mirror's Postgres, and how to stop using it. */
export interface PostgresHome {
  readonly url: string
  readonly kind: 'external' | 'embedded'
  /** Resolves when the server ends although we did not stop it; never, if it is not the embedded one. */
  readonly exited: Promise<void>
  /** Stops the embedded server; does nothing for another one. */
  stop(deadlineMs?: number): Promise<void>
}

const never = new Promise<never>(() => {})

/**
 * The Postgres of `DATABASE_URL`, else the embedded one, which it starts.
 * @throws ConfigError if another service uses the data directory.
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

/** The work of a command on the mirror. */
type Work<T> = (database: Database) => Promise<T>

/**
 * Runs the work of one command on the migrated database. Without DATABASE_URL it uses the embedded server of a running service, or
 * starts the server. Closes everything at the end.
 * @throws ConfigError if the database needs migrations and AUTO_MIGRATE is false.
 */
export async function withDatabase<T>(config: Config, log: Log, name: string, work: Work<T>): Promise<T> {
  return withHome(config, log, async (url) => {
    if (config.autoMigrate) await migrate(url, log)
    else await demandSchema(url)
    return onDatabase(url, name, work)
  })
}

/**
 * The same on an existing mirror. It creates and migrates nothing, because DATABASE_URL or DATA_DIR may be missing by mistake.
 * @throws ConfigError if there is no mirror, or the database needs migrations.
 */
export async function withMirror<T>(config: Config, log: Log, name: string, work: Work<T>): Promise<T> {
  if (!config.databaseUrl && !hasEmbedded(config.dataDir)) {
    throw new ConfigError(
      `There is no mirror in DATA_DIR (${config.dataDir}), and DATABASE_URL is not set. Set one of them to the location of the mirror.`,
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

/** Runs the work of one command on the database at a URL: without DATABASE_URL on the embedded server, running or started. */
export async function withHome<T>(config: Config, log: Log, work: (url: string) => Promise<T>): Promise<T> {
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

/** Errors that mean that there is no database to work with: of the network, or of Postgres when connecting. */
const UNREACHABLE = /^(E[A-Z]|08|28|3D|53300|55000|57P)/

/** Adds the location in DATABASE_URL and a remedy to an error that is about the location. */
function withPlace(error: unknown, url: string): unknown {
  if (!(error instanceof StoreError) || error.remedy !== undefined) return error
  // There is no code if the server does not answer.
  if (error.code === undefined ? error.kind !== 'transient' : !UNREACHABLE.test(error.code)) return error
  const { hostname, port, pathname } = new URL(url)
  const remedy = `Check DATABASE_URL (${hostname}:${port || 5432}${pathname}), and that Postgres runs and accepts connections from here.`
  return new StoreError(error.kind, `${error.message} ${remedy}`, { code: error.code, cause: error })
}

/** A newer command must not migrate a database that the operator migrates by hand, or one that it only reads. */
async function demandSchema(url: string): Promise<void> {
  const missing = await countMissing(url)
  if (missing === 0) return
  if (!(await isMirror(url))) {
    throw new ConfigError(
      'There is no mirror in this database. Set DATABASE_URL to its location, or run buildkite-mirror migrate to create it.',
    )
  }
  throw new ConfigError(
    `The database needs ${missing} more ${missing === 1 ? 'migration' : 'migrations'} for this version. ` +
      'Run buildkite-mirror migrate first.',
  )
}
