import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { type MigrationMeta, readMigrationFiles } from 'drizzle-orm/migrator'
import pg from 'pg'
import { actAsOwner } from '../../runtime/database-owner.ts'
import { ConfigError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { SECOND } from '../../runtime/time.ts'
import { asStoreError, type Db, withOwnConnection } from '../connection.ts'
import { applyConcurrently, isConcurrent, withoutConcurrently } from './concurrent-indexes.ts'
import {
  applyDefinition,
  changedDefinitions,
  type Definition,
  readDefinitions,
  requiredDefinitions,
  triggerTables,
} from './definitions.ts'
import {
  appliedMigrations,
  createJournal,
  hasTable,
  migrationsNeeded,
  readJournal,
  recordMigration,
} from './journal.ts'
import { LOCK_TIMEOUT_MS, lockTables, withLockRetries } from './lock-retries.ts'
import { checkNotTooOld, presentHashes, replacedIn } from './replaced-migrations.ts'
import { createRoles } from './roles.ts'
import { readUserObjects, restoreUserObjects } from './user-objects.ts'

// The package's root is three folders up, from here and from the same file in dist/.
const folder = fileURLToPath(new URL('../../../drizzle', import.meta.url))

/**
 * Migrates the database at `url` to the schema of this code, one transaction for each missing migration. Several processes may
 * start at once, and after a kill the next run completes the migration. A migration waits about a second for a lock, then rolls back,
 * which releases its own locks, and retries until the blocking transactions have ended. Indexes on large tables are built outside a
 * transaction: see `concurrent-indexes.ts`. Objects that users created on ours survive, or stop the migration: see `user-objects.ts`.
 * Afterwards it applies the definitions of views, functions and triggers that changed, in one transaction: see `definitions.ts`.
 * If a newer version has already migrated the database, this code runs beside it while `sync.compatibility` allows, and leaves the
 * definitions alone. So versions can be upgraded and rolled back one process at a time.
 * @throws ConfigError if the database needs a newer version of the code or is too old for it, or if an object of the user is in the way.
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
        if ((await appliedMigrations(other)).some(({ hash }) => hash === next.hash)) return
        await recordMigration(other, next)
      }
      if (!isConcurrent(next) || (await applyConcurrently(url, next, record))) count += 1
    }
  })
  if (applied.migrations + applied.definitions > 0) log?.info(applied, 'The database schema was brought up to date.')
}

/**
 * Creates the database roles, hands an existing mirror to its owner, and leaves the grants to the next {@link migrate}: see `roles.ts`.
 * @throws ConfigError if the user may not do that, StoreError when Postgres fails.
 */
export async function setUpRoles(url: string, log?: Log): Promise<void> {
  await withClient(url, 'set up the database roles', (client) =>
    withLockRetries(client, log, async () => {
      await begin(client)
      await createRoles(client)
      await client.query('commit')
    }),
  )
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
  await client.query(actAsOwner('transaction'))
  await createJournal(client)
  const applied = await appliedMigrations(client)
  checkNotTooOld(applied)
  const [next] = missingMigrations(known, presentHashes(applied), await migrationsNeeded(client))
  if (next && next.hash === known[0]?.hash && replacedIn(applied) === 'all') {
    await recordMigration(client, next)
  } else if (next && !isConcurrent(next)) {
    const before = await readUserObjects(client)
    await applyMigration(client, next)
    await restoreUserObjects(client, before)
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
  await client.query(actAsOwner('transaction'))
  const isNewer = unknownMigrations(known, presentHashes(await appliedMigrations(client))) > 0
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
    if (error instanceof pg.DatabaseError && error.code === '42501') throw new ConfigError(ownerMessage(error, doing))
    throw asStoreError(error, doing)
  }
}

function ownerMessage({ message }: pg.DatabaseError, doing: string): string {
  return (
    `The database user may not ${doing} (${message}). Run buildkite-mirror migrate as a member of buildkite_owner, or as the owner of ` +
    'the schemas. Set AUTO_MIGRATE=false for processes with other users: see docs/operations/database-roles.md.'
  )
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
  await client.query(actAsOwner('transaction'))
  await createJournal(client)
  const applied = presentHashes(await appliedMigrations(client))
  const missing = missingMigrations(knownMigrations(), applied, await migrationsNeeded(client))
  for (const migration of missing) await applyMigration(client, withoutConcurrently(migration))
  await applyDefinitions(client, await changedDefinitions(client, readDefinitions()))
}

/**
 * How many migrations the database at `url` lacks. Changes nothing.
 * @throws ConfigError if the database needs a newer version of the code.
 * @throws StoreError when Postgres fails.
 */
export async function countMissing(url: string): Promise<number> {
  return withClient(url, 'read which migrations were applied', async (client) => {
    const applied = presentHashes(await appliedMigrations(client))
    missingMigrations(knownMigrations(), applied, await migrationsNeeded(client))
    return (await schemaState(client)).missing
  })
}

/** Whether the database at `url` was ever migrated. @throws StoreError */
export async function isMirror(url: string): Promise<boolean> {
  return withClient(url, 'read which migrations were applied', async (client) => {
    return hasTable(client, 'sync.deliveries')
  })
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
  const [there] = await query(
    `select to_regclass('drizzle.__drizzle_migrations') is not null as journal, to_regclass('sync.definitions') is not null as definitions`,
  )
  const rows = there?.journal ? await query(readJournal) : []
  const applied = presentHashes(rows.map((row) => ({ hash: String(row.hash), created_at: Number(row.created_at) })))
  const known = knownMigrations()
  const missing = known.filter(({ hash }) => !applied.includes(hash)).length
  const unknown = unknownMigrations(known, applied)
  if (missing > 0 || unknown > 0) return { missing, unknown }
  const names = new Set(
    there?.definitions ? (await query('select name from sync.definitions')).map(({ name }) => name) : [],
  )
  return { missing: requiredDefinitions().every((name) => names.has(name)) ? 0 : 1, unknown }
}

function unknownMigrations(known: readonly MigrationMeta[], applied: readonly string[]): number {
  const hashes = new Set(known.map(({ hash }) => hash))
  return applied.filter((hash) => !hashes.has(hash)).length
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

async function applyMigration(client: pg.Client, migration: MigrationMeta): Promise<void> {
  for (const statement of migration.sql) {
    if (/^(\s*--.*\n)*\s*lock table/i.test(statement)) await lockTables(client, statement)
    else await client.query(statement)
  }
  await recordMigration(client, migration)
}
