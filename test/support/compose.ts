import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const variables = z.record(z.string(), z.string().nullable())

const service = z.looseObject({
  image: z.string(),
  build: z.string().optional(),
  user: z.string().optional(),
  command: z.array(z.string()).default([]),
  environment: variables.default({}),
  networks: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  ports: z.array(z.string()).default([]),
  healthcheck: z.looseObject({ test: z.unknown().optional() }).optional(),
  mem_limit: z.string().optional(),
  cpus: z.number().optional(),
  pids_limit: z.number().optional(),
})

/** A service of a compose file, and the file that defines it. */
export type ComposeService = z.output<typeof service> & { readonly file: string }

const raw = z.object({
  services: z.record(z.string(), z.looseObject({})),
  networks: z.record(z.string(), z.object({ internal: z.boolean().default(false) }).nullable()),
})
const extension = z.object({ extends: z.object({ file: z.string(), service: z.string() }) })

/** Reads a compose file as Compose does: merge keys, and `extends` of services in other files without changes. */
export function readCompose(path: string) {
  const file = raw.parse(parse(readFileSync(path, 'utf8'), { merge: true }))
  const services: Record<string, ComposeService> = {}
  for (const [name, given] of Object.entries(file.services)) {
    const from = extension.safeParse(given).data?.extends
    const base = from && readCompose(join(dirname(path), from.file)).services[from.service]
    services[name] = base ?? { ...service.parse(given), file: path }
  }
  return { services, networks: file.networks }
}

/** The environment of a service: `values` in place of its variables. */
export function environmentOf({ environment }: ComposeService, values: Readonly<Record<string, string>>) {
  const fill = (text: string) =>
    text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_all, name: string, kind?: string, otherwise?: string) => {
      const value = values[name] || (kind === '-' ? otherwise : undefined)
      if (value === undefined) throw new Error(`${name} is not set.`)
      return value
    })
  const filled = Object.entries(environment).map(([name, value]) => [name, value === null ? values[name] : fill(value)])
  return Object.fromEntries(filled.filter(([, value]) => value !== undefined)) as Record<string, string>
}
