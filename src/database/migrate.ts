import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import postgres from 'postgres'
import { ConfigError } from '../errors.ts'
import type { Log } from '../log.ts'
import { asStoreError, connectionOptions, type Db } from './connection.ts'

// From src/database/ and from dist/database/ alike, the package's root is two folders up.
const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))

/** The part of a postgres.js transaction that migrating needs. */
type Sql = postgres.TransactionSql

/**
 * Brings the database at `url` to the schema of this code: every missing migration in one transaction, under a lock, so that
 * any number of processes may start at once. The lock is the transaction's own: behind PgBouncer a session lock could be orphaned.
 * @throws ConfigError when the database was migrated by another version of the code that knows more, or other, migrations.
 * @throws StoreError when Postgres fails.
 */
export async function migrate(url: string, log?: Log): Promise<void> {
  const known = knownMigrations()
  const client = postgres(url, { ...connectionOptions('migrate'), max: 1, prepare: false })
  try {
    const applied = await client.begin(async (tx) => {
      // A migration may rewrite a large table, and replicas wait here for the one that does.
      await tx`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`
      await tx`select pg_advisory_xact_lock(hashtextextended('buildkite-mirror migrate', 0))`
      await createJournal(tx)
      const rows = await tx<{ hash: string }[]>`select hash from drizzle.__drizzle_migrations`
      const missing = missingMigrations(
        known,
        rows.map((row) => row.hash),
      )
      for (const migration of missing) await applyMigration(tx, migration)
      return missing.length
    })
    if (applied > 0) log?.info({ migrations: applied }, 'The database schema was brought up to date.')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw asStoreError(error, 'migrate the database')
  } finally {
    await client.end({ timeout: 2 })
  }
}

/** How many migrations the database still lacks: 0 when the schema is as the code expects. @throws StoreError */
export async function pendingMigrations(db: Db): Promise<number> {
  const known = knownMigrations()
  try {
    const [journal] = await db.execute<{ there: boolean }>(
      sql`select to_regclass('drizzle.__drizzle_migrations') is not null as there`,
    )
    if (!journal?.there) return known.length
    const rows = await db.execute<{ hash: string }>(sql`select hash from drizzle.__drizzle_migrations`)
    const applied = new Set(rows.map((row) => row.hash))
    return known.filter((migration) => !applied.has(migration.hash)).length
  } catch (error) {
    throw asStoreError(error, 'read which migrations were applied')
  }
}

/**
 * The migrations of `known` that are not among the `applied` hashes (pure).
 * @throws ConfigError when one was applied that this code does not know.
 */
export function missingMigrations(known: readonly MigrationMeta[], applied: readonly string[]): MigrationMeta[] {
  const hashes = new Set(known.map((migration) => migration.hash))
  const unknown = applied.filter((hash) => !hashes.has(hash)).length
  if (unknown > 0) {
    throw new ConfigError(
      `The database is newer than this program: it holds ${unknown} ${unknown === 1 ? 'migration' : 'migrations'} that this ` +
        'version of buildkite-mirror does not know. Run the version that made them or a later one, or use another database.',
    )
  }
  const done = new Set(applied)
  return known.filter((migration) => !done.has(migration.hash))
}

function knownMigrations(): MigrationMeta[] {
  if (!existsSync(folder)) {
    throw new ConfigError(`The migrations are missing: ${folder} does not exist. Install buildkite-mirror again.`)
  }
  return readMigrationFiles({ migrationsFolder: folder })
}

/** The same table that drizzle-kit keeps, so that its tools work on the database too. */
async function createJournal(tx: Sql): Promise<void> {
  // Asked first: "create … if not exists" needs the right to create even where there is nothing to do.
  const [journal] = await tx<{ there: boolean }[]>`
    select to_regclass('drizzle.__drizzle_migrations') is not null as there`
  if (journal?.there) return
  await tx`create schema if not exists drizzle`
  await tx`create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint)`
  await tx`comment on schema drizzle is 'Which migrations of buildkite-mirror were applied. Nothing for analysts here.'`
}

async function applyMigration(tx: Sql, migration: MigrationMeta): Promise<void> {
  for (const statement of migration.sql) await tx.unsafe(statement)
  await tx`insert into drizzle.__drizzle_migrations (hash, created_at) values (${migration.hash}, ${migration.folderMillis})`
}
