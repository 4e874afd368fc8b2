import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { freePort } from './free-port.ts'
import { startTcpProxy } from './tcp-proxy.ts'
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
  const initdb = (data: string) =>
    run(programs, 'initdb', [
      '--pgdata',
      data,
      '--auth',
      'trust',
      '--username',
      'postgres',
      '--encoding',
      'UTF8',
      '--no-sync',
    ])
  return startServer(programs, initdb, ['full_page_writes=off', 'max_connections=200', 'shared_buffers=256MB'])
}

/** A primary with a standby that follows it, and one address that moves from the first to the second. */
export interface PostgresPair {
  /** The address that moves; a superuser's URL. */
  readonly url: string
  /** The standby receives nothing more. */
  stopReplication(): Promise<void>
  /** Ends the primary as a power cut would, makes the standby the primary, and moves the address to it. */
  failOver(): Promise<void>
  stop(): Promise<void>
}

/** @param synchronous whether a commit on the primary waits until the standby has it too. */
export async function startPostgresPair(synchronous: boolean): Promise<PostgresPair | undefined> {
  const programs = oldestPrograms()
  const primary = await startSystemPostgres()
  if (programs === undefined || primary === undefined) return undefined
  const copy = (data: string) =>
    run(programs, 'pg_basebackup', [
      '--dbname',
      primary.url,
      '--pgdata',
      data,
      '--write-recovery-conf',
      '--checkpoint',
      'fast',
    ])
  const standby = await startServer(programs, copy, ['max_connections=200'])
  const proxy = await startTcpProxy(primary.url, 5432)
  if (synchronous) {
    await asSuperuser(primary.url, "alter system set synchronous_standby_names = '*'")
    await asSuperuser(primary.url, 'select pg_reload_conf()')
  }
  const state = synchronous ? 'sync' : 'async'
  const follows = () => asSuperuser(primary.url, `select 1 from pg_stat_replication where sync_state = '${state}'`)
  await until(async () => (await follows()).length > 0, 'the standby follows the primary')
  return {
    url: proxy.url,
    async stopReplication() {
      await asSuperuser(standby.url, "alter system set primary_conninfo = ''")
      await asSuperuser(standby.url, 'select pg_reload_conf()')
      await until(async () => (await follows()).length === 0, 'the standby receives nothing more')
    },
    async failOver() {
      await primary.stop()
      await asSuperuser(standby.url, 'select pg_promote(true)')
      proxy.moveTo(standby.url)
    },
    async stop() {
      await proxy.close()
      await Promise.all([primary.stop(), standby.stop()])
    },
  }
}

/** Runs a program of PostgreSQL. It refuses to be run by root. */
async function run(programs: string, program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(join(programs, program), args, { ...serverUser(), cwd: tmpdir() })
}

const serverUser = () => (process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : {})

/** Starts a server over the data that `create` writes to a folder. */
async function startServer(
  programs: string,
  create: (data: string) => Promise<void>,
  settings: readonly string[],
): Promise<Server> {
  const user = serverUser()
  const folder = await mkdtemp(join(tmpdir(), 'bkm-postgres-'))
  if (user.uid !== undefined) await chown(folder, user.uid, user.gid)
  const data = join(folder, 'data')
  await create(data)
  const port = await freePort()
  const server = spawn(
    join(programs, 'postgres'),
    ['-D', data, '-p', String(port), '-k', folder, ...['fsync=off', ...settings].flatMap((setting) => ['-c', setting])],
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
    const answers = async () => (await asSuperuser(url, 'select 1')).length > 0
    await until(() => server.exitCode === null && answers(), 'the PostgreSQL of the tests answers', 30_000, 50)
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

async function asSuperuser(url: string, statement: string): Promise<readonly object[]> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} })
  try {
    return await sql.unsafe(statement)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
