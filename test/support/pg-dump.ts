import { execFile, execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { promisify } from 'node:util'
import postgres from 'postgres'

/** pg_dump and pg_restore of one installation of PostgreSQL. */
export interface PgTools {
  dump(url: string, file: string, ...options: string[]): Promise<void>
  restore(url: string, file: string, ...options: string[]): Promise<void>
}

const execute = promisify(execFile)

/** The pg_dump of this machine, if it can dump the server at `url`: it must not be older. */
export async function findPgDump(url: string): Promise<PgTools | undefined> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const [row] = await sql<{ major: number }[]>`select current_setting('server_version_num')::int / 10000 as major`
  await sql.end({ timeout: 1 })
  const folder = folders().find((one) => majorOf(one) >= (row?.major ?? Number.POSITIVE_INFINITY))
  if (folder === undefined) return undefined
  return {
    async dump(database, file, ...options) {
      await execute(`${folder}pg_dump`, [...options, `--file=${file}`, database])
    },
    async restore(database, file, ...options) {
      await execute(`${folder}pg_restore`, [...options, `--dbname=${database}`, file])
    },
  }
}

/** Where pg_dump may be: on the path, and where Debian keeps the version that is not the default. */
function folders(): string[] {
  const debian = '/usr/lib/postgresql'
  try {
    return ['', ...readdirSync(debian).map((version) => `${debian}/${version}/bin/`)]
  } catch {
    return ['']
  }
}

/** The major version of the pg_dump in `folder`; 0 for none. */
function majorOf(folder: string): number {
  try {
    const text = execFileSync(`${folder}pg_dump`, ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return Number(/\) (\d+)/.exec(text)?.[1] ?? 0)
  } catch {
    return 0
  }
}
