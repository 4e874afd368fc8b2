import postgres from 'postgres'
import { createTestDatabase } from '../support/database.ts'
import { insertHistory } from './history.ts'

/** A database with the hand-made history in it. */
export interface HistoryStage {
  readonly url: string
  readonly sql: postgres.Sql
  /** The rows of a query, one a line: times as `02 10:00:20`, numbers to three places, null as `-`. */
  lines(query: string): Promise<string>
  refresh(): Promise<void>
  close(): Promise<void>
}

export async function openHistory(): Promise<HistoryStage> {
  const database = await createTestDatabase()
  // A time zone that no view may go by.
  const sql = postgres(database.url, { max: 1, onnotice: () => {}, connection: { TimeZone: 'Asia/Kathmandu' } })
  await insertHistory(sql)
  const stage: HistoryStage = {
    url: database.url,
    sql,
    async lines(query) {
      const rows = await sql.unsafe(query).values()
      return rows.map((row) => [...row].map(word).join(' | ')).join('\n')
    },
    async refresh() {
      for (;;) {
        const [turn] = await sql<{ done: number }[]>`select sync.refresh_rollups() as done`
        // Days that were marked during a turn wait for the next.
        const [left] = await sql<{ some: boolean }[]>`select exists (select from sync.stale_days) as some`
        if (turn?.done === 0 && !left?.some) break
      }
      await sql`select sync.refresh_users()`
    },
    async close() {
      await sql.end({ timeout: 1 })
      await database.drop()
    },
  }
  await stage.refresh()
  return stage
}

/** A template's lines without their indentation. */
export function expected(text: string): string {
  return text
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .join('\n')
}

function word(value: unknown): string {
  if (value === null || value === undefined) return '-'
  if (value instanceof Date) return value.toISOString().slice(8, 19).replace('T', ' ')
  if (typeof value === 'number') return String(Math.round(value * 1_000) / 1_000)
  if (Array.isArray(value)) return `{${value.map(word).join(',')}}`
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
