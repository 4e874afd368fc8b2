import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'

const root = new URL('../', import.meta.url)
const lock = z
  .object({ packages: z.record(z.string(), z.looseObject({ version: z.string(), dev: z.boolean().default(false) })) })
  .parse(JSON.parse(readFileSync(new URL('package-lock.json', root), 'utf8')))
const folder = mkdtempSync(join(tmpdir(), 'bkm-supply-chain-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Runs npm with a cache of its own and no proxy. Returns its exit code and all it wrote. */
async function npm(cwd: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const env = {
    PATH: process.env.PATH,
    npm_config_cache: join(folder, 'cache'),
    npm_config_userconfig: join(folder, 'npmrc'),
  }
  const failed = z.object({ code: z.number(), stdout: z.string(), stderr: z.string() })
  return promisify(execFile)('npm', args, { cwd, env, maxBuffer: 1e8 }).then(
    ({ stdout }) => ({ code: 0, output: stdout }),
    (error: unknown) => {
      const { code, stdout, stderr } = failed.parse(error)
      return { code, output: stdout + stderr }
    },
  )
}

/** One of those that had no hash once, as if it were for every platform. */
const name = '@msgpackr-extract/msgpackr-extract-linux-arm'

describe('a registry that serves a changed package', () => {
  let registry: Server

  beforeAll(async () => {
    const { version } = locked()
    const changed = join(folder, 'changed')
    mkdirSync(changed)
    writeFileSync(join(changed, 'package.json'), JSON.stringify({ name, version }))
    writeFileSync(join(changed, 'index.js'), '// changed by a stranger\n')
    expect((await npm(changed, ['pack', '--pack-destination', folder])).code).toBe(0)
    const tarball = readFileSync(join(folder, `msgpackr-extract-msgpackr-extract-linux-arm-${version}.tgz`))
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`
    registry = createServer((request, response) => {
      if (request.url?.endsWith('.tgz')) return response.end(tarball)
      const dist = { tarball: `http://${request.headers.host}/changed.tgz`, integrity }
      const manifest = { name, version, dist }
      return response.end(JSON.stringify({ name, 'dist-tags': { latest: version }, versions: { [version]: manifest } }))
    }).listen(0, '127.0.0.1')
    await once(registry, 'listening')
  })
  afterAll(() => registry.close())

  const locked = () => {
    const entry = lock.packages[`node_modules/${name}`]
    if (!entry) throw new Error(`${name} is not in the lockfile.`)
    return { ...entry, os: undefined, cpu: undefined, optional: undefined }
  }

  async function install(project: string, entry: Record<string, unknown>) {
    const dependencies = { [name]: locked().version }
    const cwd = join(folder, project)
    mkdirSync(cwd)
    writeFileSync(join(cwd, 'package.json'), JSON.stringify({ name: project, version: '1.0.0', dependencies }))
    const packages = { '': { name: project, version: '1.0.0', dependencies }, [`node_modules/${name}`]: entry }
    const lockfile = { name: project, version: '1.0.0', lockfileVersion: 3, requires: true, packages }
    writeFileSync(join(cwd, 'package-lock.json'), JSON.stringify(lockfile))
    const { port } = registry.address() as AddressInfo
    const from = ['--registry', `http://127.0.0.1:${port}`, '--fetch-retries', '0', '--no-audit']
    return npm(cwd, ['ci', '--ignore-scripts', ...from])
  }

  it('is refused by the hash in our lockfile', async () => {
    const { code, output } = await install('ours', locked())
    expect(code).not.toBe(0)
    expect(output).toContain('EINTEGRITY')
  })

  it('is believed without a hash', async () => {
    expect((await install('without-hash', { ...locked(), integrity: undefined })).code).toBe(0)
    const installed = join(folder, 'without-hash', 'node_modules', name, 'index.js')
    expect(readFileSync(installed, 'utf8')).toContain('changed by a stranger')
  })
})

it('every package runs on the oldest supported Node, as npm ci --engine-strict checks', async () => {
  const project = join(folder, 'engines')
  for (const file of ['package.json', 'package-lock.json']) cpSync(new URL(file, root), join(project, file))
  const { code, output } = await npm(project, ['ci', '--engine-strict', '--dry-run', '--offline'])
  expect([code, code === 0 ? '' : output]).toEqual([0, ''])
})

it('the SBOM that CI stores has every package of production, with its version and hash', async () => {
  expect(readFileSync(new URL('.github/workflows/ci.yml', root), 'utf8')).toContain(
    'run: node .ci/sbom.mjs > sbom.json',
  )
  const { stdout } = await promisify(execFile)('node', ['.ci/sbom.mjs'], { cwd: root, maxBuffer: 1e8 })
  const { components } = z
    .object({
      bomFormat: z.literal('CycloneDX'),
      metadata: z.object({ component: z.object({ name: z.literal('buildkite-mirror') }) }),
      components: z.array(
        z.object({ purl: z.string(), hashes: z.array(z.object({ alg: z.literal('SHA-512') })).length(1) }),
      ),
    })
    .parse(JSON.parse(stdout))
  const production = Object.entries(lock.packages).filter(([path, { dev }]) => path !== '' && !dev)
  const purls = production.map(([path, { version }]) => {
    const own = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
    return `pkg:npm/${own.replace('@', '%40')}@${version}`
  })
  expect(purls.length).toBeGreaterThan(50)
  expect(new Set(components.map(({ purl }) => purl))).toEqual(new Set(purls))
})
