import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import { ConfigError } from '../errors.ts'
import type { Log } from '../log.ts'
import { SECOND } from '../time.ts'
import { applyConcurrently, isConcurrent, withoutConcurrently } from './concurrent-indexes.ts'
import { asStoreError, type Db, withOwnConnection } from './connection.ts'
import { applyDefinition, changedDefinitions, type Definition, readDefinitions, triggerTables } from './definitions.ts'
import { LOCK_TIMEOUT_MS, lockTables, withLockRetries } from './lock-retries.ts'
import { keepUserObjects, readUserObjects } from './user-objects.ts'

// The package's root is two folders up from both src/database/ and dist/database/.
const folder = fileURLToPath(new URL('../../drizzle', import.meta.url))

/**
 * Migrates the database at `url` to the schema of this code, one transaction for each missing migration. Several processes may
 * start at once, and after a kill the next run completes the migration. A migration waits about a second for a lock, then rolls back,
 * which releases its own locks, and retries until the blocking transactions have ended. Indexes on large tables are built outside a
 * transaction: see `concurrent-indexes.ts`. Objects that users created on ours survive, or stop the migration: see `user-objects.ts`.
 * Afterwards it applies the definitions of views, functions and triggers that changed, in one transaction: see `definitions.ts`.
 * If a newer version has already migrated the database, this code runs beside it while `sync.compatibility` allows, and leaves the
 * definitions alone. So versions can be upgraded and rolled back one process at a time.
 * @throws ConfigError if the database needs a newer version of the code, or an object of the user blocks the migration.
 * @throws StoreError when Postgres fails.
 */
export async function migrate(
  url: string,
  log?: Log,
  known = knownMigrations(),
  definitions = readDefinitions(),
): Promise<void> {
  const applied = await withClient(url, 'migrate the database', async (client) => {
    for (let count = 0; ; ) {
      const next = await withLockRetries(client, log, () => applyNext(client, known))
      if (!next) {
        const changed = await withLockRetries(client, log, () => applyChanged(client, known, definitions))
        return { migrations: count, definitions: changed }
      }
      const record = async (other: pg.Client) => {
        if ((await appliedMigrations(other)).includes(next.hash)) return
        await recordMigration(other, next)
      }
      if (!isConcurrent(next) || (await applyConcurrently(url, next, record))) count += 1
    }
  })
  if (applied.migrations + applied.definitions > 0) log?.info(applied, 'The database schema was brought up to date.')
}

/** Postgres ends the transaction of a process that is frozen during a migration after this time. */
const IDLE_LIMIT_MS = 30 * SECOND

/** Begins a transaction that no other migration can overlap. */
async function begin(client: pg.Client): Promise<void> {
  // In one round trip. A migration may rewrite a large table, so its statements have no time limit.
  await client.query(
    `begin; set local statement_timeout = 0; set local lock_timeout = 0;
     set local idle_in_transaction_session_timeout = ${IDLE_LIMIT_MS}`,
  )
  // A transaction lock, because a session lock may be orphaned behind PgBouncer. No other lock is held while waiting for it.
  await client.query(takeMigrationLock)
  await client.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}`)
}

/** Applies the first missing migration in its own transaction, unless it is a concurrent one, and returns it; undefined when none is missing. */
async function applyNext(client: pg.Client, known: readonly MigrationMeta[]): Promise<MigrationMeta | undefined> {
  await begin(client)
  await createJournal(client)
  const [next] = missingMigrations(known, await appliedMigrations(client), await migrationsNeeded(client))
  if (next && !isConcurrent(next)) {
    const before = await readUserObjects(client)
    await applyMigration(client, next)
    await keepUserObjects(client, before)
  }
  await client.query('commit')
  return next
}

/**
 * Applies the changed definitions in one transaction and returns their number. None if the database has a migration that this code does
 * not know: the old and new processes would overwrite each other's views.
 */
async function applyChanged(
  client: pg.Client,
  known: readonly MigrationMeta[],
  definitions: readonly Definition[],
): Promise<number> {
  await begin(client)
  const isNewer = unknownMigrations(known, await appliedMigrations(client)) > 0
  const changed = isNewer ? [] : await changedDefinitions(client, definitions)
  await applyDefinitions(client, changed)
  await client.query('commit')
  return changed.length
}

async function applyDefinitions(client: pg.Client, definitions: readonly Definition[]): Promise<void> {
  await client.query('set local check_function_bodies = off')
  const isTrigger = ({ name }: Definition) => name.startsWith('triggers/')
  for (const one of definitions) if (!isTrigger(one)) await applyDefinition(client, one)
  const tables = triggerTables(definitions)
  if (tables.length > 0) await lockTables(client, `lock table ${tables.join(', ')} in share row exclusive mode`)
  for (const one of definitions) if (isTrigger(one)) await applyDefinition(client, one)
}

const takeMigrationLock = `select pg_advisory_xact_lock(hashtextextended('buildkite-mirror migrate', 0))`

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
  await applyDefinitions(client, readDefinitions())
}

/**
 * How many migrations the database at `url` lacks. Changes nothing.
 * @throws ConfigError if the database needs a newer version of the code.
 * @throws StoreError when Postgres fails.
 */
export async function countMissing(url: string): Promise<number> {
  return withClient(url, 'read which migrations were applied', async (client) => {
    missingMigrations(knownMigrations(), await appliedMigrations(client), await migrationsNeeded(client))
    return (await schemaState(client)).missing
  })
}

/** The number of all migrations. A database that lacks all of them was never a mirror. */
export function countAll(): number {
  return knownMigrations().length
}

/** How the schema of `client` differs from this code's: migrations that it lacks, and migrations that this code does not know. */
export async function schemaState(client: pg.Client): Promise<SchemaState> {
  return readSchemaState(async (query) => (await client.query(query)).rows)
}

/** How many migrations the database lacks; 0 if the schema is current. @throws StoreError */
export async function pendingMigrations(db: Db): Promise<number> {
  try {
    return (await readSchemaState(async (query) => (await db.execute(sql.raw(query))).rows)).missing
  } catch (error) {
    throw asStoreError(error, 'read which migrations were applied')
  }
}

interface SchemaState {
  /** Definitions that were never applied count as one migration. A different version of a definition counts as none. */
  readonly missing: number
  readonly unknown: number
}

type Query = (query: string) => Promise<Record<string, unknown>[]>

async function readSchemaState(query: Query): Promise<SchemaState> {
  const known = knownMigrations()
  const [there] = await query(
    `select to_regclass('drizzle.__drizzle_migrations') is not null as journal, to_regclass('sync.definitions') is not null as definitions`,
  )
  const hashes = there?.journal ? await query('select hash from drizzle.__drizzle_migrations') : []
  const applied = new Set(hashes.map(({ hash }) => hash))
  const missing = known.filter(({ hash }) => !applied.has(hash)).length
  const unknown = unknownMigrations(known, [...applied])
  if (missing > 0 || unknown > 0) return { missing, unknown }
  const names = new Set(
    there?.definitions ? (await query('select name from sync.definitions')).map(({ name }) => name) : [],
  )
  return { missing: readDefinitions().every(({ name }) => names.has(name)) ? 0 : 1, unknown }
}

function unknownMigrations(known: readonly MigrationMeta[], applied: readonly unknown[]): number {
  const hashes = new Set<unknown>(known.map(({ hash }) => hash))
  return applied.filter((hash) => !hashes.has(hash)).length
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
  const unknown = unknownMigrations(known, applied)
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
