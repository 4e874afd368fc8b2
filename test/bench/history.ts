import { readFileSync } from 'node:fs'
import postgres from 'postgres'
import type { Stores } from './stores.ts'

/** A database with a year of `builds` builds and ten times as many jobs in it, as test/scale/generate.sql makes them. */
export async function historyOf(builds: number, stores: Stores): Promise<string> {
  const url = await stores.create()
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  for (const statement of generation(builds)) await sql.unsafe(statement)
  await sql.unsafe('vacuum analyze')
  await sql.end()
  return url
}

/** The statements of generate.sql, which is written for psql, with its variables filled in. */
function generation(builds: number): string[] {
  const text = readFileSync(new URL('../scale/generate.sql', import.meta.url), 'utf8')
  return [
    text
      .replace(/^select .* \\gset$/m, '')
      .replaceAll(":'moment'", `'${new Date().toISOString()}'`)
      .replaceAll(':builds', String(builds)),
  ]
}
