import { open, readFile, readlink, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { messageOf, StoreError } from '../../runtime/errors.ts'
import { postgresOptions } from '../../runtime/store-url.ts'
import { MINUTE, pause, SECOND, withDeadline } from '../../runtime/time.ts'
import { type Address, freePort, give, isAlive } from './cluster.ts'
import type { Programs } from './program.ts'

/**
 * Starts the server on `cluster` unless one runs there already, and returns its address.
 * @throws StoreError with the path of the server's log if it does not start.
 */
export async function startServer(
  root: string,
  cluster: string,
  address: Address,
  programs: Programs,
): Promise<Address> {
  const running = await waitForRunning(cluster, address)
  if (running) return running
  const logFile = await prepareLog(root, programs)
  let at = address
  let fault = ''
  // Tries several times: the port may be in use by now, and after a kill -9 the children of PostgreSQL remain for a moment.
  for (let tries = 0; tries < 5; tries++) {
    if (!(await isFree(at.port))) at = await at.moved(await freePort())
    await removeStaleLock(cluster)
    await writeSettings(cluster, at.port, programs)
    try {
      const args = ['start', '--wait', '--silent', `--timeout=300`, `--pgdata=${cluster}`, `--log=${logFile}`]
      await programs.run(programs.pgCtl, args, 6 * MINUTE)
      return at
    } catch (error) {
      fault = messageOf(error)
      if (await isRunning(cluster)) return startServer(root, cluster, address, programs)
      await pause(SECOND)
    }
  }
  throw new StoreError('permanent', `The embedded PostgreSQL does not start: ${fault} See its log: ${logFile}.`)
}

/** Stops the server: cleanly within `deadlineMs`, else at once. Rejects if it still runs afterwards. */
export async function stopServer(cluster: string, programs: Programs, deadlineMs: number): Promise<void> {
  const stop = (mode: string, ms: number) => {
    const seconds = Math.max(1, Math.ceil(ms / SECOND))
    const args = ['stop', '--wait', '--silent', `--mode=${mode}`, `--timeout=${seconds}`, `--pgdata=${cluster}`]
    return programs.run(programs.pgCtl, args, ms + 2 * SECOND)
  }
  try {
    await stop('fast', deadlineMs)
  } catch (error) {
    if (!(await isRunning(cluster))) return
    await stop('immediate', 5 * SECOND).catch(() => {
      throw error
    })
  }
}

/** Reads pid and port from PostgreSQL's lock file. */
async function readPostmaster(cluster: string): Promise<{ pid: number; port: number } | undefined> {
  const lines = (await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const [pid, , , port] = lines.map(Number)
  return pid && port ? { pid, port } : undefined
}

/**
 * The address of a server that already runs, once it accepts connections: after a kill of the service it may be recovering.
 * Undefined if none runs, or once a server that was shutting down has exited.
 */
async function waitForRunning(cluster: string, address: Address): Promise<Address | undefined> {
  while (await isRunning(cluster)) {
    const server = await readPostmaster(cluster)
    const at = server && server.port !== address.port ? await address.moved(server.port) : address
    if (await letsIn(at)) return at
    await pause(100)
  }
  return undefined
}

/** Whether the server accepts connections. A server that refuses ours for good (a wrong password) counts too. */
export async function letsIn(address: Address): Promise<boolean> {
  const client = new pg.Client({ ...postgresOptions(address.url('postgres')), connectionTimeoutMillis: 2 * SECOND })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch (error) {
    return error instanceof pg.DatabaseError && !error.code?.startsWith('57')
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}

async function isRunning(cluster: string): Promise<boolean> {
  const server = await readPostmaster(cluster)
  if (!server || !isAlive(server.pid)) return false
  // After a restart of the machine or container, another process may have the pid. A server's working directory is its data folder.
  const at = await readlink(`/proc/${server.pid}/cwd`).catch(() => undefined)
  return at === undefined || at === (await realpath(cluster))
}

/** PostgreSQL refuses to start while any process of its user has the pid in its lock file, even an unrelated one. */
async function removeStaleLock(cluster: string): Promise<void> {
  if (process.platform === 'linux' && !(await isRunning(cluster)))
    await rm(join(cluster, 'postmaster.pid'), { force: true })
}

/** The server's log: warnings and errors, about 10 MB at most. */
async function prepareLog(root: string, programs: Programs): Promise<string> {
  const file = join(root, 'postgres.log')
  const size = await stat(file).then(
    (found) => found.size,
    () => 0,
  )
  if (size > 10_000_000) await rename(file, `${file}.1`)
  await (await open(file, 'a', 0o600)).close()
  await give(file, programs)
  return file
}

async function writeSettings(cluster: string, port: number, programs: Programs): Promise<void> {
  const file = join(cluster, 'postgresql.conf')
  await writeFile(file, settings(port), { mode: 0o600 })
  await give(file, programs)
}

function settings(port: number): string {
  return `# Written by buildkite-mirror at every start. To change a setting, write it to custom.conf next to this file and restart the service.
listen_addresses = '127.0.0.1'
port = ${port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
wal_level = minimal
max_wal_senders = 0
password_encryption = 'scram-sha-256'
timezone = 'UTC'
log_timezone = 'UTC'
jit = off
# Statements and row values stay out of the log.
log_min_messages = warning
log_min_error_statement = panic
log_error_verbosity = terse
log_checkpoints = off
include_if_exists 'custom.conf'
`
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
