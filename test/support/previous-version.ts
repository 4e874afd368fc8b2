import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** The version before this one, built from git's history. */
export interface PreviousVersion {
  /** Its `dist/cli.js`. */
  readonly cli: string
  readonly version: string
  /** How many migrations it knows, and how many this version does. */
  readonly migrations: { readonly previous: number; readonly present: number }
  remove(): Promise<void>
}

/** Takes the last source of the version before this one out of git and builds it, with the compiler and packages of this one. */
export async function buildPreviousVersion(): Promise<PreviousVersion> {
  const commit = await lastCommitBefore(versionIn(readFileSync(join(root, 'package.json'), 'utf8')))
  const folder = await mkdtemp(join(tmpdir(), 'bkm-previous-'))
  try {
    await git('archive', '--format=tar', `--output=${join(folder, 'source.tar')}`, commit)
    await execute('tar', ['-xf', 'source.tar'], { cwd: folder })
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    await execute(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json'], { cwd: folder })
    const countIn = async (path: string) => (await readdir(path)).filter((name) => /^\d{4}_.*\.sql$/.test(name)).length
    return {
      cli: join(folder, 'dist', 'cli.js'),
      version: versionIn(readFileSync(join(folder, 'package.json'), 'utf8')),
      migrations: { previous: await countIn(join(folder, 'drizzle')), present: await countIn(join(root, 'drizzle')) },
      remove: () => rm(folder, { recursive: true, force: true }),
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
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
