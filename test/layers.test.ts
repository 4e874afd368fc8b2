import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const src = fileURLToPath(new URL('../src', import.meta.url))

/** Which folders a folder may import; nothing imports cli.ts. Every folder may import itself and `runtime`. */
const folders: Record<string, readonly string[]> = {
  commands: [
    'wiring.ts',
    'http',
    'diagnostics',
    'coverage',
    'webhooks',
    'reconcile',
    'analytics',
    'mirror',
    'buildkite',
    'queue',
    'database',
    'simulator',
  ],
  'wiring.ts': [
    'http',
    'diagnostics',
    'coverage',
    'webhooks',
    'reconcile',
    'analytics',
    'mirror',
    'buildkite',
    'queue',
    'database',
  ],
  http: ['diagnostics', 'coverage', 'webhooks', 'reconcile', 'buildkite', 'queue', 'database'],
  diagnostics: ['coverage', 'reconcile', 'mirror', 'buildkite', 'queue', 'database'],
  coverage: ['reconcile', 'database'],
  webhooks: ['mirror', 'buildkite', 'queue', 'database'],
  reconcile: ['mirror', 'buildkite', 'queue', 'database'],
  analytics: ['database'],
  mirror: ['buildkite', 'database'],
  buildkite: [],
  queue: [],
  database: [],
  simulator: [],
}

/** The files of `runtime`, and which of the others each may import. */
const runtime: Record<string, readonly string[]> = {
  'errors.ts': [],
  'time.ts': [],
  'scope.ts': [],
  'record-metric.ts': [],
  'log.ts': ['errors.ts'],
  'config.ts': ['errors.ts', 'ip-range.ts', 'redis-url.ts', 'setting-formats.ts', 'store-url.ts'],
  'setting-formats.ts': ['errors.ts', 'ip-range.ts', 'time.ts'],
  'ip-range.ts': [],
  'store-url.ts': ['errors.ts', 'ip-range.ts'],
  'redis-url.ts': ['ip-range.ts', 'store-url.ts'],
  'tracing.ts': ['log.ts', 'time.ts'],
  'shutdown.ts': ['errors.ts', 'log.ts', 'signals.ts', 'time.ts'],
  'signals.ts': [],
  'version.ts': [],
}

/** Libraries that only some folders may import. */
const libraries: Record<string, readonly string[]> = {
  'drizzle-orm': [
    'database',
    'mirror',
    'analytics',
    'webhooks',
    'reconcile',
    'coverage',
    'diagnostics',
    'http',
    'commands',
    'wiring.ts',
  ],
  bullmq: ['queue'],
  ioredis: ['queue'],
  pg: ['database', 'queue'],
  'pg-copy-streams': ['database'],
  fastify: ['http', 'webhooks/receive', 'wiring.ts'],
  '@fastify/rate-limit': ['http', 'webhooks/receive'],
  'prom-client': ['http'],
  'd3-scale': ['http/explore'],
  'd3-shape': ['http/explore'],
  '@bull-board/api': ['queue/board.ts', 'http/queue-board.ts'],
  undici: ['buildkite'],
  pino: ['runtime/log.ts'],
  'pino-pretty': ['runtime/log.ts'],
  '@opentelemetry': ['runtime/tracing.ts'],
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

/** The first folder of a path under src, or the file itself if it is in none. */
const folderOf = (path: string) => path.split('/')[0] ?? path
const arrow = ({ file, target }: Import) => `${file} → ${target}`
const startsTheProgram = (file: string) => ['commands', 'cli.ts', 'wiring.ts'].includes(folderOf(file))

describe('imports', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(50)
    expect(imports.some(({ target }) => target === './runtime/errors.ts')).toBe(true)
  })

  it('go one way through the folders', () => {
    const wrong = imports.filter(({ file, target }) => {
      if (!target.startsWith('./')) return false
      const from = folderOf(file)
      const to = folderOf(target.slice(2))
      if (from === 'runtime')
        return !runtime[file.slice('runtime/'.length)]?.includes(target.slice('./runtime/'.length))
      if (from === to || to === 'runtime') return false
      return from === 'cli.ts' ? to !== 'commands' : !folders[from]?.includes(to)
    })
    expect(wrong.map(arrow)).toEqual([])
  })

  it('name a library only in the folders that use it', () => {
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

  it.each(['config.ts', 'shutdown.ts'])('take %s as a value only where the program starts', (name) => {
    const wrong = imports.filter(
      ({ file, target, typeOnly }) => target === `./runtime/${name}` && !typeOnly && !startsTheProgram(file),
    )
    expect(wrong.map(arrow)).toEqual([])
  })
})

describe('the source', () => {
  it('is in known folders', () => {
    const known = [...Object.keys(folders), 'runtime', 'cli.ts']
    expect(files.filter((file) => !known.includes(folderOf(file)))).toEqual([])
  })

  it('has at most 16 files and folders in each folder', () => {
    const entries = new Map<string, Set<string>>()
    for (const file of files) {
      const parts = file.split('/')
      for (let depth = 0; depth < parts.length; depth++) {
        const folder = parts.slice(0, depth).join('/')
        entries.set(folder, (entries.get(folder) ?? new Set()).add(parts[depth] ?? ''))
      }
    }
    expect([...entries].filter(([, { size }]) => size > 16).map(([folder, { size }]) => `${folder}: ${size}`)).toEqual(
      [],
    )
  })

  it('has no names that say nothing', () => {
    const vague = /(^|\/)(index|utils?|helpers?|common|manager|service)(\.ts|\/)/
    expect(files.filter((file) => vague.test(file))).toEqual([])
  })

  it('reads the environment in one place, though a child process may inherit it', () => {
    const reads = (file: string) => text(file).replaceAll('{ ...process.env, ', '').includes('process.env')
    expect(files.filter((file) => file !== 'runtime/config.ts' && reads(file))).toEqual([])
  })
})
