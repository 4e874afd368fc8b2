import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import { ConfigError } from '../runtime/errors.ts'
import { type Log, throttledWarn } from '../runtime/log.ts'
import { MINUTE, pause, SECOND } from '../runtime/time.ts'
import { applyConcurrently, isConcurrent, withoutConcurrently } from './concurrent-indexes.ts'
import { asStoreError, type Db, withOwnConnection } from './connection.ts'
import { readUserObjects, restoreUserObjects } from './user-objects.ts'

// The package's root is two folders up from both src/database/ and dist/database/.
const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))

/**
 * Migrates the database at `url` to the schema of this code, one transaction for each missing migration. Several processes may
 * start at once, and after a kill the next run completes the migration. A migration waits about a second for a lock, then rolls back,
 * which releases its own locks, and retries until the blocking transactions have ended. Indexes on large tables are built outside a
 * transaction: see `concurrent-indexes.ts`. Objects that users created on ours survive, or stop the migration: see `user-objects.ts`.
 * If a newer version has already migrated the database, this code runs beside it while `sync.compatibility` allows. So versions can
 * be upgraded and rolled back one process at a time.
 * @throws ConfigError if the database needs a newer version of the code, or an object of the user blocks the migration.
 * @throws StoreError when Postgres fails.
 */
export async function migrate(url: string, log?: Log, known = knownMigrations()): Promise<void> {
  const applied = await withClient(url, 'migrate the database', async (client) => {
    for (let count = 0; ; ) {
      const next = await withLockRetries(client, log, () => applyNext(client, known))
      if (!next) return count
      const record = async (other: pg.Client) => {
        if ((await appliedMigrations(other)).includes(next.hash)) return
        await recordMigration(other, next)
      }
      if (!isConcurrent(next) || (await applyConcurrently(url, next, record))) count += 1
    }
  })
  if (applied > 0) log?.info({ migrations: applied }, 'The database schema was brought up to date.')
}

/**
 * How long a migration waits for a lock; webhooks that need the same table wait behind it. Slightly longer than Postgres's
 * deadlock_timeout of a second, after which a blocking autovacuum is cancelled.
 */
const LOCK_TIMEOUT_MS = 1_100
/** How long it waits for all the locks of one `lock table`, which holds acquired locks while it waits for the next. */
const LOCK_TABLES_TIMEOUT_MS = 1_500
/** Postgres ends the transaction of a process that is frozen during a migration after this time. */
const IDLE_LIMIT_MS = 30 * SECOND

/** Applies the first missing migration in its own transaction, unless it is a concurrent one, and returns it; undefined when none is missing. */
async function applyNext(client: pg.Client, known: readonly MigrationMeta[]): Promise<MigrationMeta | undefined> {
  // In one round trip. A migration may rewrite a large table, so its statements have no time limit.
  await client.query(
    `begin; set local statement_timeout = 0; set local lock_timeout = 0;
     set local idle_in_transaction_session_timeout = ${IDLE_LIMIT_MS}`,
  )
  // A transaction lock, because a session lock may be orphaned behind PgBouncer. No other lock is held while waiting for it.
  await client.query(takeMigrationLock)
  await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
  await createJournal(client)
  const [next] = missingMigrations(known, await appliedMigrations(client), await migrationsNeeded(client))
  if (next && !isConcurrent(next)) {
    const before = await readUserObjects(client)
    await applyMigration(client, next)
    await restoreUserObjects(client, before)
  }
  await client.query('commit')
  return next
}

const takeMigrationLock = `select pg_advisory_xact_lock(hashtextextended('buildkite-mirror migrate', 0))`

/** A lock timeout, or a deadlock: running processes lock the same tables in a different order. */
function isLockConflict(error: unknown): boolean {
  return error instanceof LockTimeout || (error instanceof pg.DatabaseError && /^(55P03|40P01)$/.test(error.code ?? ''))
}

const LONGEST_PAUSE_MS = 5 * SECOND

/** Runs `work`, which opens a transaction, until other locks no longer block it. Holds no locks between tries. */
async function withLockRetries<T>(client: pg.Client, log: Log | undefined, work: () => Promise<T>): Promise<T> {
  const mayWarn = throttledWarn(MINUTE, Date.now)
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      await client.query('rollback').catch(() => {})
      if (!isLockConflict(error)) throw error
    }
    if (tries >= 5 && mayWarn())
      log?.warn(await oldestTransaction(client), 'A migration waits for another transaction.')
    await pause(Math.min(LONGEST_PAUSE_MS, (SECOND / 2) * 2 ** tries) * (0.75 + Math.random() / 2))
  }
}

/** The oldest open transaction of another session, which is most likely the blocking one. */
async function oldestTransaction(client: pg.Client): Promise<Record<string, unknown>> {
  const { rows } = await client.query<Record<string, unknown>>(`
    select pid, application_name, usename as user, state, extract(epoch from now() - xact_start)::int as seconds
    from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
    order by xact_start limit 1`)
  return rows[0] ?? {}
}

async function withClient<T>(url: string, doing: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  try {
    // Rewriting a large table can take very long.
    return await withOwnConnection(url, 'migrate', { query_timeout: 0 }, work)
  } catch (error) {
    if (error instanceof ConfigError) throw error
    // dependent_objects_still_exist
    if (error instanceof pg.DatabaseError && error.code === '2BP01') throw new ConfigError(dependentsMessage(error))
    throw asStoreError(error, doing)
  }
}

function dependentsMessage({ detail }: pg.DatabaseError): string {
  const found = detail?.split('\n').join('; ') ?? 'an object depends on one of ours'
  return `The new version cannot replace an object that your own objects use: ${found}. Drop those objects, start again, then create them again.`
}

/**
 * Migrates an empty database to the schema of this code in the open transaction of `client`. On an error the caller rolls back.
 * Throws the driver's errors.
 */
export async function applyMigrations(client: pg.Client): Promise<void> {
  await client.query(`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`)
  await client.query(takeMigrationLock)
  await createJournal(client)
  const missing = missingMigrations(knownMigrations(), await appliedMigrations(client), await migrationsNeeded(client))
  for (const migration of missing) await applyMigration(client, withoutConcurrently(migration))
}

/**
 * How many migrations the database at `url` lacks. Changes nothing.
 * @throws ConfigError if the database needs a newer version of the code.
 * @throws StoreError when Postgres fails.
 */
export async function countMissing(url: string): Promise<number> {
  return withClient(url, 'read which migrations were applied', async (client) => {
    const applied = await appliedMigrations(client)
    return missingMigrations(knownMigrations(), applied, await migrationsNeeded(client)).length
  })
}

/** The number of all migrations. A database that lacks all of them was never a mirror. */
export function countAll(): number {
  return knownMigrations().length
}

/** How the schema of `client` differs from this code's: migrations that it lacks, and migrations that this code does not know. */
export async function schemaState(client: pg.Client): Promise<{ missing: number; unknown: number }> {
  const applied = await appliedMigrations(client)
  const known = new Set(knownMigrations().map(({ hash }) => hash))
  const unknown = applied.filter((hash) => !known.has(hash)).length
  return { missing: known.size - (applied.length - unknown), unknown }
}

/** How many migrations the database lacks; 0 if the schema is current. @throws StoreError */
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

/** The hashes of the applied migrations; none in a database that was never migrated. */
async function appliedMigrations(client: pg.Client): Promise<string[]> {
  if (!(await hasTable(client, 'drizzle.__drizzle_migrations'))) return []
  const { rows } = await client.query<{ hash: string }>('select hash from drizzle.__drizzle_migrations')
  return rows.map((row) => row.hash)
}

async function hasTable(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [name])
  return rows[0]?.there === true
}

/** How many migrations a program must know to work on the database; `undefined` if the database does not say. */
async function migrationsNeeded(client: pg.Client): Promise<number | undefined> {
  if (!(await hasTable(client, 'sync.compatibility'))) return undefined
  const { rows } = await client.query<{ needed: number }>(
    'select migrations_needed as needed from sync.compatibility where single_row',
  )
  return rows[0]?.needed
}

/**
 * The migrations of `known` that are not among the `applied` hashes (pure). `needed` is how many migrations a program must know.
 * @throws ConfigError if migrations were applied that this code does not know, and it knows fewer than `needed`.
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
        'version of buildkite-mirror does not know. Run the version that applied them or a later one, or use another database.',
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

/** The table that drizzle-kit uses, so that its tools also work on the database. */
async function createJournal(client: pg.Client): Promise<void> {
  // Checked first: "create … if not exists" needs the create privilege even if the object exists.
  if (await hasTable(client, 'drizzle.__drizzle_migrations')) return
  await client.query(`
    create schema if not exists drizzle;
    create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
    comment on schema drizzle is 'Which migrations of buildkite-mirror were applied. Nothing for analysts here.'`)
}

async function applyMigration(client: pg.Client, migration: MigrationMeta): Promise<void> {
  for (const statement of migration.sql) {
    if (/^(\s*--.*\n)*\s*lock table/i.test(statement)) await lockTables(client, statement)
    else await client.query(statement)
  }
  await recordMigration(client, migration)
}

async function recordMigration(client: pg.Client, migration: MigrationMeta): Promise<void> {
  await client.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [
    migration.hash,
    migration.folderMillis,
  ])
}

async function lockTables(client: pg.Client, statement: string): Promise<void> {
  await client.query(`set local statement_timeout = ${LOCK_TABLES_TIMEOUT_MS}`)
  try {
    await client.query(statement)
  } catch (error) {
    throw error instanceof pg.DatabaseError && error.code === '57014' ? new LockTimeout() : error
  }
  await client.query('set local statement_timeout = 0')
}

class LockTimeout extends Error {
  override name = 'LockTimeout'
}
