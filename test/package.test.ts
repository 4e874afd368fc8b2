import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { z } from 'zod'

const entry = z.object({
  resolved: z.string().optional(),
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

it('the lockfile names no registry', () => {
  expect(Object.entries(lock.packages).filter(([, one]) => one.resolved !== undefined)).toEqual([])
})
