import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import postgres from 'postgres'
import { until } from './until.ts'

/** Lets the superuser of the embedded PostgreSQL in `dataDir` in, as the owner of its files may, and returns its URL. */
export async function superuserUrl(dataDir: string, url: string): Promise<string> {
  await writeFile(join(dataDir, 'postgres', 'pg_hba.conf'), 'host all all 127.0.0.1/32 trust\n')
  const [pid] = (await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
  process.kill(Number(pid), 'SIGHUP')
  const superuser = new URL(url)
  superuser.username = 'buildkite_superuser'
  superuser.password = ''
  await until(async () => {
    const sql = postgres(superuser.href, { max: 1, onnotice: () => {} })
    try {
      return (await sql`select 1`).length === 1
    } finally {
      await sql.end({ timeout: 1 })
    }
  }, 'the superuser is let in')
  return superuser.href
}
