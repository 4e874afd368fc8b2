import postgres from 'postgres'
import { type Row, wholeNumber } from './values.ts'
import type { View } from './views.ts'

export const zones = ['UTC', 'Asia/Kathmandu', 'America/New_York'] as const

/** Opens a session in which times are milliseconds since the epoch, days are text, and numbers are numbers. */
export function openReader(url: string, zone: string): postgres.Sql {
  const type = (from: number[], parse: (text: string) => unknown) => ({
    ...{ to: from[0] ?? 0, from, parse },
    serialize: (value: unknown) => value,
  })
  return postgres(url, {
    max: 1,
    onnotice: () => {},
    connection: { TimeZone: zone },
    types: {
      time: type([1184], (text) => Date.parse(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00'))),
      day: type([1082], (text) => text),
      number: type([21, 23, 700, 701, 1700], Number),
      whole: type([20], wholeNumber),
      json: type([114, 3802], (text) => JSON.parse(text)),
    },
  })
}

/** Where a view and the second implementation differ, a line each. */
export async function compareView(sql: postgres.Sql, view: View, mine: readonly Row[]): Promise<string[]> {
  const { name, keys, leaveOut = [], hasTwins = false } = view
  const found = await sql.unsafe(`select * from analytics.${name}`)
  const columns = found.columns.map((column) => column.name).filter((column) => !leaveOut.includes(column))
  const missing = mine[0] ? columns.filter((column) => !(column in (mine[0] ?? {}))) : []
  if (missing.length > 0) return [`${name}: not computed: ${missing.join(', ')}`]
  const nameRows = (rows: readonly Row[]) => (hasTwins ? nameTwins(rows, keys, columns) : nameByKeys(rows, keys))
  const lines: string[] = []
  const expected = new Map<string, Row>()
  for (const [key, row] of nameRows(mine)) {
    if (expected.has(key)) lines.push(`${name}: computed twice: ${key}`)
    expected.set(key, row)
  }
  const seen = new Set<string>()
  for (const [key, row] of nameRows(found as unknown as Row[])) {
    const other = expected.get(key)
    if (seen.has(key)) lines.push(`${name}: two rows of ${key}`)
    seen.add(key)
    if (!other) lines.push(`${name}: only the view has ${key} ${JSON.stringify(row)}`)
    for (const column of other ? columns : []) {
      // Undefined: only the mirror knows it.
      if (other?.[column] === undefined || isEqual(row[column], other[column])) continue
      lines.push(`${name}.${column} of ${key}: view ${canonical(row[column])}, computed ${canonical(other[column])}`)
    }
  }
  for (const [key, row] of expected) {
    if (!seen.has(key)) lines.push(`${name}: the view lacks ${key} ${JSON.stringify(row)}`)
  }
  return lines
}

type Named = readonly [key: string, row: Row]

const nameByKeys = (rows: readonly Row[], keys: readonly string[]): Named[] =>
  rows.map((row) => [keys.map((key) => canonical(row[key])).join(' '), row])

/** Rows that no column names alone: numbered, in the order of their contents. */
function nameTwins(rows: readonly Row[], keys: readonly string[], columns: readonly string[]): Named[] {
  const contents = (row: Row) => columns.map((column) => canonical(row[column])).join(' ')
  const sorted = rows.map((row) => [contents(row), row] as const).sort(([a], [b]) => (a < b ? -1 : 1))
  const times = new Map<string, number>()
  const named = nameByKeys(
    sorted.map(([, row]) => row),
    keys,
  )
  return named.map(([key, row]) => {
    const place = (times.get(key) ?? 0) + 1
    times.set(key, place)
    return [`${key} ${place}`, row]
  })
}

function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a === 'number' && typeof b === 'number') {
    return Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b)) * (a > 1e11 ? 0 : 1)
  }
  return canonical(a) === canonical(b)
}

/** As JSON, with sorted keys. */
export function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? 'undefined'
  )
}
