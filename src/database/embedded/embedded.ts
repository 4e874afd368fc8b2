import { existsSync } from 'node:fs'
import { mkdir, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { ConfigError, messageOf, StoreError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { postgresOptions } from '../../runtime/store-url.ts'
import { pause, SECOND, withDeadline } from '../../runtime/time.ts'
import { type Address, checkVersion, createCluster, DATABASE, readAddress } from './cluster.ts'
import { demoteUser } from './demote-user.ts'
import { findPrograms } from './program.ts'
import { letsIn, startServer, stopServer } from './server.ts'

/** The embedded PostgreSQL, running and locked by this process. */
export interface Embedded {
  /** URL of the owner of the database, with password, who is no superuser. The file `postgres.url` in the data folder has the same, for psql. */
  readonly url: string
  /** Resolves when the server ended although we did not stop it, and could not be restarted. */
  readonly exited: Promise<void>
  /** Stops the server: cleanly within `deadlineMs` (default 15 s), else at once, with recovery at the next start. Never rejects. */
  stop(deadlineMs?: number): Promise<void>
}

/**
 * Starts PostgreSQL with its data in `dataDir`/postgres, which the first start creates. It listens on 127.0.0.1 only. The server is a
 * separate daemon: it outlives a killed service, and the next one takes it over.
 * @throws ConfigError if another service uses `dataDir`, or PostgreSQL cannot run here; the message says what to do.
 * @throws StoreError if the server does not start; the message names its log.
 */
export async function startEmbedded(dataDir: string, log: Log): Promise<Embedded> {
  const root = await makeFolder(dataDir)
  const cluster = join(root, 'postgres')
  const programs = await findPrograms(root, cluster)
  const kept = await readAddress(root)
  if (!existsSync(cluster)) {
    log.info(`Creating a PostgreSQL database in ${cluster}.`)
    await createCluster(root, cluster, kept, programs)
  }
  await checkVersion(cluster)
  const address = await startServer(root, cluster, kept, programs)
  let claim = await claimServer(address, dataDir)
  if (await demoteUser(claim.client, address)) {
    await endConnection(claim.client)
    claim = await claimServer(address, dataDir)
  }
  let stopping = false

  const keepRunning = async (): Promise<void> => {
    for (;;) {
      await claim.lost
      if (stopping) return new Promise(() => {})
      log.error(`The embedded PostgreSQL exited; restarting it. Its log is ${join(root, 'postgres.log')}.`)
      try {
        const again = await startServer(root, cluster, address, programs)
        if (stopping) return await stopServer(cluster, programs, SECOND)
        claim = await claimServer(again, dataDir)
        // The connection pools know only the first port.
        if (again.port !== address.port) return log.error('The embedded PostgreSQL runs again, but on another port.')
      } catch (error) {
        return log.error({ err: error }, 'The embedded PostgreSQL could not be restarted.')
      }
    }
  }

  const stop = async (deadlineMs: number): Promise<void> => {
    stopping = true
    await stopServer(cluster, programs, deadlineMs).catch((error: unknown) => {
      log.warn(`The embedded PostgreSQL did not stop: ${messageOf(error)}`)
    })
    await endConnection(claim.client)
  }
  let stopped: Promise<void> | undefined

  return {
    url: address.url(DATABASE),
    exited: keepRunning(),
    stop(deadlineMs = 15 * SECOND) {
      // Only once: at the second call the server may belong to another process.
      stopped ??= stop(deadlineMs)
      return stopped
    },
  }
}

/** The URL of the embedded server that runs on `dataDir`, for commands beside the service; undefined if none runs. */
export async function findEmbedded(dataDir: string): Promise<string | undefined> {
  const root = await realpath(dataDir).catch(() => undefined)
  if (root === undefined || !existsSync(join(root, 'postgres.url'))) return undefined
  const address = await readAddress(root)
  return (await letsIn(address)) ? address.url(DATABASE) : undefined
}

/** Whether there is an embedded PostgreSQL in `dataDir`, running or not. */
export function hasEmbedded(dataDir: string): boolean {
  return existsSync(join(dataDir, 'postgres')) && existsSync(join(dataDir, 'postgres.url'))
}

async function makeFolder(dataDir: string): Promise<string> {
  try {
    await mkdir(dataDir, { recursive: true })
    return await realpath(dataDir)
  } catch (error) {
    throw new ConfigError(
      `DATA_DIR=${dataDir} cannot be used (${messageOf(error)}). Name a folder that can be written.`,
    )
  }
}

/** The connection whose lock gives this process the server. */
interface Claim {
  readonly client: pg.Client
  /** Resolves when the connection has ended. */
  readonly lost: Promise<void>
}

/**
 * Takes the server for this process with an advisory lock, which is released whenever the process ends.
 * @throws ConfigError if another process has it.
 */
async function claimServer(address: Address, dataDir: string): Promise<Claim> {
  const client = new pg.Client({
    ...postgresOptions(address.url('postgres')),
    application_name: `buildkite-mirror process ${process.pid}`,
    connectionTimeoutMillis: 5 * SECOND,
  })
  client.on('error', () => {})
  const lost = new Promise<void>((resolve) => client.once('end', () => resolve()))
  try {
    await client.connect()
    // Tries several times: a process that was just killed may hold its lock for a moment.
    for (let tries = 0; tries < 20; tries++) {
      const { rows } = await client.query(`select pg_try_advisory_lock(hashtext('buildkite-mirror owner')) as held`)
      if (rows[0]?.held === true) return { client, lost }
      await pause(100)
    }
    throw new ConfigError(await inUse(client, dataDir))
  } catch (error) {
    await endConnection(client)
    if (error instanceof ConfigError) throw error
    const message = `The embedded PostgreSQL in ${dataDir} runs but refuses connections: ${messageOf(error)}`
    throw new StoreError('permanent', message, { cause: error })
  }
}

async function inUse(client: pg.Client, dataDir: string): Promise<string> {
  const { rows } = await client.query<{ application_name: string }>(`
    select application_name from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and application_name like 'buildkite-mirror process %' limit 1`)
  const who = rows[0]?.application_name ?? 'another buildkite-mirror'
  return `DATA_DIR=${dataDir} is in use by ${who}. Stop it first, or set a different DATA_DIR.`
}

async function endConnection(client: pg.Client): Promise<void> {
  await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
}
