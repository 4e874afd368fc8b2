import type { MigrationMeta } from 'drizzle-orm/migrator'
import pg from 'pg'
import { ConfigError } from '../../runtime/errors.ts'
import { pause, SECOND } from '../../runtime/time.ts'
import { withOwnConnection } from '../connection.ts'

// `create index concurrently` does not block writes, but cannot run in a transaction. A migration that has only such statements runs
// outside one. It may be killed at any point: the next run skips existing indexes and rebuilds invalid ones.

const comments = String.raw`^(?:\s*--.*\n)*\s*`
const creates = new RegExp(
  String.raw`${comments}create\s+(?:unique\s+)?index\s+concurrently\s+"?(\w+)"?\s+on\s+"?(\w+)"?\."?(\w+)"?[^;]*;?\s*$`,
  'i',
)
const drops = new RegExp(String.raw`${comments}drop\s+index\s+concurrently\s+if\s+exists\s+[^;]*;?\s*$`, 'i')

/**
 * Whether `migration` runs outside a transaction (pure).
 * @throws Error if only some of its statements are `create index concurrently` or `drop index concurrently if exists`.
 */
export function isConcurrent({ sql }: Pick<MigrationMeta, 'sql'>): boolean {
  if (!sql.some((statement) => /^\s*(create|drop)\s[^;]*\bconcurrently\b/im.test(statement))) return false
  const other = sql.find((statement) => !creates.test(statement) && !drops.test(statement))
  if (other === undefined) return true
  throw new Error(
    'A migration with "concurrently" may hold only "create index concurrently <name> on <schema>.<table>" and "drop index ' +
      `concurrently if exists", separated by breakpoints. This is something else: ${other.trim().slice(0, 100)}`,
  )
}

/** The same statements for an empty database, where a transaction is better. */
export function withoutConcurrently(migration: MigrationMeta): MigrationMeta {
  if (!isConcurrent(migration)) return migration
  return { ...migration, sql: migration.sql.map((statement) => statement.replace(/\sconcurrently\b/i, '')) }
}

/** Postgres ends the transaction of a frozen process after this time, so that another process can continue. */
const IDLE_LIMIT_MS = 30 * SECOND
const SIGN_OF_LIFE_MS = 5 * SECOND

/**
 * Runs a concurrent migration and then `finish`, with which the caller records it. Returns false, after a second, if another process is
 * doing that. @throws the driver's errors; ConfigError if a pooler's time limit ended it.
 */
export async function applyConcurrently(
  url: string,
  migration: MigrationMeta,
  finish: (client: pg.Client) => Promise<void>,
): Promise<boolean> {
  return withClient(url, (holder) =>
    withClient(url, async (client) => {
      if (!(await takeLock(holder))) {
        await pause(SECOND)
        return false
      }
      const timer = setInterval(() => holder.query('select 1').catch(() => {}), SIGN_OF_LIFE_MS)
      try {
        await liftTimeLimit(client)
        for (const statement of migration.sql) await runStatement(client, statement)
        await finish(client)
      } finally {
        clearInterval(timer)
      }
      return true
    }),
  )
}

/**
 * Locks in a transaction of its own connection, because a session lock may be orphaned behind PgBouncer. It never waits: Postgres would
 * let the index wait for the waiting statement. For the same reason it does not use the migration lock: versions before 0.2 wait for it.
 */
async function takeLock(holder: pg.Client): Promise<boolean> {
  await holder.query(`begin; set local idle_in_transaction_session_timeout = ${IDLE_LIMIT_MS}`)
  const { rows } = await holder.query<{ taken: boolean }>(
    `select pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror concurrent index', 0)) as taken`,
  )
  return rows[0]?.taken === true
}

/** Removes a time limit of the role. Behind a pooler it stays, because the setting would leak to other clients. */
async function liftTimeLimit(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  const isDirect = 'processID' in client && client.processID === rows[0]?.pid
  if (isDirect) await client.query('set statement_timeout = 0; set lock_timeout = 0')
}

async function runStatement(client: pg.Client, statement: string): Promise<void> {
  const [, index, schema, table] = creates.exec(statement) ?? []
  for (;;) {
    try {
      if (index && schema && table && (await isBuilt(client, `${schema}.${index}`, `${schema}.${table}`))) return
      await client.query(statement)
      return
    } catch (error) {
      const code = error instanceof pg.DatabaseError ? error.code : undefined
      // Autovacuum or a change of the table took the same locks in a different order. This leaves an invalid index.
      if (code === '40P01' || code === '55P03') await pause(SECOND)
      else if (code === '57014') throw new ConfigError(tooSlow, { cause: error })
      else throw error
    }
  }
}

const tooSlow =
  'Building an index was cancelled, most likely by the statement_timeout of the role or database. Run buildkite-mirror migrate with a ' +
  'DATABASE_URL that leads to Postgres itself, not to a pooler. It continues where it stopped.'

/** Whether the index exists and is valid. Waits while the statement of a killed process still builds it, and drops an invalid index. */
async function isBuilt(client: pg.Client, index: string, table: string): Promise<boolean> {
  for (;;) {
    const { rows } = await client.query<{ valid: boolean | null; running: boolean }>(
      `select (select indisvalid from pg_index where indexrelid = to_regclass($1)) as valid,
         exists (select from pg_stat_progress_create_index where relid = to_regclass($2) and pid <> pg_backend_pid()) as running`,
      [index, table],
    )
    const [found] = rows
    if (found?.valid) return true
    if (!found?.running) {
      if (found?.valid === false) await client.query(`drop index concurrently if exists ${index}`)
      return false
    }
    await pause(SECOND)
  }
}

function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  // Building an index on a large table can take very long.
  return withOwnConnection(url, 'migrate', { statement_timeout: 0, query_timeout: 0 }, work)
}
