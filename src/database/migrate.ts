import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import { ConfigError, StoreError } from '../errors.ts'
import type { Log } from '../log.ts'
import { SECOND, withDeadline } from '../time.ts'
import { asStoreError, connectionOptions, type Db } from './connection.ts'

// From src/database/ and from dist/database/ alike, the package's root is two folders up.
const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))

/**
 * Brings the database at `url` to the schema of this code: every missing migration in one transaction, under a lock, so that
 * any number of processes may start at once. The lock is the transaction's own: behind PgBouncer a session lock could be orphaned.
 * A newer version may have migrated it already: this code goes on beside it for as long as `sync.compatibility` allows, so that
 * versions can be changed one process at a time and taken back.
 * @throws ConfigError when the database asks for a newer version of the code than this one.
 * @throws StoreError when Postgres fails.
 */
export async function migrate(url: string, log?: Log): Promise<void> {
  const known = knownMigrations()
  const applied = await again(() =>
    withClient(url, 'migrate the database', async (client) => {
      await client.query('begin')
      const count = await applyMissing(client, known)
      await client.query('commit')
      return count
    }),
  )
  if (applied > 0) log?.info({ migrations: applied }, 'The database schema was brought up to date.')
}

const TRIES = 10

/** Does it again when it met a deadlock: processes of the version before may be at work, and lock the same tables in their own order. */
async function again<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries >= TRIES || !(error instanceof StoreError) || error.code !== '40P01') throw error
    }
  }
}

async function withClient<T>(url: string, doing: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(connectionOptions(url, 'migrate'))
  // A lost connection is told by the query that meets it; without a listener it would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw asStoreError(error, doing)
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}

/** Brings the database to the schema of this code within the transaction that is open on `client`. Throws the driver's errors. */
export async function applyMigrations(client: pg.Client): Promise<void> {
  await applyMissing(client, knownMigrations())
}

/** In an open transaction, which an error leaves to the closing of the connection to undo. Returns how many were missing. */
async function applyMissing(client: pg.Client, known: readonly MigrationMeta[]): Promise<number> {
  // A migration may rewrite a large table, and replicas wait here for the one that does.
  await client.query(`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`)
  await client.query(`select pg_advisory_xact_lock(hashtextextended('buildkite-mirror migrate', 0))`)
  await createJournal(client)
  const missing = missingMigrations(known, await appliedMigrations(client), await migrationsNeeded(client))
  for (const migration of missing) await applyMigration(client, migration)
  return missing.length
}

/**
 * How many migrations the database at `url` lacks, changing nothing.
 * @throws ConfigError when the database asks for a newer version of the code than this one.
 * @throws StoreError when Postgres fails.
 */
export async function countMissing(url: string): Promise<number> {
  return withClient(url, 'read which migrations were applied', async (client) => {
    const applied = await appliedMigrations(client)
    return missingMigrations(knownMigrations(), applied, await migrationsNeeded(client)).length
  })
}

/** How many migrations there are: a database that lacks them all was never a mirror. */
export function countAll(): number {
  return knownMigrations().length
}

/** How the schema behind `client` differs from this code's: migrations that it lacks, and those that we do not know. */
export async function schemaState(client: pg.Client): Promise<{ missing: number; unknown: number }> {
  const applied = await appliedMigrations(client)
  const known = new Set(knownMigrations().map(({ hash }) => hash))
  const unknown = applied.filter((hash) => !known.has(hash)).length
  return { missing: known.size - (applied.length - unknown), unknown }
}

/** How many migrations the database still lacks: 0 when the schema is as the code expects. @throws StoreError */
export async function pendingMigrations(db: Db): Promise<number> {
  const known = knownMigrations()
  try {
    const journal = await db.execute<{ there: boolean }>(
      sql`select to_regclass('drizzle.__drizzle_migrations') is not null as there`,
    )
    if (!journal.rows[0]?.there) return known.length
    const { rows } = await db.execute<{ hash: string }>(sql`select hash from drizzle.__drizzle_migrations`)
    const applied = new Set(rows.map((row) => row.hash))
    return known.filter((migration) => !applied.has(migration.hash)).length
  } catch (error) {
    throw asStoreError(error, 'read which migrations were applied')
  }
}

/** Their hashes; none in a database that never was migrated. */
async function appliedMigrations(client: pg.Client): Promise<string[]> {
  if (!(await hasTable(client, 'drizzle.__drizzle_migrations'))) return []
  const { rows } = await client.query<{ hash: string }>('select hash from drizzle.__drizzle_migrations')
  return rows.map((row) => row.hash)
}

async function hasTable(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [name])
  return rows[0]?.there === true
}

/** What the database asks of a program, in migrations that it must know; `undefined` while it does not say. */
async function migrationsNeeded(client: pg.Client): Promise<number | undefined> {
  if (!(await hasTable(client, 'sync.compatibility'))) return undefined
  const { rows } = await client.query<{ needed: number }>(
    'select migrations_needed as needed from sync.compatibility where single_row',
  )
  return rows[0]?.needed
}

/**
 * The migrations of `known` that are not among the `applied` hashes (pure). `needed` is how many the database asks a program to know.
 * @throws ConfigError when some were applied that this code does not know, and the database does not say that it need not.
 */
export function missingMigrations(
  known: readonly MigrationMeta[],
  applied: readonly string[],
  needed = Number.POSITIVE_INFINITY,
): MigrationMeta[] {
  const hashes = new Set(known.map((migration) => migration.hash))
  const unknown = applied.filter((hash) => !hashes.has(hash)).length
  if (unknown > 0 && known.length < needed) {
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
async function createJournal(client: pg.Client): Promise<void> {
  // Asked first: "create … if not exists" needs the right to create even where there is nothing to do.
  if (await hasTable(client, 'drizzle.__drizzle_migrations')) return
  await client.query(`
    create schema if not exists drizzle;
    create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
    comment on schema drizzle is 'Which migrations of buildkite-mirror were applied. Nothing for analysts here.'`)
}

async function applyMigration(client: pg.Client, migration: MigrationMeta): Promise<void> {
  for (const statement of migration.sql) await client.query(statement)
  await client.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [
    migration.hash,
    migration.folderMillis,
  ])
}
