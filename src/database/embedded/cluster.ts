import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chown, link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { join } from 'node:path'
import { ConfigError, messageOf, StoreError } from '../../runtime/errors.ts'
import { MINUTE } from '../../runtime/time.ts'
import type { Programs } from './program.ts'

/** The PostgreSQL major version of the npm packages. A data folder works only with its own major version. */
const MAJOR = '18'
/** The user of `postgres.url`: created as superuser by initdb, and made an ordinary one by the first start. */
export const USER = 'buildkite'

/** The database of the mirror in the embedded server. */
export const DATABASE = 'buildkite'

/** The server's port and password, stored in `postgres.url`. */
export interface Address {
  readonly password: string
  readonly port: number
  url(database: string): string
  /** Stores the same address with another port. */
  moved(port: number): Promise<Address>
}

/** Reads or creates `postgres.url`. It is created before the cluster, so that a kill in between is harmless. */
export async function readAddress(root: string): Promise<Address> {
  const file = join(root, 'postgres.url')
  const kept = await readFile(file, 'utf8').catch(() => undefined)
  if (kept === undefined) {
    if (!existsSync(join(root, 'postgres'))) return makeAddress(root, file)
    throw new ConfigError(
      `${file} is missing. It holds the password of the database next to it. Restore it from a backup.`,
    )
  }
  const url = URL.canParse(kept.trim()) ? new URL(kept.trim()) : undefined
  if (!url?.password || !url.port)
    throw new ConfigError(`${file} does not hold a postgres:// URL with password and port.`)
  return addressOf(file, url.password, Number(url.port))
}

async function makeAddress(root: string, file: string): Promise<Address> {
  const made = addressOf(file, randomBytes(24).toString('hex'), await freePort())
  const draft = await writeDraft(made, file)
  try {
    // Unlike a rename, a link never replaces a file that another service wrote at the same time. So both use the same password.
    await link(draft, file)
  } catch (error) {
    if (!existsSync(file)) throw error
    return await readAddress(root)
  } finally {
    await rm(draft)
  }
  return made
}

function addressOf(file: string, password: string, port: number): Address {
  return {
    password,
    port,
    url: (database) => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`,
    async moved(newPort) {
      const next = addressOf(file, password, newPort)
      await rename(await writeDraft(next, file), file)
      return next
    },
  }
}

async function writeDraft(address: Address, file: string): Promise<string> {
  const draft = `${file}.${randomBytes(4).toString('hex')}`
  await writeFile(draft, `${address.url(DATABASE)}\n`, { mode: 0o600 })
  return draft
}

/** Runs initdb in a temporary folder and renames it, so that a kill leaves no incomplete database. */
export async function createCluster(
  root: string,
  cluster: string,
  { password }: Address,
  programs: Programs,
): Promise<void> {
  await removeAbandoned(root)
  const draft = join(root, `postgres.new-${process.pid}-${randomBytes(4).toString('hex')}`)
  const data = join(draft, 'data')
  const passwordFile = join(draft, 'password')
  try {
    await mkdir(data, { recursive: true, mode: 0o700 })
    await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
    for (const path of [draft, data, passwordFile]) await give(path, programs)
    await programs.run(
      programs.initdb,
      [
        ...[`--pgdata=${data}`, `--username=${USER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'],
        ...['--encoding=UTF8', '--no-locale', '--data-checksums', '--no-instructions'],
      ],
      2 * MINUTE,
    )
    await writeFile(join(data, 'pg_hba.conf'), 'host all all 127.0.0.1/32 scram-sha-256\n')
    await rename(data, cluster).catch((error: unknown) => {
      if (!existsSync(cluster)) throw error // otherwise another service created it meanwhile, with the same password
    })
  } catch (error) {
    throw new StoreError(
      'permanent',
      `The embedded PostgreSQL could not create its data folder ${cluster}: ${messageOf(error)}`,
    )
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function removeAbandoned(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const pid = /^postgres\.new-(\d+)-/.exec(name)?.[1]
    if (pid && !isAlive(Number(pid))) await rm(join(root, name), { recursive: true, force: true })
  }
}

/** Makes the server's user the owner of `path`. */
export async function give(path: string, { owner }: Programs): Promise<void> {
  if (owner) await chown(path, owner.uid, owner.gid)
}

export async function checkVersion(cluster: string): Promise<void> {
  const version = (await readFile(join(cluster, 'PG_VERSION'), 'utf8').catch(() => 'none')).trim()
  if (version === MAJOR) return
  throw new ConfigError(
    `${cluster} holds data of PostgreSQL ${version}, but this version uses PostgreSQL ${MAJOR}. Use the version of buildkite-mirror that ` +
      'created it, move the data with pg_dump and pg_restore, or set DATA_DIR to an empty folder: the mirror can be read again.',
  )
}

/** Whether a process has this pid. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** A free port of 127.0.0.1. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const bound = server.address()
      server.close(() =>
        bound && typeof bound === 'object' ? resolve(bound.port) : reject(new Error('no port is free')),
      )
    })
  })
}
