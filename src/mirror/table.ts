import { Column, getTableColumns, getTableName, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { Transaction } from '../database/connection.ts'
import type { agents, builds, jobs, organizations, pipelines } from '../database/schema.ts'
import { type MergeRule, mergeRow } from './merge.ts'
import type { MirrorRow, Observation } from './observation.ts'

export type MirrorTable = typeof organizations | typeof pipelines | typeof builds | typeof jobs | typeof agents

/**
 * What a merge did to one table. `seen` objects were observed; each was inserted, updated, only verified (only `verified_at` changed)
 * or left unchanged.
 */
export interface TableReport {
  seen: number
  inserted: number
  updated: number
  verified: number
  unchanged: number
}

/** A merged row and the row that was stored before. */
export interface Merged<Row> {
  before: Row | undefined
  after: Row
}

/** Rows per statement: limits the memory of one statement, here and in Postgres. */
const CHUNK = 1_000

/**
 * Merges observations into one table: inserts new rows, then locks the rows that change, merges them in memory and writes them. A row
 * that does not change is not locked: otherwise all deliveries would wait for each other on the pipeline that each of them contains.
 * Inserts come first and locks follow, each in the order of the ids. A transaction that waits for another's insert then holds nothing
 * that the other needs, so the two do not deadlock.
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
    const list = byId.get(observation.fields.id)
    if (list) list.push(observation)
    else byId.set(observation.fields.id, [observation])
  }
  const ids = [...byId.keys()].sort()
  const merge = (id: string, before?: Row) => ({ before, after: mergeAll(rule, before, byId.get(id) ?? [], now) })
  const done = new Map<string, Merged<Row>>()
  for (const chunk of chunksOf(ids)) {
    const stored = new Map((await readRows<Row>(tx, table, chunk)).map((row) => [row.id, row]))
    const seen = chunk.map((id) => merge(id, stored.get(id)))
    const fresh = seen.filter(({ before }) => !before)
    const insertedIds = await insertRows(tx, table, rowsOf(fresh))
    // Another transaction may change an unchanged row meanwhile. Its change then counts as later, so the row needs no lock.
    for (const row of seen) if (row.before === row.after || insertedIds.has(row.after.id)) done.set(row.after.id, row)
  }
  for (const chunk of chunksOf(ids.filter((id) => !done.has(id)))) {
    const stored = await readRows<Row>(tx, table, chunk, 'locked')
    const merged = stored.map((before) => merge(before.id, before))
    await updateRows(tx, table, rowsOf(merged.filter(({ before, after }) => before !== after)))
    for (const row of merged) done.set(row.after.id, row)
  }
  return [...done.values()]
}

function chunksOf(ids: readonly string[]): string[][] {
  const chunks: string[][] = []
  for (let start = 0; start < ids.length; start += CHUNK) chunks.push(ids.slice(start, start + CHUNK))
  return chunks
}

function rowsOf<Row>(merged: readonly Merged<Row>[]): Row[] {
  return merged.map(({ after }) => after)
}

export function report<Row extends MirrorRow>(merged: readonly Merged<Row>[]): TableReport {
  const report = { seen: merged.length, inserted: 0, updated: 0, verified: 0, unchanged: 0 }
  for (const { before, after } of merged) {
    if (!before) report.inserted++
    else if (before === after) report.unchanged++
    // mergeRow sets changed_at when anything else changes.
    else if (before.changed_at === after.changed_at) report.verified++
    else report.updated++
  }
  return report
}

/** Merges observations oldest first, so that most merges only move forward. */
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

async function readRows<Row extends MirrorRow>(
  tx: Transaction,
  table: MirrorTable,
  ids: readonly string[],
  locked?: 'locked',
): Promise<Row[]> {
  const { rows } = await tx.execute(
    sql`select ${columnList(table)} from ${table} where id = any(${sql.param(ids)}::uuid[]) order by id ${locked ? sql`for update` : sql``}`,
  )
  const { decoders } = statementsOf(table)
  for (const row of rows) {
    for (const [name, column] of decoders) if (row[name] !== null) row[name] = column.mapFromDriverValue(row[name])
  }
  return rows as unknown as Row[]
}

// The rows are sent as one JSON parameter: no limit of 65,533 parameters, and one plan for any number of rows.

async function insertRows(tx: Transaction, table: MirrorTable, rows: readonly MirrorRow[]): Promise<Set<string>> {
  if (rows.length === 0) return new Set()
  const inserted = await tx.execute<{ id: string }>(
    sql`insert into ${table} (${columnList(table)}) ${selected(table, rows)} on conflict (id) do nothing returning id`,
  )
  return new Set(inserted.rows.map(({ id }) => id))
}

async function updateRows(tx: Transaction, table: MirrorTable, rows: readonly MirrorRow[]): Promise<void> {
  if (rows.length === 0) return
  const { assignments } = statementsOf(table)
  await tx.execute(sql`update ${table} set ${assignments} from ${recordset(table, rows)} where ${table}.id = r.id`)
}

/**
 * `changed_at` uses the clock of Postgres, which all processes share. Otherwise incremental readers would miss the rows of a process whose
 * clock is behind.
 */
export const changedNow = sql.raw('statement_timestamp()')

/** Selects the rows for an insert with the columns of {@link columnList}; their `changed_at` is the present. */
export function selected(table: PgTable, rows: readonly object[]): SQL {
  return sql`select ${statementsOf(table).inserted} from ${recordset(table, rows)}`
}

/** The rows as a table `r` with the target's columns. Not for tables with a serial column, because its type has no other name. */
export function recordset(table: PgTable, rows: readonly object[]): SQL {
  const { named, typed } = statementsOf(table)
  return sql`(select ${named} from json_to_recordset(${toCompactJson(table, rows)}::text::json) as brief (${typed})) as r`
}

/**
 * Rows as short JSON: columns have short names, and nulls are left out, which are often half of a row. Optimised for pages of a thousand
 * rows. Each row is a copy of one object, because V8 is slow with objects that grow. Each distinct time is formatted once.
 */
function toCompactJson(table: PgTable, rows: readonly object[]): string {
  const { shortNames, blank } = statementsOf(table)
  const written = new Map<number, string>()
  const inWords = (time: Date) => {
    const ms = time.getTime()
    const known = written.get(ms) ?? time.toISOString()
    written.set(ms, known)
    return known
  }
  const brief = (row: object) => {
    const copy = { ...blank }
    for (const [name, shortName] of shortNames) {
      const value = row[name as keyof typeof row] as unknown
      if (value !== null) copy[shortName] = value instanceof Date ? inWords(value) : value
    }
    return copy
  }
  return JSON.stringify(rows.map(brief))
}

export function columnNames(table: PgTable): string[] {
  return Object.values(getTableColumns(table)).map((column) => column.name)
}

/** The names of the columns in double quotes, separated by commas. */
export function columnList(table: PgTable): SQL {
  return statementsOf(table).columns
}

/** The SQL fragments of a table, and the columns whose values the driver returns in another form. */
interface TableStatements {
  readonly columns: SQL
  /** The columns' values in a new row. */
  readonly inserted: SQL
  readonly assignments: SQL
  /** The columns by their short names, and their SQL types. */
  readonly named: SQL
  readonly typed: SQL
  readonly shortNames: readonly (readonly [name: string, shortName: string])[]
  /** Every short name, without a value. */
  readonly blank: Readonly<Record<string, unknown>>
  readonly decoders: readonly (readonly [name: string, column: PgColumn])[]
}

const statements = new WeakMap<PgTable, TableStatements>()

/** Cached for each table: Drizzle would build fifty columns again for every statement, which took longer than the statement. */
function statementsOf(table: PgTable): TableStatements {
  const known = statements.get(table)
  if (known) return known
  const columns = Object.values(getTableColumns(table))
  const quoted = columnNames(table).map((name) => `"${name}"`)
  const shortNames = columns.map((column, index) => [column.name, `c${index}`] as const)
  const wording: TableStatements = {
    columns: sql.raw(quoted.join(', ')),
    inserted: sql.raw(quoted.map((name) => (name === '"changed_at"' ? 'statement_timestamp()' : name)).join(', ')),
    assignments: sql.raw(
      quoted
        .filter((name) => name !== '"id"')
        .map((name) => `${name} = ${name === '"changed_at"' ? changeTime(table) : `r.${name}`}`)
        .join(', '),
    ),
    named: sql.raw(shortNames.map(([name, shortName]) => `${shortName} as "${name}"`).join(', ')),
    typed: sql.raw(columns.map((column, index) => `c${index} ${column.getSQLType()}`).join(', ')),
    shortNames,
    blank: Object.fromEntries(shortNames.map(([, shortName]) => [shortName, undefined])),
    decoders: columns
      .filter((column) => column.mapFromDriverValue !== Column.prototype.mapFromDriverValue)
      .map((column) => [column.name, column] as const),
  }
  statements.set(table, wording)
  return wording
}

/** A row that was only verified keeps its `changed_at`. */
function changeTime(table: PgTable): string {
  const stored = `"${getTableName(table)}"."changed_at"`
  return `case when r."changed_at" = ${stored} then ${stored} else statement_timestamp() end`
}
