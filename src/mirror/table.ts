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
 * Merges observations into one table: locks the stored rows, merges in memory, writes what changed. Every transaction takes its locks
 * table by table, stored rows before new ones, each in the order of the ids, so that two of them seldom deadlock.
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
  const results: Merged<Row>[] = []
  const ids = [...byId.keys()].sort()
  for (let start = 0; start < ids.length; start += CHUNK) {
    let remaining = ids.slice(start, start + CHUNK)
    // A row that another transaction inserted between our look and our insert is merged with in the next round.
    while (remaining.length > 0) {
      const stored = await lockRows<Row>(tx, table, remaining)
      const round = remaining.map((id) => {
        const before = stored.get(id)
        return { before, after: mergeAll(rule, before, byId.get(id) ?? [], now) }
      })
      const fresh = round.filter(({ before }) => !before)
      const inserted = await insertRows(
        tx,
        table,
        fresh.map(({ after }) => after),
      )
      await updateRows(
        tx,
        table,
        round.filter(({ before, after }) => before && before !== after).map(({ after }) => after),
      )
      results.push(...round.filter(({ before, after }) => before || inserted.has(after.id)))
      remaining = fresh.map(({ after }) => after.id).filter((id) => !inserted.has(id))
    }
  }
  return results
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

async function lockRows<Row extends MirrorRow>(
  tx: Transaction,
  table: MirrorTable,
  ids: readonly string[],
): Promise<Map<string, Row>> {
  const rows = await tx
    .select()
    .from(table as PgTable)
    .where(inArray(table.id, [...ids]))
    .orderBy(asc(table.id))
    .for('update')
  return new Map(rows.map((row) => [String(row.id), row as Row]))
}

// The rows travel as one JSON parameter, whatever their number: no 65,533-parameter limit, one plan for every size.

async function insertRows(tx: Transaction, table: MirrorTable, rows: readonly MirrorRow[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const columns = columnList(table)
  const inserted = await tx.execute<{ id: string }>(
    sql`insert into ${table} (${columns}) select ${columns} from ${recordset(table, rows)} on conflict (id) do nothing returning id`,
  )
  return new Set(inserted.map(({ id }) => id))
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
