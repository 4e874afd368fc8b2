import { type SQL, sql } from 'drizzle-orm'
import { MINUTE } from '../runtime/time.ts'
import { OUR_SCHEMAS } from './catalog.ts'
import { asStoreError, type Db, type Transaction } from './connection.ts'

/** A row as JSON: numbers, text, lists and objects by column. */
export type JsonRow = Readonly<Record<string, unknown>>

export interface Rewriting {
  /** Condition on the text of a whole row. It only saves time: rows that it leaves out are not read. */
  readonly matches: (rowText: SQL) => SQL
  /** The row as it should be; the same object if it may stay. A column that it omits becomes null. */
  readonly change: (table: string, row: JsonRow) => JsonRow
  /** Tables that are not read, such as `sync.deliveries`. */
  readonly except?: readonly string[]
  /** Counts the rows and changes nothing. */
  readonly dryRun: boolean
  readonly onTable?: (table: string) => void
  readonly signal?: AbortSignal
}

interface Table {
  readonly name: string
  readonly key: readonly string[]
  readonly has_changed_at: boolean
}

const ROWS = 500
const UNIQUE_VIOLATION = '23505'

/**
 * Reads every table of our schemas that has a key, in the order of the keys, and rewrites its rows in small transactions. Can run beside the
 * service. Returns how many rows changed by table, without those that have none.
 * @throws StoreError; what was rewritten before stays.
 */
export async function rewriteRows(db: Db, rewriting: Rewriting): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  try {
    for (const table of await tablesOf(db)) {
      if (rewriting.except?.includes(table.name)) continue
      rewriting.onTable?.(table.name)
      let last: JsonRow | undefined
      do {
        rewriting.signal?.throwIfAborted()
        const part = await db.transactionWithTimeout(10 * MINUTE, (tx) => rewritePart(tx, table, rewriting, last))
        last = part.last
        if (part.changed > 0) counts.set(table.name, (counts.get(table.name) ?? 0) + part.changed)
      } while (last)
    }
    return counts
  } catch (error) {
    throw asStoreError(error, 'rewrite rows')
  }
}

async function tablesOf(db: Db): Promise<Table[]> {
  const { rows } = await db.execute<Table & Record<string, unknown>>(sql`
    select format('%I.%I', nspname, relname) as name,
      array(select attname::text from unnest(indkey) with ordinality as k (number, position)
        join pg_attribute a on attrelid = t.oid and attnum = k.number order by position) as key,
      exists (select from pg_attribute where attrelid = t.oid and attname = 'changed_at') as has_changed_at
    from pg_class t join pg_namespace n on n.oid = relnamespace join pg_index i on indrelid = t.oid and indisprimary
    where relkind = 'r' and nspname = any(${sql.param(OUR_SCHEMAS)}) order by 1`)
  return rows
}

async function rewritePart(tx: Transaction, table: Table, rewriting: Rewriting, after: JsonRow | undefined) {
  const name = sql.raw(table.name)
  const key = columns(table.key)
  const next = after ? sql`and (${key}) > (select ${key} from ${recordOf(table, after)})` : sql``
  const { rows } = await tx.execute<{ row: JsonRow }>(sql`
    select to_jsonb(t) as row from ${name} as t where ${rewriting.matches(sql`t::text`)} ${next}
    order by ${key} limit ${ROWS} ${rewriting.dryRun ? sql`` : sql`for update`}`)
  let changed = 0
  for (const { row } of rows) {
    const after = rewriting.change(table.name, row)
    const different = after === row ? [] : Object.keys(row).filter((column) => (after[column] ?? null) !== row[column])
    if (different.length === 0) continue
    changed += 1
    if (!rewriting.dryRun) await writeRow(tx, table, row, after, different)
  }
  return { changed, last: rows.length === ROWS ? rows.at(-1)?.row : undefined }
}

/** Changes a row. If its new key is taken, the row that has it is the same object, and this one goes. */
async function writeRow(
  tx: Transaction,
  table: Table,
  before: JsonRow,
  after: JsonRow,
  different: readonly string[],
): Promise<void> {
  const name = sql.raw(table.name)
  const isIt = sql`(${columns(table.key, 't')}) = (select ${columns(table.key)} from ${recordOf(table, before)})`
  const values = different.map((column) => sql`${sql.identifier(column)} = fresh.${sql.identifier(column)}`)
  if (table.has_changed_at) values.push(sql`changed_at = statement_timestamp()`)
  try {
    await tx.transaction((inner) =>
      inner.execute(
        sql`update ${name} as t set ${sql.join(values, sql`, `)} from ${recordOf(table, after)} as fresh where ${isIt}`,
      ),
    )
  } catch (error) {
    if (asStoreError(error, 'rewrite a row').code !== UNIQUE_VIOLATION) throw error
    await tx.execute(sql`delete from ${name} as t where ${isIt}`)
  }
}

function recordOf(table: Table, row: JsonRow): SQL {
  return sql`jsonb_populate_record(null::${sql.raw(table.name)}, ${JSON.stringify(row)}::jsonb)`
}

function columns(names: readonly string[], of?: string): SQL {
  const qualified = names.map((name) =>
    of ? sql`${sql.identifier(of)}.${sql.identifier(name)}` : sql.identifier(name),
  )
  return sql.join(qualified, sql`, `)
}
