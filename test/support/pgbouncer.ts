import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

/** A PgBouncer of a test's own in transaction mode. */
export interface PgBouncer {
  /** The database's URL, by way of the pooler. */
  readonly url: string
  /** Everything it has logged so far. */
  output(): string
  /** Ends it and its connections to Postgres. */
  stop(): Promise<void>
}

// Debian keeps it where only root looks.
const places = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer', '/opt/homebrew/bin/pgbouncer']

/** Where this machine's PgBouncer is; undefined when there is none. */
export function findPgBouncer(): string | undefined {
  return places.find((place) => existsSync(place))
}

/** Starts it on a free port before the database at `target`, with at most `poolSize` connections there. `ignored` are the startup parameters that it drops. */
export async function startPgBouncer(
  target: string,
  poolSize: number,
  ignored = ['statement_timeout'],
): Promise<PgBouncer> {
  const program = findPgBouncer()
  if (!program) throw new Error('There is no PgBouncer here (apt-get install pgbouncer).')
  const folder = await mkdtemp(join(tmpdir(), 'bkm-pgbouncer-'))
  const port = await freePort()
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(file, configuration(new URL(target), port, poolSize, ignored), { mode: 0o600 })
  const child = spawn(program, [file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const stop = async () => {
    await end(child)
    await rm(folder, { recursive: true, force: true })
  }
  const url = `postgres://mirror@127.0.0.1:${port}${new URL(target).pathname}`
  try {
    await until(() => answers(url), 'PgBouncer answers')
  } catch (error) {
    await stop()
    throw new Error(`PgBouncer did not start:\n${output}`, { cause: error })
  }
  return { url, output: () => output, stop }
}

function configuration(target: URL, port: number, poolSize: number, ignored: readonly string[]): string {
  const { hostname, port: targetPort, pathname, username, password } = target
  const quoted = (value: string) => `'${decodeURIComponent(value).replaceAll("'", "''")}'`
  const at = `host=${hostname} port=${targetPort || 5432} user=${quoted(username)}`
  return [
    '[databases]',
    `${pathname.slice(1)} = ${at}${password ? ` password=${quoted(password)}` : ''}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${poolSize}`,
    `ignore_startup_parameters = ${ignored.join(', ')}`,
    // It refuses to be root.
    ...(process.getuid?.() === 0 ? ['user = nobody'] : []),
    '',
  ].join('\n')
}

async function answers(url: string): Promise<boolean> {
  const sql = postgres(url, { max: 1, connect_timeout: 2, prepare: false, onnotice: () => {} })
  try {
    return (await sql`select 1`).length === 1
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
