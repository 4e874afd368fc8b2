import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Scene } from '../reconcile/scene.ts'
import { openDemoHistory } from './demo-history.ts'

const page = readFileSync(new URL('../../docs/analytics/cookbook.md', import.meta.url), 'utf8')
const recipes = [...page.matchAll(/^##+ ([^\n]+)\n\n(?:[^\n]+\n)+\n```sql\n(.*?)\n```/gms)].map(
  ([, title = '', query = '']) => ({
    title,
    query,
  }),
)

let scene: Scene
let sql: postgres.Sql
beforeAll(async () => {
  scene = await openDemoHistory()
  sql = postgres(scene.url, { max: 1, onnotice: () => {} })
  await sql`set role buildkite_reader`
})
afterAll(async () => {
  await sql.end({ timeout: 1 })
  await scene.close()
})

describe('docs/analytics/cookbook.md', () => {
  it('answers all 33 questions, and some more', () => {
    const numbers = recipes.flatMap(({ title }) => /^(\d+)\. /.exec(title)?.[1] ?? []).map(Number)
    expect(numbers).toEqual(Array.from({ length: 33 }, (_, index) => index + 1))
    expect(recipes.length).toBe([...page.matchAll(/^```sql$/gm)].length)
  })

  it.each(recipes)('$title: has rows for a reader, in at most ten lines', async ({ query }) => {
    expect(query.split('\n').length).toBeLessThanOrEqual(10)
    const rows = await sql.unsafe(query)
    expect(rows.length).toBeGreaterThan(0)
    // A column that is empty in every row answers nothing.
    const empty = rows.columns.filter(({ name }) => rows.every((row) => row[name] === null)).map(({ name }) => name)
    expect(empty).toEqual([])
  })

  // When it fails after a change: npm run docs:cookbook regenerates the samples.
  it('shows what the queries answer', async () => {
    let rewritten = page
    for (const { query } of recipes) {
      const old = rewritten.slice(rewritten.indexOf(query))
      const block = /```text\n.*?```/s.exec(old)?.[0] ?? ''
      rewritten = rewritten.replace(old, old.replace(block, await firstRows(query, 5)))
    }
    await expect(rewritten).toMatchFileSnapshot('../../docs/analytics/cookbook.md')
  })

  it('gives the rows that the README shows', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
    const query = /```sql\n(.*?)\n```/s.exec(readme)?.[1] ?? ''
    expect(readme).toContain(await firstRows(query, 3))
  })

  /** A block of the page with the first rows that a query gives. */
  async function firstRows(query: string, count: number): Promise<string> {
    const rows = await sql.unsafe(query)
    const names = rows.columns.map(({ name }) => name)
    const sample = rows.slice(0, count).map((row) => Object.values(row).map(cell))
    return `\`\`\`text\n${aligned([names, ...sample])}\n\`\`\``
  }
})

function aligned(lines: readonly string[][]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  return lines
    .map((line) =>
      line
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (value instanceof Date)
    return value
      .toISOString()
      .replace('T00:00:00.000Z', '')
      .replace(/:\d\d\.\d+Z$/, 'Z')
  if (typeof value === 'number') return String(Math.round(value * 100) / 100)
  if (Array.isArray(value)) return `{${value.join(',')}}`
  const text = String(value).replaceAll('\n', ' ')
  return /^-?\d+\.\d+$/.test(text) ? String(Math.round(Number(text) * 100) / 100) : text.slice(0, 40)
}
