import { sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { type CheckResult, failure, ok, warning } from '../finding.ts'

/** The version, settings and limits of Postgres, as our user sees them. */
export interface PostgresState {
  /** `server_version_num`, such as 170004. */
  readonly version: number
  readonly readOnly: boolean
  readonly jit: boolean
  /** How many connections our user may open if no other user has any. */
  readonly connections: number
  readonly databaseBytes: number
}

const OLDEST_VERSION = 14
/** The pool of `serve` with all roles (18), plus the connections that migrate the schema and hold the embedded server. */
const POOL = 20
/** BullMQ opens these too when the queue is in Postgres: three producers and three workers, each with its own pool. */
const QUEUE = 18

/** Checks Postgres (pure); `queueInPostgres` says whether the queue is there too. */
export function checkPostgresState(postgres: PostgresState, queueInPostgres: boolean): CheckResult[] {
  return [
    ok('postgres_unreachable', '', 'Postgres answers.'),
    checkVersion(postgres),
    postgres.readOnly
      ? failure(
          'postgres_read_only',
          '',
          'Postgres is read-only: it is a standby, or default_transaction_read_only is on.',
          'Set DATABASE_URL to the primary.',
        )
      : ok('postgres_read_only', '', 'Postgres accepts writes.'),
    postgres.jit
      ? warning(
          'postgres_jit',
          '',
          'jit is on: compiling the plans of the analytics views takes longer than running them.',
          'Run as the owner of the database: alter database … set jit = off.',
        )
      : ok('postgres_jit', '', 'jit is off.'),
    checkConnections(postgres, queueInPostgres ? POOL + QUEUE : POOL),
  ]
}

function checkVersion({ version }: PostgresState): CheckResult {
  const major = Math.floor(version / 10_000)
  if (major >= OLDEST_VERSION) return ok('postgres_version', '', `Postgres ${major}.${version % 10_000}.`)
  const detail = `Postgres is version ${major}; the mirror needs ${OLDEST_VERSION} or later.`
  return failure('postgres_version', '', detail, 'Upgrade Postgres.')
}

function checkConnections({ connections }: PostgresState, needed: number): CheckResult {
  const name = 'postgres_connections'
  if (connections >= needed) {
    return ok(name, '', `Postgres allows ${connections} connections; a process of the service opens up to ${needed}.`)
  }
  const detail = `Postgres allows ${connections} connections; a process of the service opens up to ${needed}.`
  const remedy = "Raise max_connections, and the role's and the database's connection limit, or use a pooler."
  return warning(name, '', detail, remedy)
}

/** @throws the driver's error. */
export async function readPostgres(db: Db): Promise<PostgresState> {
  // The limits of role and database do not apply to superusers; -1 means no limit.
  const { rows } = await db.execute<{
    version: number
    read_only: boolean
    jit: boolean
    connections: number
    bytes: string
  }>(sql`
    select current_setting('server_version_num')::int as version,
      pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool as read_only,
      current_setting('jit')::bool as jit,
      least(
        current_setting('max_connections')::int
          - case when rolsuper then 0 else current_setting('superuser_reserved_connections')::int end,
        case when rolsuper or rolconnlimit < 0 then null else rolconnlimit end,
        case when rolsuper or datconnlimit < 0 then null else datconnlimit end
      ) as connections,
      pg_database_size(current_database())::text as bytes
    from pg_roles, pg_database where rolname = current_user and datname = current_database()`)
  const row = rows[0]
  if (!row) throw new Error('Postgres returned no row for the current role and database.')
  const { version, read_only, jit, connections, bytes } = row
  return { version, readOnly: read_only, jit, connections, databaseBytes: Number(bytes) }
}
