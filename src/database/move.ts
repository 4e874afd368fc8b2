import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { ConfigError } from '../runtime/errors.ts'
import { SECOND, withDeadline } from '../runtime/time.ts'
import { asStoreError, connectionOptions } from './connection.ts'
import { applyMigrations, schemaState } from './migrations/migrate.ts'
import { type Checksum, checksumOf } from './table-checksum.ts'

/** Our schemas that hold data. The queue is not moved: the sweeper enqueues pending deliveries of the inbox again. */
const SCHEMAS = ['buildkite', 'sync', 'settings', 'analytics']
/** Schemas that must not exist in the target. */
const OURS = [...SCHEMAS, 'drizzle', 'bullmq']

/** One table, equal on both sides. */
export interface MovedTable extends Checksum {
  /** `buildkite.builds`. */
  readonly name: string
}

export interface MoveReport {
  readonly tables: readonly MovedTable[]
  /** Tables in our schemas that no migration created; they were not moved. */
  readonly leftOut: readonly string[]
}

/** The progress of a move. `rows` counts only the rows of `table`. */
export interface MoveProgress {
  readonly doing: 'copy' | 'compare' | 'commit'
  readonly table: string
  readonly rows: number
  /** The expected rows of `table`, from the planner's estimate; undefined if it has none. */
  readonly expected: number | undefined
}

export interface MoveOptions {
  readonly from: string
  readonly to: string
  readonly onProgress?: (progress: MoveProgress) => void
  readonly signal?: AbortSignal
}

/**
 * Copies the mirror from the database at `from` to the empty one at `to`, and compares every table by rows and checksum. The target
 * is migrated, filled and compared in one transaction, so it is still empty after any failure or kill. The source is read in one
 * snapshot and not changed. Rows stream from COPY to COPY, so memory use is constant.
 * @throws ConfigError if the source is in use or of another version, or the target is not empty.
 * @throws StoreError when Postgres fails, or a table differs after the copy.
 */
export async function moveDatabase({ from, to, onProgress = () => {}, signal }: MoveOptions): Promise<MoveReport> {
  const source = newClient(from)
  const target = newClient(to)
  const cut = () => void Promise.all([end(source), end(target)])
  signal?.addEventListener('abort', cut, { once: true })
  try {
    await source.connect().catch(saying('connect to the source'))
    await target.connect().catch(saying('connect to the target'))
    await checkSource(source)
    await checkTarget(target)
    await source.query('begin transaction isolation level repeatable read read only')
    await target.query('begin')
    await applyMigrations(target)
    const tables = await tablesOf(target)
    const there = await tablesOf(source)
    await quietTriggers(target, 'disable')
    for (const { name } of tables) await copyTable(name, source, target, onProgress, signal)
    await copySequences(source, target)
    await quietTriggers(target, 'enable')
    const moved: MovedTable[] = []
    for (const { name } of tables) moved.push(await compareTable(name, source, target, onProgress))
    signal?.throwIfAborted()
    onProgress({ doing: 'commit', table: '', rows: 0, expected: undefined })
    await target.query('commit')
    // Without analyze the planner has no statistics of the new tables, and the views are slow.
    for (const { name } of tables) await target.query(`analyze ${name}`).catch(() => {})
    const known = new Set(tables.map(({ name }) => name))
    return { tables: moved, leftOut: there.map(({ name }) => name).filter((name) => !known.has(name)) }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw asStoreError(error, 'move the mirror')
  } finally {
    signal?.removeEventListener('abort', cut)
    await Promise.all([end(source), end(target)])
  }
}

function newClient(url: string): pg.Client {
  // Copying a large table may take very long.
  const client = new pg.Client({ ...connectionOptions(url, 'move'), statement_timeout: 0, query_timeout: 0 })
  // The query that meets a lost connection reports it.
  client.on('error', () => {})
  return client
}

async function end(client: pg.Client): Promise<void> {
  await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
}

const saying = (doing: string) => (error: unknown) => {
  throw asStoreError(error, doing)
}

async function checkSource(client: pg.Client): Promise<void> {
  const { missing, unknown } = await schemaState(client)
  if (missing > 0) {
    throw new ConfigError(
      `The source lacks ${missing} of this version's migrations. Run buildkite-mirror migrate on it first, then move again.`,
    )
  }
  if (unknown > 0) {
    throw new ConfigError(
      `The source holds ${unknown} migration(s) that this version does not know. Use the version that applied them.`,
    )
  }
  // A connected process may write, and rows after the snapshot would not be moved.
  const { rows } = await client.query<{ application_name: string }>(`
    select application_name from pg_stat_activity
    where datname = current_database() and application_name like 'buildkite-mirror %' and pid <> pg_backend_pid() limit 1`)
  const [other] = rows
  if (other) {
    throw new ConfigError(
      `The source is in use by "${other.application_name}". Stop the service and other commands first, then move again.`,
    )
  }
  await checkQueue(client)
}

/** Deliveries that arrived while the inbox was unavailable are only in the queue, which is not moved. */
async function checkQueue(client: pg.Client): Promise<void> {
  const { rows: queue } = await client.query<{ there: boolean }>(
    `select to_regclass('bullmq.job') is not null as there`,
  )
  if (!queue[0]?.there) return
  const { rows } = await client.query<{ kept: number }>(
    `select count(*)::int as kept from bullmq.job where queue = 'deliveries' and data::text like '%"kept"%'`,
  )
  const kept = rows[0]?.kept ?? 0
  if (kept === 0) return
  throw new ConfigError(
    `The queue of the source holds ${kept} job(s) with deliveries that are in no table yet. Start the service on it until ` +
      '/status shows an empty queue, stop it, then move again.',
  )
}

async function checkTarget(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(
    'select nspname as name from pg_namespace where nspname = any($1)',
    [OURS],
  )
  if (rows.length > 0) {
    const names = rows.map(({ name }) => name).join(', ')
    throw new ConfigError(
      `The target is not empty: it has the schemas ${names}. Use an empty database. If you do not need these schemas: ` +
        `psql <target> -c 'drop schema ${names} cascade'`,
    )
  }
  const { rows: encoding } = await client.query<{ server_encoding: string }>('show server_encoding')
  if (encoding[0]?.server_encoding !== 'UTF8') {
    throw new ConfigError(
      `The target's encoding is ${encoding[0]?.server_encoding}. Create it with: create database … encoding 'UTF8' template template0`,
    )
  }
}

interface Table {
  /** Quoted if needed. */
  readonly name: string
}

/** The tables, large ones last, so that errors show early. */
async function tablesOf(client: pg.Client): Promise<Table[]> {
  const { rows } = await client.query<Table>(
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname = any($1) order by n.nspname in ('buildkite', 'sync'), 1`,
    [SCHEMAS],
  )
  return rows
}

/**
 * Disables our triggers during the copy, because their results are copied too. It is per table, which an owner may do, while
 * session_replication_role needs a superuser. The transaction includes it.
 */
async function quietTriggers(client: pg.Client, how: 'disable' | 'enable'): Promise<void> {
  const { rows } = await client.query<Table>(
    `select distinct format('%I.%I', n.nspname, c.relname) as name
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
     where not t.tgisinternal and n.nspname = any($1)`,
    [SCHEMAS],
  )
  for (const { name } of rows) await client.query(`alter table ${name} ${how} trigger user`)
}

async function copyTable(
  name: string,
  source: pg.Client,
  target: pg.Client,
  onProgress: (progress: MoveProgress) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const columns = (await columnsOf(target, name)).join(', ')
  const { rows: estimate } = await source.query<{ rows: number }>(
    'select reltuples::float8 as rows from pg_class where oid = $1::regclass',
    [name],
  )
  const known = estimate[0]?.rows ?? -1
  const expected = known > 0 ? known : undefined
  // A migration has inserted a row into a few tables.
  await target.query(`truncate ${name}`)
  let rows = 0
  onProgress({ doing: 'copy', table: name, rows, expected })
  const counting = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      rows += lineEnds(chunk)
      onProgress({ doing: 'copy', table: name, rows, expected })
      yield chunk
    }
  }
  const reader = source.query(copyTo(`copy ${name} (${columns}) to stdout`))
  const writer = target.query(copyFrom(`copy ${name} (${columns}) from stdin`))
  await pipeline(reader, counting, writer, signal ? { signal } : {})
}

/** Counts rows: in COPY's text format each line end ends a row, because values write theirs as \n. */
function lineEnds(chunk: Buffer): number {
  let count = 0
  for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) count += 1
  return count
}

async function columnsOf(client: pg.Client, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(attname) as name from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
    [table],
  )
  return rows.map(({ name }) => name)
}

async function copySequences(source: pg.Client, target: pg.Client): Promise<void> {
  const { rows } = await target.query<{ name: string }>(
    `select format('%I.%I', schemaname, sequencename) as name from pg_sequences where schemaname = any($1)`,
    [SCHEMAS],
  )
  for (const { name } of rows) {
    const { rows: states } = await source.query<{ last_value: string; is_called: boolean }>(
      `select last_value, is_called from ${name}`,
    )
    const [state] = states
    if (state) await target.query('select setval($1::regclass, $2, $3)', [name, state.last_value, state.is_called])
  }
}

async function compareTable(
  name: string,
  source: pg.Client,
  target: pg.Client,
  onProgress: (progress: MoveProgress) => void,
): Promise<MovedTable> {
  onProgress({ doing: 'compare', table: name, rows: 0, expected: undefined })
  const columns = await columnsOf(target, name)
  const [here, there] = await Promise.all([source, target].map((client) => checksumOf(client, name, columns)))
  if (here && there && here.rows === there.rows && here.checksum === there.checksum) return { name, ...there }
  throw new Error(
    `${name} differs after the copy (${here?.rows} rows, checksum ${here?.checksum}; in the target ${there?.rows}, ${there?.checksum}). ` +
      'The target is still empty. This is a bug; please report it',
  )
}
