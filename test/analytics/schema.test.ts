import { afterAll, beforeAll, expect, test } from 'vitest'
import { type CatalogColumn, type CatalogSchema, readCatalog } from '../../src/database/catalog.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { type HistoryStage, openHistory } from './stage.ts'

let stage: HistoryStage
let database: Database
beforeAll(async () => {
  stage = await openHistory()
  // Random in each database, and an example on the page.
  await stage.sql`update sync.deployment set id = '4f81b1ce-edf3-4ec7-8fa2-0f62eeedf0b6'`
  database = openDatabase(stage.url, { name: 'schema test' })
})
afterAll(async () => {
  await database.close()
  await stage.close()
})

// When it fails after a migration: npm run docs:schema regenerates the page.
test('docs/reference/schema.md is what the database says', async () => {
  await expect(asMarkdown(await readCatalog(database.db))).toMatchFileSnapshot('../../docs/reference/schema.md')
})

test('the catalog holds every relation of our schemas', async () => {
  const catalog = await readCatalog(database.db)
  const named = catalog.flatMap(({ name, relations }) => relations.map((relation) => `${name}.${relation.name}`))
  const there = await stage.sql<{ name: string }[]>`
    select table_schema || '.' || table_name as name from information_schema.tables
    where table_schema in ('analytics', 'buildkite', 'settings', 'sync') order by 1`
  expect(named.toSorted()).toEqual(there.map(({ name }) => name).toSorted())
})

test('one thing has one name in analytics, except in the tables that have the shape of DX', async () => {
  const ofDx = ['deployments', 'pipeline_jobs', 'pipeline_runs', 'pipeline_sources']
  const otherNames = /^(slug|number|commit_sha|head_branch|seconds|base|.*(?<!build|pr)_number|.*pipeline_slug)$/
  const analytics = (await readCatalog(database.db)).find(({ name }) => name === 'analytics')
  const found = analytics?.relations
    .filter(({ name }) => !ofDx.includes(name))
    .flatMap(({ name, columns }) => columns.map((column) => ({ view: name, column: column.name })))
    .filter(({ column }) => otherNames.test(column))
  expect(found).toEqual([])
})

function asMarkdown(catalog: readonly CatalogSchema[]): string {
  const parts = catalog.map(
    ({ name, comment, relations, functions }) => `## ${name}

${comment ?? ''}

${relations
  .map(
    (relation) => `### ${name}.${relation.name}

${relation.kind === 'view' ? 'View. ' : ''}${relation.comment ?? ''}

| Column | Type | Meaning | Example |
|---|---|---|---|
${relation.columns.map((column) => columnLine(column, relation.key.includes(column.name))).join('\n')}
`,
  )
  .join('\n')}
${functions.length > 0 ? `### Functions of ${name}\n\n${functions.map((one) => `- \`${one.signature}\`: ${one.comment}`).join('\n')}\n` : ''}`,
  )
  return `# Schema

Every table, view and column. \`npm run docs:schema\` regenerates this page from the database. The examples are from the
history in \`test/analytics/history.ts\`. A running service shows the same at \`/schema\`, with examples from your own rows.

${parts.join('\n')}`
}

function columnLine({ name, type, comment, example }: CatalogColumn, isKey: boolean): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  return `| \`${name}\`${isKey ? ' (key)' : ''} | ${type} | ${cell(comment ?? '')} | ${cell(steady(name, example))} |`
}

/** Times of the test's own run are left out: they are others each time. */
function steady(name: string, example: string | null): string {
  const ofTheRun = name === 'took_ms' || (/^20\d\d-\d\d-\d\d /.test(example ?? '') && (example ?? '') > '2026-04')
  return ofTheRun ? '' : (example ?? '')
}
