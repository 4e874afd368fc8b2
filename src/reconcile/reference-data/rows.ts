import { and, eq, getTableColumns, isNull, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { isObject, PayloadReader } from '../../buildkite/payload-reader.ts'
import { redact } from '../../buildkite/redact.ts'
import type { Transaction } from '../../database/connection.ts'
import { type ReferenceStatus, reference_item_syncs, reference_syncs } from '../../database/reference-tables.ts'
import { changedNow, columnList, columnNames, recordset, selected } from '../../mirror/table.ts'

/** A row to be stored, by column. */
export type Row = Readonly<Record<string, unknown>>

/** The mirror's own columns, which are not part of an object's content. */
const ownColumns = new Set(['first_seen_at', 'changed_at', 'deleted_at'])

/** The columns that {@link rowsOf} sets itself. */
const givenColumns = new Set([...ownColumns, 'organization_id', 'extra'])

/**
 * Items of a list as rows of its table. Each column is read from the field of its name and by its type; `parent` holds the column that
 * names the parent. A list is read whole, so a field that an item lacks is null. `unusable` items lack a value that a row needs, such as
 * their id.
 */
export function rowsOf(
  items: readonly unknown[],
  { table, skip = [] }: { readonly table: PgTable; readonly skip?: readonly string[] },
  parent: Row,
  options: { storeEnv: boolean; organizationId: string; now: Date },
): { rows: Row[]; unusable: number } {
  const columns = Object.values(getTableColumns(table)).filter(
    ({ name }) => !givenColumns.has(name) && !(name in parent),
  )
  const { organizationId: organization_id, now } = options
  const rows = items.flatMap((item) => {
    const safe = redact(item, options)
    if (!isObject(safe)) return []
    const reader = new PayloadReader(safe)
    for (const field of skip) reader.skip(field)
    const content = Object.fromEntries(columns.map((column) => [column.name, readColumn(reader, column)]))
    if (columns.some(({ name, notNull }) => notNull && !content[name])) return []
    return [{ ...content, ...parent, organization_id, extra: reader.rest(), first_seen_at: now, changed_at: now }]
  })
  return { rows, unusable: items.length - rows.length }
}

/** Objects inside an item, whose fields are columns with their names as prefix. The longest prefix comes first. */
const objects = [
  ['created_by'],
  ['dispatch_paused_by'],
  ['hosted_agents', 'instance_shape'],
  ['hosted_agents'],
] as const

/** The path of a column's field: `created_by_id` is the field `id` of the object `created_by`. */
function pathOf(name: string): string[] {
  for (const object of objects) {
    const prefix = `${object.join('_')}_`
    if (name.startsWith(prefix)) return [...object, name.slice(prefix.length)]
  }
  return [name]
}

function readColumn(reader: PayloadReader, { name, columnType }: PgColumn) {
  const path = pathOf(name)
  switch (columnType) {
    case 'PgUUID':
      return reader.uuid(...path)
    case 'PgTimestamp':
      return reader.time(...path)
    case 'PgBoolean':
      return reader.boolean(...path)
    case 'PgInteger':
      return reader.integer(...path)
    case 'PgJsonb':
      return reader.json(...path)
    default:
      return reader.text(...path)
  }
}

/** Writes rows that are new, differ, or were marked as gone; leaves the others untouched. Returns how many were written. */
export async function upsertRows(
  tx: Transaction,
  table: PgTable,
  key: readonly PgColumn[],
  rows: readonly Row[],
): Promise<number> {
  const distinct = [...new Map(rows.map((row) => [itemKey(key, row), row])).values()]
  if (distinct.length === 0) return 0
  const content = columnNames(table).filter((name) => !ownColumns.has(name))
  const taken = (from: SQL) => list(content.map((name) => sql`${from}.${sql.identifier(name)}`))
  const assign = [...content, 'changed_at', 'deleted_at'].map(
    (name) => sql`${sql.identifier(name)} = excluded.${sql.identifier(name)}`,
  )
  const columns = columnList(table)
  const keys = list(key.map(({ name }) => sql.identifier(name)))
  const { rowCount } = await tx.execute(sql`
    insert into ${table} as held (${columns}) ${selected(table, distinct)} order by ${keys}
    on conflict (${keys}) do update set ${list(assign)}
    where (${taken(sql`held`)}) is distinct from (${taken(sql`excluded`)}) or held.deleted_at is not null`)
  return rowCount ?? 0
}

/** Marks the rows of `among` that are not in `listed` as gone since `now`. Returns how many. */
export async function markUnlisted(
  tx: Transaction,
  table: PgTable,
  key: readonly PgColumn[],
  listed: readonly Row[],
  among: SQL | undefined,
  now: Date,
): Promise<number> {
  const same = key.map((column) => sql`r.${sql.identifier(column.name)} = ${column}`)
  const at = sql`${now.toISOString()}::timestamptz`
  const { rowCount } = await tx.execute(sql`
    update ${table} set deleted_at = ${at}, changed_at = ${changedNow}
    where ${and(isNull(columnOf(table, 'deleted_at')), among)}
      and not exists (select from ${recordset(table, listed)} where ${and(...same)})`)
  return rowCount ?? 0
}

/** Counts the rows of an organization that are currently listed. */
export async function countListed(tx: Transaction, table: PgTable, organizationId: string): Promise<number> {
  const ours = and(eq(columnOf(table, 'organization_id'), organizationId), isNull(columnOf(table, 'deleted_at')))
  return tx.$count(table, ours)
}

/** Records that the list `name` of each subject was read. */
export async function recordReads(tx: Transaction, name: string, subjects: readonly string[], at: Date): Promise<void> {
  if (subjects.length === 0) return
  await tx
    .insert(reference_item_syncs)
    .values(subjects.map((subject_id) => ({ name, subject_id, read_at: at })))
    .onConflictDoUpdate({ target: [reference_item_syncs.name, reference_item_syncs.subject_id], set: { read_at: at } })
}

/** How the read of a list ended. Omitted fields stay unchanged. */
export interface ItemResult {
  readonly status: ReferenceStatus
  readonly rows?: number
  readonly read_at?: Date
  readonly error: string | null
}

export async function recordItemResult(
  tx: Transaction,
  list: { organization_id: string; name: string },
  outcome: ItemResult,
  now: Date,
): Promise<void> {
  const values = { ...outcome, updated_at: now }
  await tx
    .insert(reference_syncs)
    .values({ ...list, ...values })
    .onConflictDoUpdate({ target: [reference_syncs.organization_id, reference_syncs.name], set: values })
}

export function columnOf(table: PgTable, name: string): PgColumn {
  const column = Object.values(getTableColumns(table)).find((one) => one.name === name)
  if (!column) throw new RangeError(`The table has no column ${name}.`)
  return column
}

const itemKey = (key: readonly PgColumn[], row: Row) => key.map(({ name }) => String(row[name])).join(' ')

const list = (parts: readonly SQL[] | readonly ReturnType<typeof sql.identifier>[]) => sql.join([...parts], sql`, `)
