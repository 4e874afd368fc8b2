import type { Config } from '../config.ts'
import { type Database, openDatabase } from '../database/connection.ts'
import { findEmbedded, startEmbedded } from '../database/embedded.ts'
import { countMissing, migrate } from '../database/migrate.ts'
import { ConfigError } from '../errors.ts'
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

/**
 * Runs one command's work on the migrated database: beside a running service on its embedded server, else on a server of its own.
 * Everything is closed again.
 * @throws ConfigError when the database lacks migrations and AUTO_MIGRATE is false.
 */
export async function withDatabase<T>(
  config: Config,
  log: Log,
  name: string,
  work: (database: Database, url: string) => Promise<T>,
): Promise<T> {
  const running = config.databaseUrl ? undefined : await findEmbedded(config.dataDir)
  const home = running ? { url: running, stop: async () => {} } : await findPostgres(config, log)
  try {
    if (config.autoMigrate) await migrate(home.url, log)
    else await demandSchema(home.url)
    const database = openDatabase(home.url, { name })
    try {
      return await work(database, home.url)
    } finally {
      await database.close()
    }
  } finally {
    await home.stop()
  }
}

/** A command of a newer version must not migrate a database whose operator does that by hand. */
async function demandSchema(url: string): Promise<void> {
  const missing = await countMissing(url)
  if (missing === 0) return
  throw new ConfigError(
    `The database lacks ${missing} ${missing === 1 ? 'migration' : 'migrations'} of this version, and AUTO_MIGRATE is false. ` +
      'Run buildkite-mirror migrate first.',
  )
}
