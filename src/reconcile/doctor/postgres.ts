import { sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { type Finding, failure, warning, well } from './finding.ts'

/** What one Postgres is and allows, as seen by our user. */
export interface PostgresFacts {
  /** `server_version_num`, such as 170004. */
  readonly version: number
  readonly readOnly: boolean
  readonly jit: boolean
  /** How many connections our user may open at once, if nobody else had any. */
  readonly connections: number
  readonly databaseBytes: number
}

const OLDEST_VERSION = 14
/** The pool of `serve`, and the connections with which the schema is migrated and the embedded server is held. */
const POOL = 17
/** What BullMQ opens beside it when the queue lives in Postgres: three producers and three workers with pools of their own. */
const QUEUE = 18

/** What is found of Postgres (pure); `queueInPostgres` says whether the queue lives there too. */
export function judgePostgres(facts: PostgresFacts, queueInPostgres: boolean): Finding[] {
  return [
    well('postgres_unreachable', '', 'Postgres answers.'),
    judgeVersion(facts),
    facts.readOnly
      ? failure(
          'postgres_read_only',
          '',
          'Postgres takes no writes: it is a standby, or default_transaction_read_only is on.',
          'Let DATABASE_URL name the primary.',
        )
      : well('postgres_read_only', '', 'Postgres takes writes.'),
    facts.jit
      ? warning(
          'postgres_jit',
          '',
          'jit is on: compiling the plans of the analytics views takes longer than running them.',
          'As its owner: alter database … set jit = off.',
        )
      : well('postgres_jit', '', 'jit is off.'),
    judgeConnections(facts, queueInPostgres ? POOL + QUEUE : POOL),
  ]
}

function judgeVersion({ version }: PostgresFacts): Finding {
  const major = Math.floor(version / 10_000)
  if (major >= OLDEST_VERSION) return well('postgres_version', '', `Postgres ${major}.${version % 10_000}.`)
  const detail = `Postgres is version ${major}; the mirror is made for ${OLDEST_VERSION} and later.`
  return failure('postgres_version', '', detail, 'Upgrade Postgres.')
}

function judgeConnections({ connections }: PostgresFacts, needed: number): Finding {
  const name = 'postgres_connections'
  if (connections >= needed) {
    return well(name, '', `${connections} connections are allowed; a process of the service opens up to ${needed}.`)
  }
  const detail = `Postgres allows ${connections} connections; a process of the service opens up to ${needed}.`
  const remedy = "Raise max_connections, and the role's and the database's connection limit, or use a pooler."
  return warning(name, '', detail, remedy)
}

/** Reads what is to be judged. @throws the driver's error. */
export async function readPostgres(db: Db): Promise<PostgresFacts> {
  // Limits of role and database do not count for superusers; -1 is none.
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
  if (!row) throw new Error('Postgres does not know the database that it is asked in.')
  const { version, read_only, jit, connections, bytes } = row
  return { version, readOnly: read_only, jit, connections, databaseBytes: Number(bytes) }
}
