import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

/** Which rooms a room may import; nothing imports cli.ts. A room may always import itself and the leaves. */
const rooms: Record<string, readonly string[]> = {
  commands: ['http', 'webhooks', 'reconcile', 'mirror', 'buildkite', 'queue', 'database', 'demo'],
  http: ['webhooks', 'reconcile', 'mirror', 'buildkite', 'queue', 'database'],
  webhooks: ['mirror', 'buildkite', 'queue', 'database'],
  reconcile: ['mirror', 'buildkite', 'queue', 'database'],
  mirror: ['buildkite', 'database'],
  buildkite: [],
  queue: [],
  database: [],
  demo: [],
}

/** Files beside the rooms that everyone may import, and what they may import themselves. */
const leaves: Record<string, readonly string[]> = {
  'errors.ts': [],
  'time.ts': [],
  'scope.ts': [],
  'occurrence.ts': [],
  'log.ts': ['errors.ts'],
  'config.ts': ['errors.ts', 'ip-range.ts', 'time.ts'],
  'ip-range.ts': [],
  'postgres-url.ts': [],
  'tracing.ts': ['log.ts', 'time.ts'],
  'shutdown.ts': ['errors.ts', 'log.ts', 'time.ts'],
}

/** Libraries that only some rooms may know. */
const libraries: Record<string, readonly string[]> = {
  'drizzle-orm': ['database', 'mirror', 'webhooks', 'reconcile', 'http', 'commands'],
  bullmq: ['queue'],
  ioredis: ['queue'],
  pg: ['database', 'queue'],
  'pg-copy-streams': ['database'],
  fastify: ['http', 'webhooks/receive.ts', 'commands/serve-parts.ts'],
  '@fastify/rate-limit': ['http', 'webhooks/receive.ts'],
  'prom-client': ['http'],
  '@bull-board/api': ['queue/board.ts', 'http/queue-board.ts'],
  undici: ['buildkite'],
  pino: ['log.ts'],
  'pino-pretty': ['log.ts'],
  '@opentelemetry': ['tracing.ts'],
}

interface Import {
  file: string
  target: string
  typeOnly: boolean
  lazy: boolean
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll('\\', '/'))
const text = (file: string) => readFileSync(join(src, file), 'utf8')
const imports = files.flatMap(importsOf)

function importsOf(file: string): Import[] {
  const code = text(file)
  const found = [...code.matchAll(/^\s*(?:import|export)\s(type\s)?[^'"`;]*?from\s+'([^']+)'/gm)]
  const bare = [...code.matchAll(/^\s*import\s+()'([^']+)'/gm)]
  const dynamic = [...code.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)]
  return [
    ...[...found, ...bare].map(([, type, target]) => ({
      file,
      target: resolve(file, target ?? ''),
      typeOnly: Boolean(type),
      lazy: false,
    })),
    ...dynamic.map(([, target]) => ({ file, target: resolve(file, target ?? ''), typeOnly: false, lazy: true })),
  ]
}

function resolve(file: string, target: string): string {
  return target.startsWith('.') ? `./${posix.normalize(posix.join(posix.dirname(file), target))}` : target
}

/** The first folder of a path under src, or the file itself when it stands at the top. */
const roomOf = (path: string) => path.split('/')[0] ?? path
const arrow = ({ file, target }: Import) => `${file} → ${target}`

describe('imports', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(50)
    expect(imports.some(({ target }) => target === './errors.ts')).toBe(true)
  })

  it('run one way along the rooms of the design', () => {
    const wrong = imports.filter(({ file, target }) => {
      if (!target.startsWith('./')) return false
      const from = roomOf(file)
      const to = roomOf(target.slice(2))
      if (from === 'cli.ts') return !(to === 'commands' || to in leaves)
      if (from in leaves) return !leaves[from]?.includes(to)
      return from !== to && !(to in leaves) && !rooms[from]?.includes(to)
    })
    expect(wrong.map(arrow)).toEqual([])
  })

  it('reach for a library only in the room that hides it', () => {
    const wrong = imports.filter(({ file, target }) => {
      const library = Object.keys(libraries).find((name) => target === name || target.startsWith(`${name}/`))
      if (library === undefined) return false
      return !libraries[library]?.some((place) => file === place || file.startsWith(`${place}/`))
    })
    expect(wrong.map(arrow)).toEqual([])
  })

  it('leave Fastify and BullMQ to the commands that need them', () => {
    const loaded = new Set(imports.filter(({ file }) => file === 'cli.ts').map(({ target }) => target))
    for (const from of loaded) {
      for (const one of imports) if (`./${one.file}` === from && !one.typeOnly && !one.lazy) loaded.add(one.target)
    }
    expect([...loaded]).toContain('./commands/serve.ts')
    expect([...loaded].filter((target) => /fastify|bullmq|ioredis|prom-client|bull-board/.test(target))).toEqual([])
  })

  it('take the configuration in as a value only where the program begins', () => {
    const wrong = imports.filter(({ file, target, typeOnly }) => {
      return target === './config.ts' && !typeOnly && !['commands', 'cli.ts'].includes(roomOf(file))
    })
    expect(wrong.map(arrow)).toEqual([])
  })

  it('let only the start of the program know the shutdown', () => {
    const wrong = imports.filter(({ file, target, typeOnly }) => {
      return target === './shutdown.ts' && !typeOnly && !['commands', 'cli.ts'].includes(roomOf(file))
    })
    expect(wrong.map(arrow)).toEqual([])
  })
})

describe('the source', () => {
  it('is in the folders of the design', () => {
    const strange = files.filter(
      (file) => ![...Object.keys(rooms), ...Object.keys(leaves), 'cli.ts'].includes(roomOf(file)),
    )
    expect(strange).toEqual([])
  })

  it('has no rooms that nobody can find', () => {
    expect(files.filter((file) => /(^|\/)(index|utils?|helpers?|common|manager|service)(\.ts|\/)/.test(file))).toEqual(
      [],
    )
  })

  it('reads the environment in one place, though a child process may inherit it', () => {
    const reads = (file: string) => text(file).replaceAll('{ ...process.env, ', '').includes('process.env')
    expect(files.filter((file) => file !== 'config.ts' && reads(file))).toEqual([])
  })
})
