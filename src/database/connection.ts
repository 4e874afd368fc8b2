import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { PgTransactionConfig } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { postgresOptions } from '../runtime/store-url.ts'
import { MINUTE, SECOND, withDeadline } from '../runtime/time.ts'
import * as schema from './schema.ts'
import { asStoreError, isReadOnly } from './store-error.ts'

export { asStoreError, isOutage, isTooMuch, withStoreError } from './store-error.ts'

/** Drizzle over node-postgres, with the whole schema. The result of `execute` has its rows in `.rows`. */
export type Db = Drizzle & {
  /** A transaction whose statements may take `ms` each. In other transactions a statement is cancelled after a minute. */
  transactionWithTimeout<T>(ms: number, work: (tx: Transaction) => Promise<T>): Promise<T>
  /** The same database, but every transaction, and every single statement that writes, runs `check` first. */
  guardedBy(check: (tx: Transaction) => Promise<void>): Db
}
type Drizzle = NodePgDatabase<typeof schema>
/** An open transaction of `Db`: the same methods, all or nothing. */
export type Transaction = Parameters<Parameters<Drizzle['transaction']>[0]>[0]

/** A pool of connections to one Postgres. */
export interface Database {
  readonly db: Db
  /** Resolves when Postgres answers a trivial query within 2 s. @throws StoreError (transient when it may recover). */
  ping(): Promise<void>
  /** Waits for running queries up to `deadlineMs` (default 5 s), then cuts them off. Never rejects, never hangs. */
  close(deadlineMs?: number): Promise<void>
}

const PING_DEADLINE = 2 * SECOND
/** Postgres ends a transaction that is idle for this long: its process is frozen and holds row locks that others need. */
const IDLE_LIMIT = 30 * SECOND
/** How much longer than Postgres this side waits before it gives up a query, so that Postgres can usually report the reason first. */
const GRACE = 5 * SECOND

/**
 * Creates a pool of at most `connections` (default 10) connections to `url`; the first query connects. `name` is the application_name
 * in pg_stat_activity. A query that gets no free connection within 10 s fails as transient. Postgres ends a transaction in which no
 * statement runs for `idleLimitMs` (default 30 s).
 */
export function openDatabase(
  url: string,
  options: { name: string; connections?: number; idleLimitMs?: number },
): Database {
  const pool = new pg.Pool({
    ...connectionOptions(url, options.name),
    max: options.connections ?? 10,
    idleTimeoutMillis: 5 * MINUTE,
    maxLifetimeSeconds: 45 * 60,
  })
  const clients = new Set<pg.PoolClient>()
  pool.on('connect', (client) => {
    clients.add(client)
    // Without a listener, losing an idle connection would end the process. The next query on it reports the error.
    client.on('error', () => {})
  })
  pool.on('remove', (client) => clients.delete(client))
  pool.on('error', () => {})
  const db = withSafeTransactions(drizzle(pool, { schema }), pool, options.idleLimitMs ?? IDLE_LIMIT)
  return {
    db,
    async ping() {
      try {
        await withDeadline(Promise.resolve(db.execute(sql`select 1`)), PING_DEADLINE, 'Postgres')
      } catch (error) {
        throw asStoreError(error, 'ping Postgres')
      }
    },
    async close(deadlineMs = 5 * SECOND) {
      const ended = pool.end()
      await withDeadline(ended, deadlineMs, 'Closing the database').catch(async () => {
        for (const client of clients) client.end().catch(() => {})
        await withDeadline(ended, SECOND, 'Closing the database').catch(() => {})
      })
    },
  }
}

/**
 * Drizzle's own transaction leaks the connection if `begin` fails, and reuses a connection whose `rollback` failed. Here every
 * connection goes back to the pool, or is closed if its state is unknown or its server has become read-only: after a failover, the same
 * address leads to another server.
 */
function withSafeTransactions(db: Drizzle, pool: pg.Pool, idleLimitMs: number): Db {
  // Cached per connection: parsing the whole schema again would cost more than a small transaction.
  const overConnections = new WeakMap<pg.PoolClient, RunOnConnection>()
  const over = (client: pg.PoolClient): RunOnConnection => {
    const known = overConnections.get(client) ?? overConnection(client)
    overConnections.set(client, known)
    return known
  }
  const inTransaction = async <T>(
    work: (tx: Transaction, client: pg.PoolClient) => Promise<T>,
    config?: PgTransactionConfig,
    timeoutMs?: number,
  ): Promise<T> => {
    const client = await pool.connect()
    const usual = timeoutMs === undefined ? undefined : setQueryTimeout(client, timeoutMs + GRACE)
    let fault: { thrown: unknown } | undefined
    let sound = false
    try {
      const { drizzle: own, limits } = over(client)
      limits.idle_in_transaction_session_timeout = idleLimitMs
      limits.statement_timeout = timeoutMs
      const value = await own.transaction(async (tx) => {
        try {
          return await work(tx, client)
        } catch (thrown) {
          fault = { thrown }
          throw thrown
        }
      }, config)
      sound = true
      return value
    } catch (error) {
      // If the error is not from `work`, it is from begin, commit or rollback, and the connection's state is unknown.
      sound = fault !== undefined && fault.thrown === error && !isReadOnly(error)
      throw fault ? fault.thrown : error
    } finally {
      if (usual !== undefined) setQueryTimeout(client, usual)
      client.release(!sound)
    }
  }
  const guardedBy = (check: (tx: Transaction) => Promise<void>): Db => {
    const checked =
      <T>(work: (tx: Transaction) => Promise<T>) =>
      async (tx: Transaction) => {
        await check(tx)
        return work(tx)
      }
    const query = (config: pg.QueryConfig, values?: unknown[]) =>
      WRITES.test(config.text)
        ? inTransaction(async (tx, client) => {
            await check(tx)
            return client.query(config, values)
          })
        : pool.query(config, values)
    const guarded: pg.Pool = Object.assign(Object.create(pool), { query })
    return Object.assign(drizzle(guarded, { schema }), {
      transaction: <T>(work: (tx: Transaction) => Promise<T>, config?: PgTransactionConfig) =>
        inTransaction(checked(work), config),
      transactionWithTimeout: <T>(ms: number, work: (tx: Transaction) => Promise<T>) =>
        inTransaction(checked(work), undefined, ms),
      guardedBy,
    })
  }
  return Object.assign(db, {
    transaction: <T>(work: (tx: Transaction) => Promise<T>, config?: PgTransactionConfig) =>
      inTransaction(work, config),
    transactionWithTimeout: <T>(ms: number, work: (tx: Transaction) => Promise<T>) =>
      inTransaction(work, undefined, ms),
    guardedBy,
  })
}

/** Statements that change rows, including a `with` that contains one. */
const WRITES = /\b(insert into|update|delete from)\b/i

/** Drizzle over one connection. `limits` apply to its next transaction, in milliseconds. */
interface RunOnConnection {
  readonly drizzle: Drizzle
  readonly limits: Record<'idle_in_transaction_session_timeout' | 'statement_timeout', number | undefined>
}

/** Sets the limits in the round trip of `begin`. PgBouncer refuses them as startup parameters, and loses session settings. */
function overConnection(client: pg.PoolClient): RunOnConnection {
  const limits: RunOnConnection['limits'] = {
    idle_in_transaction_session_timeout: undefined,
    statement_timeout: undefined,
  }
  const settings = () =>
    Object.entries(limits).flatMap(([name, ms]) => (ms === undefined ? [] : `; set local ${name} = ${Math.ceil(ms)}`))
  const query = (config: pg.QueryConfig, values?: unknown[]) =>
    client.query(/^begin\b/.test(config.text) ? { ...config, text: config.text + settings().join('') } : config, values)
  const limited: pg.PoolClient = Object.assign(Object.create(client), { query })
  return { drizzle: drizzle(limited, { schema }), limits }
}

/** Sets the query timeout of this side and returns the old one. node-postgres reads it for each query, but its types do not have it. */
function setQueryTimeout(client: pg.PoolClient, ms: number): number {
  const { connectionParameters } = client as unknown as { connectionParameters: { query_timeout: number } }
  const before = connectionParameters.query_timeout
  connectionParameters.query_timeout = ms
  return before
}

/** The node-postgres options that every connection of the service shares. */
export function connectionOptions(url: string, name: string): pg.ClientConfig {
  return {
    ...postgresOptions(url),
    application_name: `buildkite-mirror ${name}`,
    connectionTimeoutMillis: 10 * SECOND,
    keepAlive: true,
    // A longer query is stuck. PgBouncer needs `ignore_startup_parameters = statement_timeout` and drops it; set it on the role there.
    statement_timeout: MINUTE,
    // A half-open connection never answers. After this time this side gives up, and the pool opens a new connection.
    query_timeout: MINUTE + GRACE,
  }
}

/** Runs `work` on its own connection with these limits, then closes it. @throws the driver's errors */
export async function withOwnConnection<T>(
  url: string,
  name: string,
  limits: Pick<pg.ClientConfig, 'statement_timeout' | 'query_timeout'>,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ ...connectionOptions(url, name), ...limits })
  // The query that meets a lost connection reports it; without a listener it would end the process.
  client.on('error', () => {})
  try {
    await client.connect()
    return await work(client)
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}
