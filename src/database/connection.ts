import { sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { PgTransactionConfig } from 'drizzle-orm/pg-core'
import pg from 'pg'
import { likeLibpq } from '../postgres-url.ts'
import { MINUTE, SECOND, withDeadline } from '../time.ts'
import * as schema from './schema.ts'
import { asStoreError } from './store-error.ts'

export { asStoreError, isOutage } from './store-error.ts'

/** Drizzle over node-postgres, knowing the whole schema. What `execute` returns has its rows in `.rows`. */
export type Db = Drizzle & {
  /** A transaction whose statements may take `ms` each. Elsewhere one that takes a minute is stuck, and given up. */
  patiently<T>(ms: number, work: (tx: Transaction) => Promise<T>): Promise<T>
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
/** So much longer than Postgres this side waits before it gives a query up: most often Postgres has said why by then. */
const GRACE = 5 * SECOND

/**
 * Makes a pool of at most `connections` (default 10) connections to `url`; the first query connects. `name` is what
 * pg_stat_activity shows as application_name. A query that finds no free connection within 10 s fails as transient. A transaction in
 * which no statement runs for `idleLimitMs` (default 30 s) is ended by Postgres.
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
    // Without a listener, a connection lost while nobody queries ends the process. The next query on it says it better.
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
        throw asStoreError(error, 'ask Postgres for a sign of life')
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
 * Drizzle's own transaction leaks the connection when `begin` fails, and puts one back whose `rollback` failed. Here every
 * connection goes back to the pool, or to the grave when its state is not known.
 */
function withSafeTransactions(db: Drizzle, pool: pg.Pool, idleLimitMs: number): Db {
  // Cached per connection: parsing the whole schema again would cost more than a small transaction.
  const overConnections = new WeakMap<pg.PoolClient, OverConnection>()
  const over = (client: pg.PoolClient): OverConnection => {
    const known = overConnections.get(client) ?? overConnection(client)
    overConnections.set(client, known)
    return known
  }
  const inTransaction = async <T>(
    work: (tx: Transaction, client: pg.PoolClient) => Promise<T>,
    config?: PgTransactionConfig,
    patience?: number,
  ): Promise<T> => {
    const client = await pool.connect()
    const usual = patience === undefined ? undefined : setQueryTimeout(client, patience + GRACE)
    let fault: { thrown: unknown } | undefined
    let sound = false
    try {
      const { drizzle: own, limits } = over(client)
      limits.idle_in_transaction_session_timeout = idleLimitMs
      limits.statement_timeout = patience
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
      // Anything but the work's own fault comes from begin, commit or rollback.
      sound = fault !== undefined && fault.thrown === error
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
      patiently: <T>(ms: number, work: (tx: Transaction) => Promise<T>) => inTransaction(checked(work), undefined, ms),
      guardedBy,
    })
  }
  return Object.assign(db, {
    transaction: <T>(work: (tx: Transaction) => Promise<T>, config?: PgTransactionConfig) =>
      inTransaction(work, config),
    patiently: <T>(ms: number, work: (tx: Transaction) => Promise<T>) => inTransaction(work, undefined, ms),
    guardedBy,
  })
}

/** Statements that change rows, including a `with` that contains one. */
const WRITES = /\b(insert into|update|delete from)\b/i

/** Drizzle over one connection. Its next transaction has these limits, in milliseconds. */
interface OverConnection {
  readonly drizzle: Drizzle
  readonly limits: Record<'idle_in_transaction_session_timeout' | 'statement_timeout', number | undefined>
}

/** Sets the limits in the round trip of `begin`. PgBouncer refuses them as startup parameters, and loses session settings. */
function overConnection(client: pg.PoolClient): OverConnection {
  const limits: OverConnection['limits'] = {
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

/** Sets how long this side waits for an answer, and returns what it was. node-postgres looks it up for each query, but has no name for it in its types. */
function setQueryTimeout(client: pg.PoolClient, ms: number): number {
  const { connectionParameters } = client as unknown as { connectionParameters: { query_timeout: number } }
  const before = connectionParameters.query_timeout
  connectionParameters.query_timeout = ms
  return before
}

/** The node-postgres options that every connection of the service shares. */
export function connectionOptions(url: string, name: string): pg.ClientConfig {
  return {
    connectionString: likeLibpq(url),
    application_name: `buildkite-mirror ${name}`,
    connectionTimeoutMillis: 10 * SECOND,
    keepAlive: true,
    // A query that takes longer is stuck. PgBouncer needs `ignore_startup_parameters = statement_timeout`, and drops it: there it is the role's to set.
    statement_timeout: MINUTE,
    // Where the connection is half open nothing answers at all: then this side gives up, and the pool makes a new one.
    query_timeout: MINUTE + GRACE,
  }
}

/** Runs `work` on a connection of its own, with these limits, and closes it. @throws the driver's errors */
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
