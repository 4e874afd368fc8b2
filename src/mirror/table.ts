import { asc, getTableColumns, getTableName, inArray, type SQL, sql } from 'drizzle-orm'
import { getTableConfig, type PgTable } from 'drizzle-orm/pg-core'
import type { Transaction } from '../database/connection.ts'
import type { agents, builds, jobs, organizations, pipelines } from '../database/schema.ts'
import { type MergeRule, mergeRow } from './merge.ts'
import type { MirrorRow, Observation } from './observation.ts'

export type MirrorTable = typeof organizations | typeof pipelines | typeof builds | typeof jobs | typeof agents

/** What a merge did to one table. `seen` objects were observed; each was inserted, updated or left as it was. */
export interface TableReport {
  seen: number
  inserted: number
  updated: number
  unchanged: number
}

/** A merged row beside what was stored before. */
export interface Merged<Row> {
  before: Row | undefined
  after: Row
}

/** Rows a statement at most: bounds the memory of one statement, here and in Postgres. */
const CHUNK = 1_000

/**
 * Merges observations into one table: inserts what is new, then locks what is stored, merges in memory and writes what changed.
 * Inserts come first and locks follow, each in the order of the ids: while a transaction waits for another's insert it holds nothing
 * that the other could want, so two of them do not deadlock.
 * @returns the merged rows, changed or not.
 */
export async function mergeTable<Row extends MirrorRow>(
  tx: Transaction,
  table: MirrorTable,
  rule: MergeRule<Row>,
  observations: readonly Observation<Row>[],
  now: Date,
): Promise<Merged<Row>[]> {
  const byId = new Map<string, Observation<Row>[]>()
  for (const observation of observations) {
    const list = byId.get(observation.draft.id)
    if (list) list.push(observation)
    else byId.set(observation.draft.id, [observation])
  }
  const ids = [...byId.keys()].sort()
  const merge = (id: string, before?: Row) => ({ before, after: mergeAll(rule, before, byId.get(id) ?? [], now) })
  const inserted = new Map<string, Merged<Row>>()
  for (const chunk of chunksOf(ids)) {
    const known = await knownIds(tx, table, chunk)
    const fresh = chunk.filter((id) => !known.has(id)).map((id) => merge(id))
    const insertedIds = await insertRows(tx, table, rowsOf(fresh))
    for (const row of fresh) if (insertedIds.has(row.after.id)) inserted.set(row.after.id, row)
  }
  const updated: Merged<Row>[] = []
  for (const chunk of chunksOf(ids.filter((id) => !inserted.has(id)))) {
    const stored = await lockRows<Row>(tx, table, chunk)
    const merged = stored.map((before) => merge(before.id, before))
    await updateRows(tx, table, rowsOf(merged.filter(({ before, after }) => before !== after)))
    updated.push(...merged)
  }
  return [...inserted.values(), ...updated]
}

function chunksOf(ids: readonly string[]): string[][] {
  const chunks: string[][] = []
  for (let start = 0; start < ids.length; start += CHUNK) chunks.push(ids.slice(start, start + CHUNK))
  return chunks
}

function rowsOf<Row>(merged: readonly Merged<Row>[]): Row[] {
  return merged.map(({ after }) => after)
}

export function report<Row>(merged: readonly Merged<Row>[]): TableReport {
  const inserted = merged.filter(({ before }) => !before).length
  const updated = merged.filter(({ before, after }) => before && before !== after).length
  return { seen: merged.length, inserted, updated, unchanged: merged.length - inserted - updated }
}

/** Folds observations oldest first, so that the common case is a plain forward step. */
function mergeAll<Row extends MirrorRow>(
  rule: MergeRule<Row>,
  stored: Row | undefined,
  observations: readonly Observation<Row>[],
  now: Date,
): Row {
  const ordered = observations.toSorted((a, b) => a.at.getTime() - b.at.getTime())
  const [first, ...rest] = ordered
  if (!first) throw new RangeError('mergeAll needs at least one observation.')
  return rest.reduce((row, observation) => mergeRow(rule, row, observation, now), mergeRow(rule, stored, first, now))
}

async function knownIds(tx: Transaction, table: MirrorTable, ids: readonly string[]): Promise<Set<string>> {
  const rows = await tx
    .select({ id: table.id })
    .from(table as PgTable)
    .where(inArray(table.id, [...ids]))
  return new Set(rows.map(({ id }) => String(id)))
}

async function lockRows<Row extends MirrorRow>(
  tx: Transaction,
  table: MirrorTable,
  ids: readonly string[],
): Promise<Row[]> {
  const rows = await tx
    .select()
    .from(table as PgTable)
    .where(inArray(table.id, [...ids]))
    .orderBy(asc(table.id))
    .for('update')
  return rows as Row[]
}

// The rows travel as one JSON parameter, whatever their number: no 65,533-parameter limit, one plan for every size.

async function insertRows(tx: Transaction, table: MirrorTable, rows: readonly MirrorRow[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const columns = columnList(table)
  const inserted = await tx.execute<{ id: string }>(
    sql`insert into ${table} (${columns}) select ${columns} from ${recordset(table, rows)} on conflict (id) do nothing returning id`,
  )
  return new Set(inserted.rows.map(({ id }) => id))
}

async function updateRows(tx: Transaction, table: MirrorTable, rows: readonly MirrorRow[]): Promise<void> {
  if (rows.length === 0) return
  const assignments = columnNames(table)
    .filter((name) => name !== 'id')
    .map((name) => sql`${sql.identifier(name)} = r.${sql.identifier(name)}`)
  await tx.execute(
    sql`update ${table} set ${sql.join(assignments, sql`, `)} from ${recordset(table, rows)} where ${table}.id = r.id`,
  )
}

/** `json_populate_recordset(…) as r`: the rows as a table of the target's own type. */
export function recordset(table: PgTable, rows: readonly object[]): SQL {
  const schema = getTableConfig(table).schema ?? 'public'
  const type = sql`${sql.identifier(schema)}.${sql.identifier(getTableName(table))}`
  return sql`json_populate_recordset(null::${type}, ${JSON.stringify(rows)}::text::json) as r`
}

export function columnNames(table: PgTable): string[] {
  return Object.values(getTableColumns(table)).map((column) => column.name)
}

export function columnList(table: PgTable): SQL {
  return sql.join(
    columnNames(table).map((name) => sql.identifier(name)),
    sql`, `,
  )
}
