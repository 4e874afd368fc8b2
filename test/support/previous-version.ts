import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** An earlier version, built from git's history. */
export interface EarlierVersion {
  /** Its `dist/cli.js`. */
  readonly cli: string
  /** The names of its migrations. */
  readonly migrations: readonly string[]
  remove(): Promise<void>
}

/** Builds the last commit of the version before this one. */
export async function buildPreviousVersion(): Promise<EarlierVersion> {
  return buildVersion(await lastCommitBefore(versionIn(readFileSync(join(root, 'package.json'), 'utf8'))))
}

/** Takes the source of a commit out of git and builds it, with the compiler and packages of this version. */
export async function buildVersion(commit: string): Promise<EarlierVersion> {
  const folder = await mkdtemp(join(tmpdir(), 'bkm-previous-'))
  try {
    await git('archive', '--format=tar', `--output=${join(folder, 'source.tar')}`, commit)
    await execute('tar', ['-xf', 'source.tar'], { cwd: folder })
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    await execute(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: folder })
    return {
      cli: join(folder, 'dist', 'cli.js'),
      migrations: await migrationsIn(folder),
      remove: () => rm(folder, { recursive: true, force: true }),
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}

/** The names of the migrations of the source in `folder`, by default of this version. */
export async function migrationsIn(folder = root): Promise<string[]> {
  return (await readdir(join(folder, 'drizzle'))).filter((name) => /^\d{4}_.*\.sql$/.test(name))
}

/** The commit just before the one that set package.json's version to `present`; HEAD while that is not committed. */
async function lastCommitBefore(present: string): Promise<string> {
  const commits = await git('log', '--first-parent', '--format=%H', '--', 'package.json').catch((cause: unknown) => {
    throw new Error(`${noHistory} git said: ${String(cause)}`, { cause })
  })
  let setter: string | undefined
  for (const commit of commits.split('\n')) {
    if (versionIn(await git('show', `${commit}:./package.json`)) !== present) {
      return setter === undefined ? 'HEAD' : `${setter}^1`
    }
    setter = commit
  }
  throw new Error(noHistory)
}

const noHistory =
  'The version before this one is built from git, and the history does not reach back to it. In a shallow clone run ' +
  '"git fetch --unshallow" (in a CI checkout set the depth to 0); without a repository, clone it instead of copying its files.'

async function git(...args: string[]): Promise<string> {
  const { stdout } = await execute('git', args, { cwd: root })
  return stdout.trim()
}

function versionIn(packageJson: string): string {
  const parsed: unknown = JSON.parse(packageJson)
  return typeof parsed === 'object' && parsed && 'version' in parsed ? String(parsed.version) : ''
}
