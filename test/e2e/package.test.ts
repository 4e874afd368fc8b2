import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { makeFolder } from '../support/folder.ts'

const execute = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
const packed = z.array(z.object({ filename: z.string(), files: z.array(z.object({ path: z.string() })) })).length(1)
const manifest = z.object({ version: z.string(), scripts: z.record(z.string(), z.string()) })

let folder: string
let files: string[]
let installed: string

beforeAll(async () => {
  if (!existsSync(join(root, 'dist', 'cli.js'))) throw new Error('dist/cli.js is missing. Run npm run build.')
  folder = await makeFolder('bkm-package-')
  // Without its prepack, which rebuilds dist: other tests run its files at this moment.
  const pack = await execute(npm, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
  const [tarball] = packed.parse(JSON.parse(pack.stdout))
  files = tarball?.files.map(({ path }) => path) ?? []
  await writeFile(join(folder, 'package.json'), '{ "private": true }')
  const install = [
    'install',
    '--prefer-offline',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    `./${tarball?.filename}`,
  ]
  await execute(npm, install, { cwd: folder }).catch((cause: unknown) => {
    throw new Error(
      `The package could not be installed. This test needs npm's registry, or its cache. ${String(cause)}`,
      { cause },
    )
  })
  installed = join(folder, 'node_modules', 'buildkite-mirror')
}, 240_000)

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Runs the installed command as npx would, with nothing of ours in its environment. */
async function run(...args: string[]): Promise<string> {
  const env = { PATH: process.env.PATH ?? '', HOME: folder }
  const { stdout } = await execute(npm, ['exec', '--offline', '--', 'buildkite-mirror', ...args], { cwd: folder, env })
  return stdout
}

describe('the npm package', () => {
  it('holds the program, its migrations and its papers, and nothing else', async () => {
    const top = new Set(files.map((path) => path.split('/')[0]))
    expect([...top].sort()).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'drizzle', 'package.json'])
    const expected =
      /^dist\/.*\.js$|^drizzle\/((\d{4}_|(functions|views|triggers|grants)\/).*\.sql|grants\.sql|meta\/_journal\.json)$/
    expect(files.filter((path) => /^(dist|drizzle)\//.test(path) && !expected.test(path))).toEqual([])
    const source = (await readdir(join(root, 'drizzle'), { recursive: true })).filter((name) =>
      expected.test(`drizzle/${name}`),
    )
    expect(files.filter((path) => path.startsWith('drizzle/'))).toHaveLength(source.length)
  })

  it('names no path of the machine that packed it', async () => {
    const texts = await Promise.all(files.map((path) => readFile(join(installed, path), 'utf8')))
    expect(files.filter((_, index) => texts[index]?.includes(root))).toEqual([])
  })

  it('is built before it is packed', async () => {
    const { scripts } = manifest.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')))
    expect(scripts.prepack).toContain('build')
  })

  it('tells its version and how it is used', async () => {
    const { version } = manifest.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')))
    expect(await run('--version')).toBe(`${version}\n`)
    expect(await run('--help')).toContain('Usage: buildkite-mirror <command>')
  })

  it('runs whole where nothing but it is installed: the demo, with its own PostgreSQL', async () => {
    const demo: unknown = JSON.parse(await run('demo', '--seconds', '3', '--builds', '50', '--json'))
    expect(demo).toMatchObject({ whole: true })
  }, 180_000)
})
