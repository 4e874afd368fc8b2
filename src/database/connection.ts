import { sql } from 'drizzle-orm'
import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { MINUTE, SECOND, withDeadline } from '../time.ts'
import * as schema from './schema.ts'
import { asStoreError } from './store-error.ts'

export { asStoreError } from './store-error.ts'

/** Drizzle over postgres.js, knowing the whole schema. */
export type Db = PostgresJsDatabase<typeof schema>
/** An open transaction of `Db`: the same methods, all or nothing. */
export type Transaction = Parameters<Parameters<Db['transaction']>[0]>[0]

/** A pool of connections to one Postgres. */
export interface Database {
  readonly db: Db
  /** Resolves when Postgres answers a trivial query within 2 s. @throws StoreError (transient when it may recover). */
  ping(): Promise<void>
  /** Waits for running queries up to `deadlineMs` (default 5 s), then cuts them off. Never rejects, never hangs. */
  close(deadlineMs?: number): Promise<void>
}

const PING_DEADLINE = 2 * SECOND

/**
 * Makes a pool of at most `connections` (default 10) connections to `url`; the first query connects. `name` is what
 * pg_stat_activity shows as application_name.
 */
export function openDatabase(url: string, options: { name: string; connections?: number }): Database {
  const client = postgres(url, {
    ...connectionOptions(options.name),
    max: options.connections ?? 10,
  })
  const db = drizzle(client, { schema })
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
      // end() has hung when the server was gone (postgres#1097): the timeout is its own, the deadline is ours.
      const ended = client.end({ timeout: deadlineMs / SECOND })
      await withDeadline(ended, deadlineMs + SECOND, 'Closing the database').catch(() => {})
    },
  }
}

/** The postgres.js options that every connection of the service shares. */
export function connectionOptions(name: string) {
  return {
    connect_timeout: 5,
    // postgres.js waits up to 20 s between attempts; a service that must notice Postgres coming back cannot.
    backoff: (attempt: number) => Math.min(1, 0.05 * 2 ** attempt),
    onnotice: () => {},
    connection: {
      application_name: `buildkite-mirror ${name}`,
      // A query that takes longer is stuck. PgBouncer needs `ignore_startup_parameters = statement_timeout`.
      statement_timeout: MINUTE,
      TimeZone: 'UTC',
    },
  }
}
