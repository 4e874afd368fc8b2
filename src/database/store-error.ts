import { DrizzleQueryError } from 'drizzle-orm/errors'
import pg from 'pg'
import { StoreError, type StoreErrorKind } from '../runtime/errors.ts'
import { tlsFault } from '../runtime/store-url.ts'
import { DeadlineError } from '../runtime/time.ts'

/**
 * Converts any error of a query to a StoreError whose message says what failed: `doing`, such as "apply 20 builds". The message has the
 * SQLSTATE and the names of table, column and constraint, never SQL, parameters or values. Drizzle puts all of these into its message
 * (drizzle-orm#5939), and Postgres puts some into `message` and `detail`, so neither becomes the cause.
 * A StoreError is returned unchanged.
 */
export function asStoreError(error: unknown, doing: string): StoreError {
  if (error instanceof StoreError) return error
  const inner = unwrap(error)
  if (inner instanceof StoreError) return inner
  const prefix = `Could not ${doing}: `
  if (inner instanceof pg.DatabaseError) {
    const state = inner.code ?? ''
    if (state === '42501')
      return new StoreError('permanent', prefix + describe(inner, state), { code: state, remedy: grants })
    if (state === '53300') {
      return new StoreError('transient', prefix + describe(inner, state), { code: state, remedy: tooManyClients })
    }
    const refused = startupParameter(inner)
    if (refused) return new StoreError('permanent', prefix + refused, { code: state })
    if (state === '28000' && /no encryption|SSL off/.test(inner.message)) {
      const remedy =
        'Postgres may demand TLS: add sslmode=verify-full to its URL. Or allow this user and address in pg_hba.conf.'
      return new StoreError('permanent', prefix + describe(inner, state), { code: state, remedy })
    }
    return new StoreError(kindOfSqlState(state), prefix + describe(inner, state), { code: state })
  }
  if (inner instanceof DeadlineError) return new StoreError('transient', `${prefix}${inner.message}.`, { cause: inner })
  const untrusted = tlsFault('Postgres', inner)
  // Transient, because webhooks must wait in the queue while the server's certificate is wrong.
  if (untrusted) return new StoreError('transient', prefix + untrusted.fact, { remedy: untrusted.remedy })
  const code = codeOf(inner)
  if (code !== undefined && transientCodes.has(code)) {
    return new StoreError('transient', `${prefix}Postgres cannot be reached (${code}).`, { code })
  }
  // Postgres would have cancelled this query, but behind PgBouncer we cannot set statement_timeout.
  if (inner instanceof Error && inner.message.startsWith('Query read timeout')) {
    return new StoreError('transient', `${prefix}Postgres did not answer in time.`, { code: '57014' })
  }
  const lost = inner instanceof Error && connectionLost.find((sentence) => inner.message.startsWith(sentence))
  if (lost)
    return new StoreError('transient', `${prefix}the connection to Postgres was lost or could not be opened (${lost}).`)
  return new StoreError('permanent', `${prefix}${describeFault(inner)}${code ? ` (${code})` : ''}.`, {
    code,
    // An error from inside a query may quote its parameters; only our own errors keep their stack.
    ...(inner === error ? { cause: inner } : {}),
  })
}

/** Runs a query. An error says what it was for, in `doing`. @throws StoreError */
export async function withStoreError<T>(doing: string, query: () => Promise<T>): Promise<T> {
  try {
    return await query()
  } catch (error) {
    throw asStoreError(error, doing)
  }
}

/** Errors of the driver itself are plain Errors. Other kinds may quote a parameter. */
function describeFault(error: unknown): string {
  if (!(error instanceof Error)) return typeof error
  return error.constructor === Error ? error.message : error.name
}

function unwrap(error: unknown): unknown {
  let inner = error
  while (inner instanceof DrizzleQueryError && inner.cause !== undefined) inner = inner.cause
  return inner
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Messages of node-postgres that have no code. */
const connectionLost = [
  'Connection terminated',
  'Client has encountered a connection error',
  'Client was closed',
  'timeout exceeded when trying to connect',
  'timeout expired',
  'Cannot use a pool after calling end',
]

/** Codes of the network or the resolver when no server answers. */
const transientCodes = new Set([
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

/** SQLSTATEs, or classes of them, that a later try can avoid. */
const transientStates = [
  '08', // connection
  '25006', // read-only: a failover is under way
  '25P03', // the transaction was idle for too long
  '40001', // serialization failure
  '40P01', // deadlock
  '53', // out of connections, memory or disk
  '55000', // takes no connections at present, or is still recovering
  '55P03', // lock not available
  '55006', // object in use
  '57', // cancelled by timeout, shutting down, starting up
  '58', // the system under Postgres failed
]

function kindOfSqlState(state: string): StoreErrorKind {
  return transientStates.some((prefix) => state.startsWith(prefix)) ? 'transient' : 'permanent'
}

/** SQLSTATEs, or their classes, that mean Postgres is unavailable: unreachable, starting, stopping, read-only or full. */
const outageStates = ['08', '25006', '25P03', '53100', '53300', '55000', '57P']

/** Whether Postgres is unavailable, so that no other work would succeed either. */
export function isOutage(error: unknown): boolean {
  if (!(error instanceof StoreError) || error.kind !== 'transient') return false
  const { code } = error
  return code === undefined || transientCodes.has(code) || outageStates.some((state) => code.startsWith(state))
}

/** Whether the server of this connection no longer accepts writes: it has become a standby. */
export function isReadOnly(error: unknown): boolean {
  return codeOf(unwrap(error)) === '25006'
}

/** Whether one statement takes too long (57014) or too much memory (53200), so that a smaller one may succeed. */
export function isTooMuch(error: unknown): boolean {
  return error instanceof StoreError && (error.code === '57014' || error.code === '53200')
}

const tooManyClients = 'Raise max_connections in Postgres, or let other clients use fewer connections.'

const grants =
  'The database user lacks this grant. Make it a member of the role of its process, or run buildkite-mirror migrate --roles again: see ' +
  'docs/operations/database-roles.md.'

/** SQLSTATE classes whose messages quote stored or given values: data exceptions, constraints, syntax, raised, internal. */
const quotingStates = ['21', '22', '23', '42601', '42804', 'P0', 'XX']

function describe(error: pg.DatabaseError, state: string): string {
  const where = [
    error.table && `table ${error.schema}.${error.table}`,
    error.column && `column ${error.column}`,
    error.constraint && `constraint ${error.constraint}`,
  ].filter(Boolean)
  const quoting = quotingStates.some((prefix) => state.startsWith(prefix))
  const what = quoting ? 'Postgres refused the data' : error.message
  return `${what} (SQLSTATE ${[state, ...where].join(', ')}).`
}

function startupParameter(error: pg.DatabaseError): string | undefined {
  if (error.code !== '08P01' || !error.message.includes('startup parameter')) return undefined
  return `the connection pooler refused a parameter (${error.message}). In PgBouncer, set ignore_startup_parameters = statement_timeout.`
}
