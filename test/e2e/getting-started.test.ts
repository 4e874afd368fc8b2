import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { prettyFactory } from 'pino-pretty'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { whereToLook } from '../../src/commands/serve.ts'
import { paintFor } from '../../src/commands/shell/terminal.ts'
import { readConfig } from '../../src/runtime/config.ts'
import { makeFolder } from '../support/folder.ts'
import { freePort } from '../support/free-port.ts'
import { openShell, type Shell } from '../support/shell.ts'
import { until } from '../support/until.ts'

const page = readFileSync(new URL('../../docs/getting-started.md', import.meta.url), 'utf8')
const cli = join(import.meta.dirname, '../../dist/cli.js')
const standIn = join(import.meta.dirname, '../support/psql.mjs')

/** What the page shows in place of what is another each time. */
const shown = {
  secret: '5d0e8c3b7a4f1926'.repeat(4),
  folder: '/home/you/mirror',
  ports: { api: '4000', public: '8080', private: '8081' },
}

/** Commands that go on running, and by what is seen that they do their work. */
const running: Record<string, RegExp> = {
  'buildkite-mirror demo': /Press Ctrl-C to stop\.\n/,
  'buildkite-mirror serve': /("Started\.".*"Fetched history\."|"Fetched history\.".*"Started\.")}\n/s,
}

let root: string
let folder: string
let ports: Record<keyof typeof shown.ports, string>
let secret: string
const shells = new Map<string, Shell>()

beforeEach(async () => {
  root = await makeFolder('bkm-getting-started-')
  folder = join(root, 'mirror')
  await mkdir(folder)
  // What `npm link` puts on the PATH, and psql where there is none.
  await mkdir(join(root, 'bin'))
  await script('buildkite-mirror', cli)
  if (spawnSync('psql', ['--version']).status !== 0) await script('psql', standIn)
  const [api, open, hidden] = await Promise.all([freePort(), freePort(), freePort()])
  ports = { api: String(api), public: String(open), private: String(hidden) }
  secret = ''
})
afterEach(async () => {
  for (const shell of [...shells.values()].reverse()) await shell.close()
  shells.clear()
  await rm(root, { recursive: true, force: true })
})

const script = (name: string, program: string) =>
  writeFile(join(root, 'bin', name), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 })

function shellOf(terminal: string): Shell {
  const path = [join(root, 'bin'), process.env.PATH].join(':')
  const env = { PATH: path, HOME: root, PORT: ports.public, ADMIN_PORT: ports.private }
  const shell = shells.get(terminal) ?? openShell(folder, env)
  shells.set(terminal, shell)
  return shell
}

/** Types a command of the page into its terminal, and returns what the page is to show of the answer. */
async function type(terminal: string, command: string): Promise<string> {
  const typed = (['api', 'public', 'private'] as const)
    .reduce((text, name) => text.replaceAll(`:${shown.ports[name]}`, `:${ports[name]}`), command)
    .replace(`--port ${shown.ports.api}`, `--port ${ports.api}`)
    .replaceAll(shown.secret, secret)
  const runs = Object.entries(running).find(([begin]) => command.startsWith(begin))?.[1]
  const run = () => shellOf(terminal).run(typed, runs)
  // The totals follow the builds within a minute.
  let printed = command.startsWith('curl') ? await until(run, 'the page has a chart', 90_000, 500) : await run()
  // Some seconds later, says the page: when the first webhook has brought a build.
  if (command.startsWith('psql')) {
    printed = await until(
      async () => {
        const text = await shellOf(terminal).run(typed)
        return /webhook +\| +[1-9]/.test(text) && text
      },
      'a build has come by webhook',
      60_000,
    )
  }
  secret = /WEBHOOK_SECRET=([0-9a-f]{64})$/m.exec(printed)?.[1] ?? secret
  return steady(printed)
}

const pretty = prettyFactory({ colorize: false, translateTime: 'SYS:HH:MM:ss', ignore: 'pid,hostname' })

/** The block that a terminal shows, and a pipe does not, once the service has started. */
function block(): string {
  const settings = { BUILDKITE_API_TOKEN: 'demo-token', WEBHOOK_SECRET: shown.secret, HOST: '127.0.0.1' }
  const config = readConfig(settings)
  return whereToLook(config, Number(shown.ports.public), Number(shown.ports.private), paintFor({ isTTY: false }, {}))
}

/** What was printed, as a terminal shows it, with whatever is another each time made the same. */
function steady(printed: string): string {
  // A machine that is slow may have fetched before it says that it has started.
  const ordered = printed.replace(/^(\{[^\n]*"Fetched history\."\}\n)(.*"Started\."\}\n)/ms, '$2$1')
  const text = ordered.replace(/^\{.*\}$/gm, (line) => {
    const text = pretty(line).trimEnd()
    return line.includes('"Started."') ? `${text}\n\n${block()}\n` : text
  })
  const named = (['api', 'public', 'private'] as const).reduce(
    (so, name) => so.replace(new RegExp(`\\b${ports[name]}\\b`, 'g'), shown.ports[name]),
    text,
  )
  return named
    .replaceAll(secret || shown.secret, shown.secret)
    .replaceAll(folder, shown.folder)
    .replace(/\[\d\d:\d\d:\d\d\]/g, '[12:00:00]')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-01-31T12:00:00.000Z')
    .replace(/(buildsDone|buildsExpected): \d+/g, '$1: 301')
    .replace(/(requests): \d+/g, '$1: 6')
    .replace(/(migrations): \d+/g, '$1: 2')
    .replace(/(definitions): \d+/g, '$1: 83')
    .replace(/takes [\d.]+ [MG]iB\. [\d.]+ [MG]iB are free/, 'takes 16 MiB. 75.1 GiB are free')
    .replace(/everything up to [\w ]+ ago/, 'everything up to 2s ago')
    .replace(/^( rest +\|) +\d+$/gm, '$1   301')
    .replace(/^( webhook +\|) +\d+$/gm, '$1     4')
    .replace(/ +$/gm, '')
    .trimEnd()
}

// When it fails after a change: npm run docs:getting-started regenerates the page.
it('docs/getting-started.md leads from an empty machine to live rows and a chart of them, and shows what its commands print', async () => {
  let rewritten = page
  const blocks = [...page.matchAll(/^```console (\w+)\n(.*?)^```$/gms)]
  expect(blocks.length).toBeGreaterThan(4)
  for (const [block, terminal = '', body = ''] of blocks) {
    const lines: string[] = []
    for (const line of body.split('\n').filter((one) => one.startsWith('$ '))) {
      lines.push(line)
      const printed = await type(terminal, line.slice(2))
      if (printed) lines.push(printed)
    }
    rewritten = rewritten.replace(block, () => `\`\`\`console ${terminal}\n${lines.join('\n')}\n\`\`\``)
  }
  // From nothing to live rows each command is typed once; `check` once more at the end, as the proof.
  const typed = [...rewritten.matchAll(/^\$ buildkite-mirror (\w+)/gm)].map(([, command]) => command)
  expect(typed).toEqual(['demo', 'check', 'register', 'serve', 'check'])
  await expect(rewritten).toMatchFileSnapshot('../../docs/getting-started.md')
}, 300_000)
