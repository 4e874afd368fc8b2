import { type SQL, sql } from 'drizzle-orm'
import { PgDialect } from 'drizzle-orm/pg-core'
import { z } from 'zod'
import { asStoreError, type Db } from '../../database/connection.ts'
import { SECOND } from '../../runtime/time.ts'

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

const TIMEOUT = 5 * SECOND

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
    const failure = error instanceof z.ZodError ? error : asStoreError(error, 'read analytics')
    if (!('code' in failure) || failure.code !== '57014') throw failure
    const seconds = Math.max(1, Math.round(timeoutMs / SECOND))
    return {
      rows: [],
      text,
      refusal: `This took longer than ${seconds} s and was cancelled. Choose fewer days or one pipeline.`,
    }
  }
}

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
