import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

/** A server that was started for tests, with a superuser's URL. */
interface Server {
  readonly url: string
  stop(): Promise<void>
}

/** Where Debian keeps the programs of each version that is installed. */
const versions = '/usr/lib/postgresql'

/**
 * Starts a PostgreSQL from the programs of this machine, the oldest version of them. It never waits for the disk, and so would lose
 * what it holds in a power cut: with that, tests take half as long. Undefined where none is installed.
 */
export async function startSystemPostgres(): Promise<Server | undefined> {
  const programs = oldestPrograms()
  if (programs === undefined) return undefined
  // PostgreSQL refuses to be run by root.
  const user = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {}
  const folder = await mkdtemp(join(tmpdir(), 'bkm-postgres-'))
  if (user.uid !== undefined) await chown(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  const initdb = ['--pgdata', data, '--auth', 'trust', '--username', 'postgres', '--encoding', 'UTF8', '--no-sync']
  await promisify(execFile)(join(programs, 'initdb'), initdb, { ...user, cwd: folder })
  const port = await freePort()
  const settings = ['fsync=off', 'full_page_writes=off', 'max_connections=200', 'shared_buffers=256MB']
  const server = spawn(
    join(programs, 'postgres'),
    ['-D', data, '-p', String(port), '-k', folder, ...settings.flatMap((setting) => ['-c', setting])],
    { ...user, cwd: folder, stdio: 'ignore' },
  )
  const ended = once(server, 'exit')
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  const stop = async () => {
    // Ends it at once, without writing what is in memory.
    server.kill('SIGQUIT')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await until(() => server.exitCode === null && answers(url), 'the PostgreSQL of the tests answers', 30_000, 50)
  } catch (error) {
    await stop()
    throw error
  }
  return { url, stop }
}

/** The folder of the oldest version with a server; a client alone has no initdb. */
function oldestPrograms(): string | undefined {
  const found = existsSync(versions) ? readdirSync(versions) : []
  return found
    .sort((a, b) => Number(a) - Number(b))
    .map((version) => join(versions, version, 'bin'))
    .find((programs) => existsSync(join(programs, 'initdb')))
}

function idOf(what: '-u' | '-g'): number {
  return Number(execFileSync('id', [what, 'postgres'], { encoding: 'utf8' }))
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} })
  try {
    await sql`select 1`
    return true
  } finally {
    await sql.end({ timeout: 1 })
  }
}
