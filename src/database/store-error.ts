import { DrizzleQueryError } from 'drizzle-orm/errors'
import postgres from 'postgres'
import { ConfigError, StoreError, type StoreErrorKind } from '../errors.ts'
import { DeadlineError } from '../time.ts'

/**
 * Turns whatever a query threw into a StoreError saying that we could not do `doing` ("apply 20 builds"). Its message holds
 * the SQLSTATE and the names of table, column and constraint, never SQL, parameters or values: Drizzle puts all of these
 * into its message (drizzle-orm#5939) and Postgres some of them into `message` and `detail`, so neither becomes the cause.
 * A StoreError passes through unchanged.
 */
export function asStoreError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error
  const inner = unwrap(error)
  const prefix = `Could not ${doing}: `
  if (inner instanceof postgres.PostgresError) {
    const refused = startupParameter(inner)
    if (refused) return new StoreError('permanent', prefix + refused, { code: inner.code })
    return new StoreError(kindOfSqlState(inner.code), prefix + describe(inner), { code: inner.code })
  }
  if (inner instanceof DeadlineError) return new StoreError('transient', `${prefix}${inner.message}.`, { cause: inner })
  const code = codeOf(inner)
  if (code !== undefined && transientCodes.has(code)) {
    return new StoreError('transient', `${prefix}Postgres cannot be reached (${code}).`, { code })
  }
  const name = inner instanceof Error ? inner.name : typeof inner
  const safe = inner === error && (inner instanceof ConfigError || !(inner instanceof DrizzleQueryError))
  return new StoreError('permanent', `${prefix}${name}${code ? ` (${code})` : ''}.`, {
    code,
    ...(safe ? { cause: inner } : {}),
  })
}

function unwrap(error: unknown): unknown {
  let inner = error
  while (inner instanceof DrizzleQueryError && inner.cause !== undefined) inner = inner.cause
  return inner
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** What the network, the resolver or postgres.js says when there is no server to talk to. */
const transientCodes = new Set([
  'CONNECTION_CLOSED',
  'CONNECTION_ENDED',
  'CONNECTION_DESTROYED',
  'CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'EHOSTDOWN',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOENT',
])

/** SQLSTATEs, or classes of them, that say "not now" rather than "not like this". */
const transientStates = [
  '08', // connection
  '25006', // read-only: a failover is under way
  '40001', // serialization failure
  '40P01', // deadlock
  '53', // out of connections, memory or disk
  '55P03', // lock not available
  '55006', // object in use
  '57', // cancelled by timeout, shutting down, starting up
  '58', // the system under Postgres failed
]

function kindOfSqlState(state: string): StoreErrorKind {
  return transientStates.some((prefix) => state.startsWith(prefix)) ? 'transient' : 'permanent'
}

/** SQLSTATE classes whose messages quote what was stored or asked: data exceptions, constraints, syntax, raised, internal. */
const quotingStates = ['21', '22', '23', '42601', '42804', 'P0', 'XX']

function describe(error: postgres.PostgresError): string {
  const where = [
    error.table_name && `table ${error.schema_name}.${error.table_name}`,
    error.column_name && `column ${error.column_name}`,
    error.constraint_name && `constraint ${error.constraint_name}`,
  ].filter(Boolean)
  const quoting = quotingStates.some((prefix) => error.code.startsWith(prefix))
  const what = quoting ? 'Postgres refused the data' : error.message
  return `${what} (SQLSTATE ${[error.code, ...where].join(', ')}).`
}

function startupParameter(error: postgres.PostgresError): string | undefined {
  if (error.code !== '08P01' || !error.message.includes('startup parameter')) return undefined
  return `the connection pooler refused a parameter (${error.message}). In PgBouncer, set ignore_startup_parameters = statement_timeout.`
}
