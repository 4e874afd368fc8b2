import { readFileSync } from 'node:fs'
import type postgres from 'postgres'

/** Fills an empty mirror with a year of `builds` builds, their jobs and deliveries: generate.sql, which is written for psql, with its variables. */
export async function generateYear(sql: postgres.Sql, builds: number): Promise<void> {
  const text = readFileSync(new URL('generate.sql', import.meta.url), 'utf8')
    .replace(/^select .* \\gset$/m, '')
    .replaceAll(":'moment'", `'${new Date().toISOString()}'`)
    .replaceAll(':builds', String(builds))
  await sql.unsafe(text)
  await sql.unsafe('vacuum analyze')
}
