import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type HistoryStage, openHistory } from './stage.ts'

const lines = readFileSync(new URL('../../docs/deploy/dbt/buildkite_mirror.yml', import.meta.url), 'utf8').split('\n')

/** `schema.table` and `schema.table.column` of everything that the file names. */
function named(): { tables: string[]; columns: string[] } {
  const tables: string[] = []
  const columns: string[] = []
  let schema = ''
  for (const line of lines) {
    schema = /^ {4}schema: (\w+)$/.exec(line)?.[1] ?? schema
    const table = /^ {6}- name: (\w+)$/.exec(line)?.[1]
    if (table) tables.push(`${schema}.${table}`)
    const column = /^ {10}(?:- name|loaded_at_field): (\w+)$/.exec(line)?.[1]
    if (column) columns.push(`${tables.at(-1)}.${column}`)
  }
  return { tables, columns }
}

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
})
afterAll(() => stage.close())

test('the dbt source file names every relation of buildkite and analytics, and no column that is not there', async () => {
  const { tables, columns } = named()
  const there = await stage.sql<{ name: string }[]>`
    select table_schema || '.' || table_name as name from information_schema.tables where table_schema in ('buildkite', 'analytics')`
  expect(tables.toSorted()).toEqual(there.map(({ name }) => name).toSorted())
  const known = await stage.sql<{ name: string }[]>`
    select table_schema || '.' || table_name || '.' || column_name as name from information_schema.columns where table_schema in ('buildkite', 'analytics')`
  const names = new Set(known.map(({ name }) => name))
  expect(columns.length).toBeGreaterThan(15)
  expect(columns.filter((column) => !names.has(column))).toEqual([])
})
