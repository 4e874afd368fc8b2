import { type SQL, sql } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { z } from 'zod'
import { asStoreError, type Db } from '../../database/connection.ts'
import { type Clock, MINUTE, SECOND } from '../../runtime/time.ts'

/** A statement over the views of `analytics`, and the shape of its rows. The page shows the text that runs. */
export interface Query<Row> {
  readonly statement: SQL
  readonly row: z.ZodType<Row>
}

/** The rows of a query, or why there are none, with the text that ran. */
export interface Reading<Row> {
  readonly rows: readonly Row[]
  readonly text: string
  /** Why the query has no rows: a sentence for the page. */
  readonly refusal?: string
}

/** Where pages read: a pool of their own, so that slow pages delay nothing else. */
export interface ExploreParts {
  readonly db: Db
  /** How long a query may take. */
  readonly timeoutMs?: number
}

/** The same, with what was read last. */
export interface Reader extends ExploreParts {
  readonly clock: Clock
  readonly recent: Map<string, Kept>
}
interface Kept {
  readonly at: number
  readonly reading: Promise<Reading<unknown>>
  isRefreshing: boolean
}

const TIMEOUT = 5 * SECOND
/** Totals that were read this long ago are shown as they are. */
const FRESH = 15 * SECOND
/** Older ones are shown at once while they are read again, up to this age. */
const KEPT = 5 * MINUTE
const MOST_KEPT = 500

export const whole = z.coerce.number()
export const maybeNumber = z.union([z.null(), z.coerce.number()])
export const maybeText = z.string().nullable()
export const maybeTime = z.union([z.null(), z.coerce.date()])
/** A day as text, such as 2026-08-27. */
export const dayText = z.string()

/**
 * Runs a query with a time limit. A query that takes too long has a refusal instead of rows, so that the rest of the page is shown.
 * @throws StoreError for every other failure, such as a missing grant (42501) or an unavailable database.
 */
export async function read<Row>({ db, timeoutMs = TIMEOUT }: ExploreParts, query: Query<Row>): Promise<Reading<Row>> {
  const text = textOf(query.statement)
  try {
    const { rows } = await db.transactionWithTimeout(timeoutMs, (tx) => tx.execute(query.statement))
    return { rows: z.array(query.row).parse(rows), text }
  } catch (error) {
    if (error instanceof z.ZodError) throw error
    const failure = asStoreError(error, 'read analytics')
    const seconds = Math.max(1, Math.round(timeoutMs / SECOND))
    const advice = 'Choose fewer days or one pipeline.'
    if (failure.code === '57014') {
      return { rows: [], text, refusal: `This took longer than ${seconds} s and was cancelled. ${advice}` }
    }
    // No connection was free: other queries of this page, or of others, take too long.
    const isBusy = failure.kind === 'transient' && failure.code === undefined
    if (isBusy) return { rows: [], text, refusal: `The database was busy for too long. ${advice}` }
    throw failure
  }
}

/** Without its rows there is no page. */
export class BusyError extends Error {
  override name = 'BusyError'
}

/** The rows of a query that the page cannot do without. @throws BusyError if there are none in time. */
export async function rowsOf<Row>(reading: Promise<Reading<Row>>): Promise<readonly Row[]> {
  const { rows, refusal } = await reading
  if (refusal !== undefined) throw new BusyError(refusal)
  return rows
}

/**
 * Reads totals, which may be up to {@link KEPT} old. On a million builds a page of totals takes a second of work, and people open the same
 * pages again and again.
 */
export async function readTotals<Row>(reader: Reader, query: Query<Row>): Promise<Reading<Row>> {
  const key = textOf(query.statement)
  const kept = reader.recent.get(key)
  const age = kept ? reader.clock() - kept.at : KEPT
  if (!kept || age >= KEPT) return shaped(query, await keep(reader, key, read(reader, query)))
  if (age >= FRESH && !kept.isRefreshing) {
    kept.isRefreshing = true
    read(reader, query).then(
      (reading) => keep(reader, key, Promise.resolve(reading)),
      () => {
        kept.isRefreshing = false
      },
    )
  }
  return shaped(query, await kept.reading)
}

/** Keeps a reading while it is awaited and afterwards, unless it fails. */
async function keep<Row>(
  { recent, clock }: Reader,
  key: string,
  reading: Promise<Reading<Row>>,
): Promise<Reading<Row>> {
  const kept = { at: clock(), reading, isRefreshing: false }
  recent.delete(key)
  recent.set(key, kept)
  for (const oldest of recent.keys()) if (recent.size > MOST_KEPT) recent.delete(oldest)
  let isWhole = false
  try {
    const { refusal } = await reading
    isWhole = refusal === undefined
    return await reading
  } finally {
    if (!isWhole && recent.get(key) === kept) recent.delete(key)
  }
}

/** Equal texts are equal queries; the check gives the rows their type back. */
const shaped = <Row>({ row }: Query<Row>, reading: Reading<unknown>): Reading<Row> => ({
  ...reading,
  rows: z.array(row).parse(reading.rows),
})

const dialect = new PgDialect()

/** The statement with its parameters filled in, to paste into psql. */
export function textOf(statement: SQL): string {
  const { sql: text, params } = dialect.sqlToQuery(statement)
  return text.replace(/\$(\d+)/g, (_all, place: string) => literal(params[Number(place) - 1])).replace(/^\n+|\s+$/g, '')
}

function literal(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  return typeof value === 'number' ? String(value) : `'${String(value).replaceAll("'", "''")}'`
}

/** Joins conditions with `and`. */
export function all(...conditions: readonly (SQL | undefined | false)[]): SQL {
  return sql.join(
    conditions.filter((one): one is SQL => one !== undefined && one !== false),
    sql` and `,
  )
}
