import { readFileSync } from 'node:fs'
import { z } from 'zod'

/** This program's version, from package.json, which is two folders up from both src/runtime and dist/runtime. */
export function programVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}
