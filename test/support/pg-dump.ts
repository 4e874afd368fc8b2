import { execFile, execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
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
  const major = await majorAt(url)
  const folder = folders().find((one) => majorOf(one) >= major)
  return folder === undefined ? undefined : toolsIn(folder)
}

/** The version that drizzle/current.sql is dumped with: Debian's, which .ci/run installs. Others write the same schema differently. */
const CURRENT_MAJOR = 15

/** The schema of the database at `url` as in drizzle/current.sql. Undefined if the server or every pg_dump has a different version. */
export async function dumpSchema(url: string): Promise<string | undefined> {
  const folder = (await majorAt(url)) === CURRENT_MAJOR && folders().find((one) => majorOf(one) === CURRENT_MAJOR)
  if (typeof folder !== 'string') {
    console.warn(`\n!!! drizzle/current.sql is NOT compared: that needs PostgreSQL ${CURRENT_MAJOR} and its pg_dump.\n`)
    return undefined
  }
  const scratch = await mkdtemp(join(tmpdir(), 'bkm-schema-'))
  try {
    const file = join(scratch, 'schema.sql')
    await toolsIn(folder).dump(url, file, '--schema-only', '--no-owner')
    return withoutVolatileLines(await readFile(file, 'utf8'))
  } finally {
    await rm(scratch, { recursive: true })
  }
}

/** Without the random key and the version of each dump, and without pg_dump's headings. */
function withoutVolatileLines(dump: string): string {
  const lines = dump.replace(/^(\\(un)?restrict .*|--( (Name|Dumped|PostgreSQL database dump)\b.*)?)\n/gm, '')
  return `${lines.replace(/\n{3,}/g, '\n\n').trim()}\n`
}

async function majorAt(url: string): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  const [row] = await sql<{ major: number }[]>`select current_setting('server_version_num')::int / 10000 as major`
  await sql.end({ timeout: 1 })
  return row?.major ?? Number.POSITIVE_INFINITY
}

function toolsIn(folder: string): PgTools {
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
